// Products of bytes: y[t][n] = scale[n] * sum over taps of s[t + tap] * (q[t + tap] . w[n][tap]).
//
// Weights lie as [out / 16][k / 4][16][4] int8, k = tap * channels + c, with a scale for each
// output: what VPDPBUSD takes. Activations become bytes when they are multiplied, with a scale for
// each row; so a row's result does not depend on other rows than it sees. Before that they may be
// multiplied with `balance`, lest a few large channels leave the others no steps; weights were
// divided by it. Sums of a tap are exact: of 4,096 channels they have 28 bits. Equals `product.hpp`
// on weights and rows as they are rounded.
#pragma once

#include "memory.hpp"

namespace voxswap {

// `panels` are null where weights are bfloat16; `balance` where all of it is 1.
struct ByteProduct {
  const int8_t *panels;
  const float *scale, *balance, *bias;
  int32_t outputs, taps, channels, unused;

  int padded() const { return (outputs + PANEL - 1) / PANEL * PANEL; }
};

// Rows as bytes, of a product's taps: row t sees t to t + taps - 1. With a sign, a byte is 128 more
// than what it stands for, and `starts`, (taps, outputs), are what sums begin with for that.
struct Bytes {
  uint8_t *rows;
  float *scales;
  int32_t *starts;

  Bytes() = default;
  Bytes(Memory &memory, const ByteProduct &w, int count, bool has_sign) {
    rows = memory.take<uint8_t>((long)(count + w.taps - 1) * w.channels);
    scales = memory.take<float>(count + w.taps - 1);
    starts = has_sign ? memory.take<int32_t>((long)w.taps * w.padded()) : nullptr;
  }
};

#if VXK_INT8
// A row as bytes; returns its scale. That is NaN where a number is NaN or infinite: such a row must
// not pass for one that could be spoken.
static float quantise(const float *from, const float *balance, int channels, bool has_sign,
                      uint8_t *to) {
  const auto balanced = [&](int c) {
    return balance ? load(from + c) * load(balance + c) : load(from + c);
  };
  __m512i most = _mm512_setzero_si512();  // bits of floats without a sign are in the order of floats
  for (int c = 0; c < channels; c += WIDTH)
    most = _mm512_max_epu32(most, (__m512i)((BitVec)balanced(c) & 0x7fffffffu));
  const uint32_t bits = _mm512_reduce_max_epu32(most);
  float largest;
  memcpy(&largest, &bits, 4);
  const float steps = has_sign ? 127.0f : 255.0f;
  const float inverse = largest > 0 ? steps / largest : 0.0f;
  const __m512i zero = _mm512_set1_epi32(has_sign ? 128 : 0);
  for (int c = 0; c < channels; c += WIDTH) {
    const __m512i q = _mm512_cvtps_epi32((__m512)(balanced(c) * inverse));
    const __m512i byte = _mm512_max_epi32(_mm512_add_epi32(q, zero), _mm512_setzero_si512());
    _mm_storeu_si128((__m128i *)(to + c), _mm512_cvtusepi32_epi8(byte));
  }
  return bits < 0x7f800000u ? largest / steps : NAN;
}

// `count` rows, and as many of zeros before and behind them as half the taps reach.
static void quantise_all(const float *from, int count, const ByteProduct &w, const Bytes &to) {
  const int reach = w.taps / 2, all = count + w.taps - 1;
  for (int t = 0; t < all; t++) {
    uint8_t *row = to.rows + (long)t * w.channels;
    const bool is_zero = t < reach || t >= reach + count;
    if (is_zero) memset(row, 0, w.channels);
    const float *x = from + (long)(t - reach) * w.channels;
    to.scales[t] = is_zero ? 0 : quantise(x, w.balance, w.channels, to.starts, row);
  }
}

static void place_starts(const ByteProduct &w, int32_t *starts) {
  const int8_t *weights = w.panels;
  const __m512i ones = _mm512_set1_epi8(1);
  for (int n = 0; n < w.padded(); n += PANEL)
    for (int tap = 0; tap < w.taps; tap++) {
      __m512i sum[4] = {};
      for (int c = 0; c < w.channels; c += 16)
        for (int i = 0; i < 4; i++, weights += 4 * PANEL)
          sum[i] = _mm512_dpbusd_epi32(sum[i], ones, _mm512_loadu_si512(weights));
      const __m512i all = _mm512_add_epi32(_mm512_add_epi32(sum[0], sum[1]),
                                           _mm512_add_epi32(sum[2], sum[3]));
      const __m512i start = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(all, 7));
      _mm512_storeu_si512(starts + (long)tap * w.padded() + n, start);
    }
}

