// What products read: bfloat16 where the processor multiplies that, and floats elsewhere.
#pragma once

#include "vector.hpp"

namespace voxswap {

static VXK_INLINE float widened(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
// To the nearest, ties to even. NaN stays NaN, whatever its bits.
static VXK_INLINE uint16_t rounded(float x) {
  if (x != x) return 0x7fc0;
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#if VXK_BF16
typedef uint16_t Act;

static VXK_INLINE void put(Act *to, Vec x) {
#if defined(__AVX512BF16__)
  *(LooseHalfVec *)to = (HalfVec)(__m256i)_mm512_cvtneps_pbh((__m512)x);
#else
  vst1_bf16((bfloat16_t *)to, vcvt_bf16_f32((float32x4_t)x));
#endif
}
static VXK_INLINE Vec get(const Act *from) {
  const HalfVec half = *(const LooseHalfVec *)from;
  return (Vec)(__builtin_convertvector(half, BitVec) << 16);
}
static VXK_INLINE Act act(float x) { return rounded(x); }
#else
typedef float Act;

static VXK_INLINE void put(Act *to, Vec x) { store(to, x); }
static VXK_INLINE Vec get(const Act *from) { return load(from); }
static VXK_INLINE Act act(float x) { return x; }
#endif

// `count` floats, a multiple of 16, as products read them.
static inline void put_all(Act *to, const float *from, long count) {
  for (long i = 0; i < count; i += WIDTH) put(to + i, load(from + i));
}
static inline void clear(Act *to, long count) { memset(to, 0, sizeof(Act) * count); }

}  // namespace voxswap
