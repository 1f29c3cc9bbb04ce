// Weights as panels: `layers/native/packing.py`'s pack_panels, in one pass.
#pragma once

#include "product.hpp"

namespace voxswap {

// Bits of a float as those of a bfloat16; see `rounded`.
static VXK_INLINE uint32_t halved(uint32_t bits) {
  const uint32_t half = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : half;
}
static VXK_INLINE uint32_t halved(uint16_t bits) { return bits; }

// T are the bits of a float or of a bfloat16. Columns lie side by side in the usual case, and are
// rounded as many at a time as a register holds before they are put where their panel wants them.
template <class T>
static bool pack_rows(const T *from, int rows, int64_t row_stride, int columns,
                      int64_t column_stride, uint16_t *to, int64_t panel_stride) {
  constexpr int SOME = 64;  // pairs at a time: 4 KB of a panel
  const int pairs = columns / 2;
  uint32_t endless = 0;
  for (int first = 0; first < rows; first += PANEL, to += panel_stride)
    for (int begin = 0; begin < pairs; begin += SOME) {
      const int count = std::min(SOME, pairs - begin);
      uint32_t *at = (uint32_t *)to + (int64_t)begin * PANEL;
      for (int i = 0; i < PANEL; i++) {
        uint32_t row[SOME] = {};
        if (first + i < rows) {
          const T *x = from + (first + i) * row_stride + 2 * begin * column_stride;
          if (column_stride == 1)
            for (int j = 0; j < count; j++) row[j] = halved(x[2 * j]) | halved(x[2 * j + 1]) << 16;
          else
            for (int j = 0; j < count; j++)
              row[j] = halved(x[2 * j * column_stride]) | halved(x[(2 * j + 1) * column_stride]) << 16;
        }
        for (int j = 0; j < count; j++) {
          // All bits of an exponent: a carry into the bit above it.
          endless |= ((row[j] & 0x7f807f80u) + 0x00800080u) & 0x80008000u;
          at[j * PANEL + i] = row[j];
        }
      }
    }
  return !endless;
}

static bool pack(const void *from, bool is_bfloat16, int rows, int64_t row_stride, int columns,
                 int64_t column_stride, uint16_t *to, int64_t panel_stride) {
  if (is_bfloat16)
    return pack_rows((const uint16_t *)from, rows, row_stride, columns, column_stride, to, panel_stride);
  return pack_rows((const uint32_t *)from, rows, row_stride, columns, column_stride, to, panel_stride);
}

}  // namespace voxswap