// As product.hpp's block: M rows from t on, N panels from column `column` on, [M][N * 16].
template <int M, int N>
static __attribute__((noinline)) void byte_block(const Bytes &x, const ByteProduct &w, int t,
                                                 int column, float *sums) {
  const long panel = (long)w.taps * w.channels * PANEL;
  const int8_t *weights = w.panels + column / PANEL * panel;
  const uint8_t *row = x.rows + (long)t * w.channels;
  for (int tap = 0; tap < w.taps; tap++, row += w.channels) {
    __m512i sum[M][N] = {};
    if (x.starts) {
      const int32_t *start = x.starts + (long)tap * w.padded() + column;
#pragma GCC unroll 16
      for (int m = 0; m < M; m++)
#pragma GCC unroll 16
        for (int n = 0; n < N; n++) sum[m][n] = _mm512_loadu_si512(start + n * PANEL);
    }
    const uint8_t *upper = row, *lower = row + M / 2 * (long)w.channels;
    for (int c = 0; c < w.channels; c += 4, upper += 4, lower += 4, weights += 4 * PANEL) {
      __m512i b[N];
#pragma GCC unroll 16
      for (int n = 0; n < N; n++) b[n] = _mm512_loadu_si512(weights + n * panel);
#pragma GCC unroll 16
      for (int m = 0; m < M; m++) {
        int32_t four;
        memcpy(&four, m < M / 2 ? upper + (long)m * w.channels : lower + (m - M / 2) * (long)w.channels, 4);
        const __m512i a = _mm512_set1_epi32(four);
        // By hand: of the intrinsic compilers keep sums in memory.
#pragma GCC unroll 16
        for (int n = 0; n < N; n++) asm("vpdpbusd %2, %1, %0" : "+v"(sum[m][n]) : "v"(a), "v"(b[n]));
      }
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; m++) {
      const Vec scale = all(x.scales[t + m + tap]);
#pragma GCC unroll 16
      for (int n = 0; n < N; n++) {
        float *to = sums + (m * N + n) * PANEL;
        store(to, fma((Vec)_mm512_cvtepi32_ps(sum[m][n]), scale, tap ? load(to) : Vec{}));
      }
    }
  }
  for (int m = 0; m < M; m++)
    for (int n = 0; n < N; n++) {
      float *to = sums + (m * N + n) * PANEL;
      store(to, load(to) * load(w.scale + column + n * PANEL));
    }
}

template <class Take>
static void multiply_alone(const Bytes &x, const ByteProduct &w, int first, int rows, Take &take) {
  const int panels = w.padded() / PANEL;
  int panel = 0;
  const auto stripe = [&](auto count) {
    constexpr int N = decltype(count)::value;
    float sums[BLOCK_ROWS<N> * N * PANEL];
    in_blocks<BLOCK_ROWS<N>>(rows, [&](auto some, int t) {
      constexpr int M = decltype(some)::value;
      byte_block<M, N>(x, w, first + t, panel * PANEL, sums);
      for (int m = 0; m < M; m++) take(first + t + m, panel * PANEL, N * PANEL, sums + m * N * PANEL);
    });
    panel += N;
  };
  while (panel + 4 <= panels) stripe(std::integral_constant<int, 4>());
  while (panel + 2 <= panels) stripe(std::integral_constant<int, 2>());
  if (panel < panels) stripe(std::integral_constant<int, 1>());
}

// `take` as of the other products.
template <class Take>
static void multiply(const Bytes &x, const ByteProduct &w, int rows, Take &&take) {
  if (x.starts) place_starts(w, x.starts);
  in_pieces(rows, (long)w.taps * w.channels * w.outputs, [&](int first, int count) {
    multiply_alone(x, w, first, count, take);
  });
}
#endif

}  // namespace voxswap
