// Which library this is. The build passes VXK_ISA, VXK_SOURCE and VXK_COMPILER as text; Python reads
// this line from the file, and then asks for it before it calls anything else.
#pragma once

#define VXK_ABI "1"

extern "C" __attribute__((visibility("default"))) const char *vxk_about(void) {
  return "abi=" VXK_ABI ";isa=" VXK_ISA ";source=" VXK_SOURCE ";compiler=" VXK_COMPILER;
}
