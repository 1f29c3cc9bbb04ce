// One product for everything: y[t][n] = sum of x[t * stride + tap * tap_stride + c] w[n][tap][c].
//
// Convolutions, transposed ones, projections, gates and attention's two products are this, on rows
// of a signal with its channels last; rows may overlap. Equals `torch.nn.functional.linear` on what
// each output sees.
//
// Weights lie as [out / 16][k / 2][16][2] bfloat16, k = tap * channels + c. Those bytes are what
// VDPBF16PS and BFDOT take, are a tile of AMX, and with a shift and a mask are two rows of floats.
// A panel is sixteen outputs. Of a row and a column the terms are always added in one order, so a
// row's result does not depend on what else is computed, nor on where a signal is cut.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "activation.hpp"
#include "lending.hpp"
#if VXK_AMX
#include "tiles.hpp"
#endif

namespace voxswap {

constexpr int PANEL = 16;
// Rows that must be readable, and are not used, behind the last one that a product is asked for.
constexpr int SPARE_ROWS = 32;

// What a product multiplies with. `bias` may be null; both have whole panels.
struct Product {
  const uint16_t *panels;
  const float *bias;
  int32_t outputs, taps, channels, unused;

  int padded() const { return (outputs + PANEL - 1) / PANEL * PANEL; }
};

// Rows of the input: of row t, tap j begins at first + t * stride + j * tap_stride.
struct Rows {
  const Act *first;
  long stride, tap_stride;
};

// A block is M rows by N panels, whose sums stay in registers.
#if VXK_BF16 && defined(__AVX512F__)
struct Lanes {  // a register of weights: sixteen outputs, two terms each
  __m512bh pairs;
};
constexpr int REGISTERS = 1;  // that a panel has
static VXK_INLINE Lanes lanes(const uint16_t *w, int) {
  return {(__m512bh)_mm512_loadu_si512(w)};
}
struct Term {
  __m512bh pair;
};
static VXK_INLINE Term term(const Act *x) {
  int32_t pair;
  memcpy(&pair, x, 4);
  return {(__m512bh)_mm512_set1_epi32(pair)};
}
static VXK_INLINE Vec added(Vec sum, Term a, Lanes b) {
  return (Vec)_mm512_dpbf16_ps((__m512)sum, a.pair, b.pairs);
}
typedef uint16_t Weight;
#elif VXK_BF16
struct Lanes {
  bfloat16x8_t pairs;
};
constexpr int REGISTERS = 4;
static VXK_INLINE Lanes lanes(const uint16_t *w, int i) {
  return {vld1q_bf16((const bfloat16_t *)w + 8 * i)};
}
struct Term {
  bfloat16x8_t pair;
};
static VXK_INLINE Term term(const Act *x) {
  uint32_t pair;
  memcpy(&pair, x, 4);
  return {vreinterpretq_bf16_u32(vdupq_n_u32(pair))};
}
static VXK_INLINE Vec added(Vec sum, Term a, Lanes b) {
  return (Vec)vbfdotq_f32((float32x4_t)sum, a.pair, b.pairs);
}
typedef uint16_t Weight;
#elif defined(__AVX512F__)
struct Lanes {
  Vec even, odd;
};
constexpr int REGISTERS = 1;
static VXK_INLINE Lanes lanes(const float *w, int) { return {load(w), load(w + PANEL)}; }
static VXK_INLINE Lanes lanes(const uint16_t *w, int) {
  const __m512i pairs = _mm512_loadu_si512(w);
  return {(Vec)_mm512_slli_epi32(pairs, 16),
          (Vec)_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000))};
}
struct Term {
  Vec even, odd;
};
static VXK_INLINE Term term(const Act *x) { return {all(x[0]), all(x[1])}; }
static VXK_INLINE Vec added(Vec sum, Term a, Lanes b) {
  return fma(a.odd, b.odd, fma(a.even, b.even, sum));
}
#endif

