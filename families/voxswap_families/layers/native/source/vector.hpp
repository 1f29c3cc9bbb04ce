// Floats as many at a time as a register holds, and the functions that layers apply to them.
//
// Compiled with -ffp-contract=off: where a product is added in one rounding, `fma` says so. A value
// then has the same bits wherever it is computed, whoever inlines what. NaN goes through all of
// these functions, so that damaged weights are noticed and not spoken.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define VXK_INLINE inline __attribute__((always_inline))

namespace voxswap {

#if defined(__AVX512F__)
constexpr int WIDTH = 16;
#elif defined(__AVX2__)
constexpr int WIDTH = 8;
#else
constexpr int WIDTH = 4;
#endif

typedef float Vec __attribute__((vector_size(WIDTH * 4)));
typedef uint32_t BitVec __attribute__((vector_size(WIDTH * 4)));
typedef uint16_t HalfVec __attribute__((vector_size(WIDTH * 2)));
typedef float LooseVec __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));
typedef uint32_t LooseBitVec __attribute__((vector_size(WIDTH * 4), aligned(2), may_alias));
typedef uint16_t LooseHalfVec __attribute__((vector_size(WIDTH * 2), aligned(2), may_alias));

static VXK_INLINE Vec all(float x) {
#if defined(__AVX512F__)
  return (Vec)_mm512_set1_ps(x);
#elif defined(__AVX2__)
  return (Vec)_mm256_set1_ps(x);
#else
  return (Vec)vdupq_n_f32(x);
#endif
}
static VXK_INLINE Vec load(const float *from) { return *(const LooseVec *)from; }
static VXK_INLINE void store(float *to, Vec x) { *(LooseVec *)to = x; }

static VXK_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return (Vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#endif
}

// The larger and the smaller one; `x` if it is NaN, so that is the value and the other the bound.
static VXK_INLINE Vec at_least(Vec bound, Vec x) {
#if defined(__AVX512F__)
  return (Vec)_mm512_max_ps((__m512)bound, (__m512)x);
#elif defined(__AVX2__)
  return (Vec)_mm256_max_ps((__m256)bound, (__m256)x);
#else
  return bound > x ? bound : x;
#endif
}
static VXK_INLINE Vec at_most(Vec bound, Vec x) {
#if defined(__AVX512F__)
  return (Vec)_mm512_min_ps((__m512)bound, (__m512)x);
#elif defined(__AVX2__)
  return (Vec)_mm256_min_ps((__m256)bound, (__m256)x);
#else
  return bound < x ? bound : x;
#endif
}

static VXK_INLINE float sum_of(Vec x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)x);
#elif defined(__AVX2__)
  const __m256 y = (__m256)x;
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
#else
  return vaddvq_f32((float32x4_t)x);
#endif
}
static VXK_INLINE float largest_of(Vec x) {
  float most = x[0];
  for (int i = 1; i < WIDTH; i++) most = x[i] > most ? x[i] : most;
  return most;
}

// Cephes' expf: 2^n e^r with |r| <= ln 2 / 2; relative error 2e-7.
static VXK_INLINE Vec exp_of(Vec x) {
  x = at_most(all(88.0f), at_least(all(-87.0f), x));
  const Vec rounding = all(12582912.0f);  // 1.5 * 2^23: what is added to it is rounded to a whole
  const Vec shifted = fma(x, all(1.44269504f), rounding);
  // Without a sign, for whole numbers of NaN are beyond all that have one.
  const BitVec n = (BitVec)shifted - 0x4b400000u;
  const Vec whole = shifted - rounding;
  const Vec r = fma(whole, all(2.12194440e-4f), fma(whole, all(-0.693359375f), x));
  Vec p = fma(r, all(1.9875691500e-4f), all(1.3981999507e-3f));
  p = fma(p, r, all(8.3334519073e-3f));
  p = fma(p, r, all(4.1665795894e-2f));
  p = fma(p, r, all(1.6666665459e-1f));
  p = fma(p, r, all(5.0000001201e-1f));
  p = fma(p * r, r, r) + 1.0f;
  const Vec result = (Vec)((BitVec)p + (n << 23));
  return x == x ? result : x;
}
static VXK_INLINE Vec reciprocal(Vec x) {
#if defined(__AVX512F__)
  const Vec r = (Vec)_mm512_rcp14_ps((__m512)x);
  return r * (Vec)_mm512_fnmadd_ps((__m512)x, (__m512)r, _mm512_set1_ps(2.0f));
#else
  return 1.0f / x;
#endif
}
static VXK_INLINE Vec sigmoid(Vec x) { return reciprocal(1.0f + exp_of(-x)); }
static VXK_INLINE Vec tanh_of(Vec x) { return 1.0f - 2.0f * reciprocal(1.0f + exp_of(x + x)); }

// Cephes' sinf: pi / 2 times a whole number is taken away in three parts; absolute error 2e-7 up to
// 8192, beyond which less and less of the number is left.
static VXK_INLINE Vec sin_of(Vec x) {
  const Vec rounding = all(12582912.0f);  // see `exp_of`
  const Vec shifted = fma(x, all(0.636619772f), rounding);
  const BitVec n = (BitVec)shifted;  // its last bits are those of the whole number
  const Vec whole = shifted - rounding;
  Vec r = fma(whole, all(-1.5703125f), x);
  r = fma(whole, all(-4.837512969970703125e-4f), r);
  r = fma(whole, all(-7.54978995489188216e-8f), r);
  const Vec z = r * r;
  Vec s = fma(z, all(-1.9515295891e-4f), all(8.3321608736e-3f));
  s = fma(s, z, all(-1.6666654611e-1f));
  s = fma(s * z, r, r);
  Vec c = fma(z, all(2.443315711809948e-5f), all(-1.388731625493765e-3f));
  c = fma(c, z, all(4.166664568298827e-2f));
  c = fma(c * z, z, fma(z, all(-0.5f), all(1.0f)));
  const BitVec odd = (BitVec){} - (n & 1u);  // all bits, where the cosine is wanted
  const BitVec bits = ((BitVec)c & odd) | ((BitVec)s & ~odd);
  return (Vec)(bits ^ ((n & 2u) << 30));
}

// Abramowitz and Stegun 7.1.26 for erf: absolute error 1.5e-7.
static VXK_INLINE Vec gelu(Vec x) {
  const Vec z = (Vec)((BitVec)x & 0x7fffffffu) * 0.70710678f;
  const Vec t = reciprocal(fma(all(0.3275911f), z, all(1.0f)));
  Vec p = fma(all(1.061405429f), t, all(-1.453152027f));
  p = fma(p, t, all(1.421413741f));
  p = fma(p, t, all(-0.284496736f));
  p = fma(p, t, all(0.254829592f)) * t;
  const Vec erf = fma(-p, exp_of(-(z * z)), all(1.0f));
  const Vec signed_erf = (Vec)((BitVec)erf | ((BitVec)x & 0x80000000u));
  return 0.5f * x * (1.0f + signed_erf);
}
static VXK_INLINE Vec relu(Vec x) { return at_least(Vec{}, x); }
// For a slope between 0 and 1.
static VXK_INLINE Vec leaky_relu(Vec x, float slope) { return at_least(x * slope, x); }

}  // namespace voxswap
