// The tiles of AMX: eight of sixteen rows of 64 bytes. Real ones, or the same in plain C for tests.
#pragma once

#include "activation.hpp"

namespace voxswap {

#if VXK_AMX_EMULATED
struct Tile {
  alignas(64) uint8_t row[16][64];
};
static thread_local Tile emulated[8];

template <int T> static void tile_clear() { memset(&emulated[T], 0, sizeof(Tile)); }
template <int T> static void tile_load(const void *from, long stride) {
  for (int i = 0; i < 16; i++) memcpy(emulated[T].row[i], (const char *)from + i * stride, 64);
}
template <int T> static void tile_store(void *to, long stride) {
  for (int i = 0; i < 16; i++) memcpy((char *)to + i * stride, emulated[T].row[i], 64);
}
// C += A B: rows of A are 32 bfloat16, rows of B are 16 pairs of them.
template <int C, int A, int B> static void tile_multiply() {
  for (int m = 0; m < 16; m++) {
    float *sum = (float *)emulated[C].row[m];
    const uint16_t *a = (const uint16_t *)emulated[A].row[m];
    for (int k = 0; k < 16; k++) {
      const uint16_t *b = (const uint16_t *)emulated[B].row[k];
      for (int n = 0; n < 16; n++)
        sum[n] += widened(a[2 * k]) * widened(b[2 * n]) + widened(a[2 * k + 1]) * widened(b[2 * n + 1]);
    }
  }
}
static void tiles_begin() {}
#else
// Written out, since a compiler's own names of tiles take no template's parameter for a number.
template <int T> static VXK_INLINE void tile_clear() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}
template <int T> static VXK_INLINE void tile_load(const void *from, long stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(T) : "memory");
}
template <int T> static VXK_INLINE void tile_store(void *to, long stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(T) : "memory");
}
template <int C, int A, int B> static VXK_INLINE void tile_multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}

// What the tiles are. Before each product: torch's own products on this thread make them something
// else, and then release them, after which using one ends the process.
struct alignas(64) TileConfiguration {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};
static void tiles_begin() {
  static const TileConfiguration configuration = {
      1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
  _tile_loadconfig(&configuration);
}
#endif

}  // namespace voxswap