#if VXK_BF16 || defined(__AVX512F__)
// The sums of M rows and N panels into `sums`, [M][N * 16].
template <int M, int N, class W>
static __attribute__((noinline)) void block(Rows x, int taps, int pairs, const W *w, long panel,
                                            float *sums) {
  constexpr int V = N * REGISTERS;
  Vec sum[M][V] = {};
  const Act *tap = x.first;
  for (int j = 0; j < taps; j++, tap += x.tap_stride) {
    // Two pointers, so that offsets of rows are few enough for the processor's addressing.
    const Act *upper = tap, *lower = tap + M / 2 * x.stride;
    for (int p = 0; p < pairs; p++, upper += 2, lower += 2, w += 2 * PANEL) {
      Lanes b[V];
#pragma GCC unroll 16
      for (int v = 0; v < V; v++) b[v] = lanes(w + v / REGISTERS * panel, v % REGISTERS);
#pragma GCC unroll 16
      for (int m = 0; m < M; m++) {
        const Term a = term(m < M / 2 ? upper + m * x.stride : lower + (m - M / 2) * x.stride);
#pragma GCC unroll 16
        for (int v = 0; v < V; v++) sum[m][v] = added(sum[m][v], a, b[v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; m++)
#pragma GCC unroll 16
    for (int v = 0; v < V; v++) store(sums + m * N * PANEL + v * WIDTH, sum[m][v]);
}
#else
// Of floats there are too few registers for more than one panel. Weights are [k][16] here.
template <int M, int N, class W>
static __attribute__((noinline)) void block(Rows x, int taps, int pairs, const W *w, long panel,
                                            float *sums) {
  constexpr int V = PANEL / WIDTH;
  for (int n = 0; n < N; n++) {
    Vec sum[M][V] = {};
    const float *weights = w + n * panel;
    const Act *tap = x.first;
    for (int j = 0; j < taps; j++, tap += x.tap_stride) {
      const Act *upper = tap, *lower = tap + M / 2 * x.stride;
      for (int k = 0; k < 2 * pairs; k++, upper++, lower++, weights += PANEL) {
        Vec b[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) b[v] = load(weights + v * WIDTH);
#pragma GCC unroll 16
        for (int m = 0; m < M; m++) {
          const Vec a = all(m < M / 2 ? upper[m * x.stride] : lower[(m - M / 2) * x.stride]);
#pragma GCC unroll 4
          for (int v = 0; v < V; v++) {
#if defined(__AVX2__)
            // In this order by hand: twelve sums, two weights and one input are fifteen of the
            // sixteen registers, and compilers spill.
            asm("vfmadd231ps %2, %1, %0" : "+x"(sum[m][v]) : "x"(a), "x"(b[v]));
#else
            sum[m][v] = fma(a, b[v], sum[m][v]);
#endif
          }
        }
      }
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; m++)
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) store(sums + m * N * PANEL + n * PANEL + v * WIDTH, sum[m][v]);
  }
}
#endif

#if defined(__AVX512F__)
template <int N> constexpr int BLOCK_ROWS = N == 4 ? 6 : N == 3 ? 8 : 12;
#elif defined(__AVX2__)
template <int N> constexpr int BLOCK_ROWS = 6;
#elif VXK_BF16
template <int N> constexpr int BLOCK_ROWS = N == 1 ? 6 : 2;
#else
template <int N> constexpr int BLOCK_ROWS = 6;
#endif

#if !VXK_BF16 && !defined(__AVX512F__)
// Panels as floats, [k][16]: widening once for many rows is less than widening in each block. Each
// thread has room for the largest that it met; C++ has no runtime here that would give it back.
// Null if there is no memory.
static const float *widen(const uint16_t *w, long count) {
  static thread_local float *to = nullptr;
  static thread_local long room = 0;
  if (room < count) {
    free(to);
    to = (float *)malloc(sizeof(float) * count);
    room = to ? count : 0;
    if (!to) {
      starved = true;
      return nullptr;
    }
  }
  for (long i = 0; i < count; i += 2 * PANEL)
    for (int c = 0; c < PANEL; c += WIDTH) {
      const BitVec pairs = *(const LooseBitVec *)(w + i + 2 * c);
      store(to + i + c, (Vec)(pairs << 16));
      store(to + i + PANEL + c, (Vec)(pairs & 0xffff0000u));
    }
  return to;
}
#else
static VXK_INLINE const uint16_t *widen(const uint16_t *w, long) { return w; }
#endif
static VXK_INLINE const float *widen(const float *w, long) { return w; }

// `some(count, t)` for all rows: M of them from row t on, and fewer at the end.
template <int M, class Some> static VXK_INLINE void in_blocks(int rows, Some &&some) {
  int t = 0;
  for (; t + M <= rows; t += M) some(std::integral_constant<int, M>(), t);
  if constexpr (M > 4)
    for (; t + 4 <= rows; t += 4) some(std::integral_constant<int, 4>(), t);
  for (; t + 2 <= rows; t += 2) some(std::integral_constant<int, 2>(), t);
  if (t < rows) some(std::integral_constant<int, 1>(), t);
}

// N panels for all rows, from column `column` on.
template <int N, class W, class Take>
static void stripe(Rows x, int taps, int pairs, const W *w, long panel, int rows, int column,
                   Take &take) {
  float sums[BLOCK_ROWS<N> * N * PANEL];
  const auto *weights = widen(w, N * panel);
  if (!weights) return;
  in_blocks<BLOCK_ROWS<N>>(rows, [&](auto count, int t) {
    constexpr int M = decltype(count)::value;
    block<M, N>({x.first + t * x.stride, x.stride, x.tap_stride}, taps, pairs, weights, panel, sums);
    for (int i = 0; i < M; i++) take(t + i, column, N * PANEL, sums + i * N * PANEL);
  });
}

#if VXK_AMX
// The same with tiles: 32 rows at a time. Rows behind the last are read, and dropped.
template <int N, class Take>
static void tile_stripe(Rows x, int taps, int channels, const uint16_t *w, long panel, int rows,
                        int column, Take &take) {
  alignas(64) float sums[32][N * PANEL];
  constexpr long width = N * PANEL * sizeof(float);
  const long stride = x.stride * sizeof(Act);
  for (int t = 0; t < rows; t += 32) {
    const bool two = rows - t > 16;
    tile_clear<0>(), tile_clear<1>(), tile_clear<2>(), tile_clear<3>();
    const Act *tap = x.first + t * x.stride;
    const uint16_t *weights = w;
    for (int j = 0; j < taps; j++, tap += x.tap_stride)
      for (int c = 0; c < channels; c += 32, weights += 32 * PANEL) {
        tile_load<4>(tap + c, stride);
        tile_load<6>(weights, 64);
        tile_multiply<0, 4, 6>();
        if (N > 1) tile_load<7>(weights + panel, 64), tile_multiply<1, 4, 7>();
        if (!two) continue;
        tile_load<5>(tap + 16 * x.stride + c, stride);
        tile_multiply<2, 5, 6>();
        if (N > 1) tile_multiply<3, 5, 7>();
      }
    tile_store<0>(sums[0], width);
    if (N > 1) tile_store<1>(sums[0] + PANEL, width);
    if (two) tile_store<2>(sums[16], width);
    if (two && N > 1) tile_store<3>(sums[16] + PANEL, width);
    const int found = std::min(32, rows - t);
    for (int m = 0; m < found; m++) take(t + m, column, N * PANEL, sums[m]);
  }
}
#endif

// `take(row, column, count, sums)` gets `count` sums of a row from a column on: a multiple of 16,
// and of 32 where the product has an even number of panels. `w` are panels, or on processors that
// multiply floats also floats as [out / 16][k][16].
template <class W, class Take>
static void multiply_alone(Rows x, int taps, int channels, const W *w, int outputs, int rows,
                           Take &&take) {
  const int panels = (outputs + PANEL - 1) / PANEL;
  const long panel = (long)taps * channels * PANEL;
  if (x.tap_stride == channels) channels *= taps, taps = 1;  // what a row sees lies in one piece
  int n = 0;
#if VXK_AMX
  if (channels % 32 == 0) {
    tiles_begin();
    for (; n + 2 <= panels; n += 2)
      tile_stripe<2>(x, taps, channels, w + n * panel, panel, rows, n * PANEL, take);
    if (n < panels) tile_stripe<1>(x, taps, channels, w + n * panel, panel, rows, n * PANEL, take);
    return;
  }
#endif
  const auto some = [&](auto count) {
    constexpr int N = decltype(count)::value;
    stripe<N>(x, taps, channels / 2, w + n * panel, panel, rows, n * PANEL, take);
    n += N;
  };
#if defined(__AVX512F__)
  if (panels % 4 && panels % 3 == 0 && panels % 2)
    while (n + 3 <= panels) some(std::integral_constant<int, 3>());
  while (n + 4 <= panels) some(std::integral_constant<int, 4>());
#endif
  while (n + 2 <= panels) some(std::integral_constant<int, 2>());
  if (n < panels) some(std::integral_constant<int, 1>());
}

// `run(first, count)` for all rows, of so many multiplications each: in pieces where others help.
template <class Run> static void in_pieces(int rows, long products, Run &&run) {
  const int piece = rows < 160 ? 24 : 48;
  if (rows <= piece || !may_share(rows * products))
    run(0, rows);
  else
    share(rows, piece, run);
}

template <class W, class Take>
static void multiply(Rows x, int taps, int channels, const W *w, int outputs, int rows, Take &&take) {
  in_pieces(rows, (long)taps * channels * outputs, [&](int first, int count) {
    const auto moved = [&](int t, int column, int n, const float *sums) {
      take(first + t, column, n, sums);
    };
    const Rows some{x.first + first * x.stride, x.stride, x.tap_stride};
    multiply_alone(some, taps, channels, w, outputs, count, moved);
  });
}

template <class Take>
static VXK_INLINE void multiply(Rows x, const Product &w, int rows, Take &&take) {
  multiply(x, w.taps, w.channels, w.panels, w.outputs, rows, take);
}

}  // namespace voxswap
