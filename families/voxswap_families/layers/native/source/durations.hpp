// Noise to durations: `vits/duration.py`'s DilatedSeparableConv and ConvFlow.
#pragma once

#include "memory.hpp"
#include "norm.hpp"
#include "taps.hpp"

namespace voxswap {

constexpr int MOST_SEPARABLE = 8;
constexpr int MOST_BINS = 64;

// Depthwise convolutions, whose dilation grows by the kernel's size, and pointwise ones. `taps` are
// (kernel, channels).
struct Separable {
  const float *taps[MOST_SEPARABLE], *tap_biases[MOST_SEPARABLE];
  Norm norms_1[MOST_SEPARABLE], norms_2[MOST_SEPARABLE];
  Product points[MOST_SEPARABLE];
  int32_t layers, kernel, channels, unused;
};

// Signals of (rows, channels) that one stack of them needs.
struct SeparableMemory {
  float *y;
  Act *active;

  SeparableMemory(Memory &memory, int rows, int channels) {
    y = memory.take<float>((long)rows * channels);
    active = memory.rows<Act>(rows, channels);
  }
};

// x, (rows, channels), through all layers.
static void separate(const Separable &w, const SeparableMemory &m, int rows, float *x) {
  const int channels = w.channels, reach = w.kernel / 2;
  int dilation = 1;
  for (int i = 0; i < w.layers; i++, dilation *= w.kernel) {
    for (int t = 0; t < rows; t++) {
      float *y = m.y + (long)t * channels;
      taps_of(x, t - (long)reach * dilation, rows, w.taps[i], w.tap_biases[i], w.kernel, dilation,
              channels, [&](int c, Vec v) { store(y + c, v); });
      Act *to = m.active + (long)t * channels;
      normalised(y, channels, w.norms_1[i], [&](int c, Vec v) { put(to + c, gelu(v)); });
    }
    const Product &point = w.points[i];
    multiply({m.active, channels, channels}, point, rows,
             [&](int t, int column, int count, const float *sums) {
               float *to = m.y + (long)t * channels + column;
               for (int c = 0; c < count; c += WIDTH)
                 store(to + c, load(sums + c) + load(point.bias + column + c));
             });
    for (int t = 0; t < rows; t++) {
      float *to = x + (long)t * channels;
      normalised(m.y + (long)t * channels, channels, w.norms_2[i],
                 [&](int c, Vec v) { store(to + c, load(to + c) + gelu(v)); });
    }
  }
}

// A coupling whose second channel goes through a spline made from the first.
struct SplineCoupling {
  Separable convs;
  const float *pre_weight, *pre_bias;
  Product proj;
  int32_t bins, unused;
};

constexpr float SPLINE_BOUND = 5.0f, LEAST_BIN = 1e-3f, LEAST_SLOPE = 1e-3f;

// Knots of a spline between -bound and bound; `sizes` are not normalised.
static void knots_of(const float *sizes, int bins, float scale, float *knots) {
  float most = sizes[0] * scale, sum = 0, e[MOST_BINS];
  for (int i = 1; i < bins; i++) most = std::max(most, sizes[i] * scale);
  for (int i = 0; i < bins; i++) sum += e[i] = expf(sizes[i] * scale - most);
  float share = 0;
  knots[0] = -SPLINE_BOUND;
  for (int i = 0; i < bins; i++) {
    share += LEAST_BIN + (1 - LEAST_BIN * bins) * (e[i] / sum);
    knots[i + 1] = share * (2 * SPLINE_BOUND) - SPLINE_BOUND;
  }
  knots[bins] = SPLINE_BOUND;
}

// Durkan et al., "Neural Spline Flows" (2019), eq. 6 to 8, undone. `h`: widths, heights, slopes.
static float undone(float y, const float *h, int bins, float scale) {
  if (!(fabsf(y) <= SPLINE_BOUND)) return y;
  float x_knots[MOST_BINS + 1], y_knots[MOST_BINS + 1];
  knots_of(h, bins, scale, x_knots);
  knots_of(h + bins, bins, scale, y_knots);
  int bin = 0;
  for (int i = 1; i < bins; i++) bin += y >= y_knots[i];
  const auto slope = [&](int i) {
    if (i == 0 || i == bins) return 1.0f;  // of the tails
    const float v = h[2 * bins + i - 1];
    return LEAST_SLOPE + (v > 20 ? v : log1pf(expf(v)));
  };
  const float width = x_knots[bin + 1] - x_knots[bin], height = y_knots[bin + 1] - y_knots[bin];
  const float left = slope(bin), right = slope(bin + 1), s = height / width;
  const float rise = y - y_knots[bin], curve = left + right - 2 * s;
  // The root of a x^2 + b x + c in the bin, in its numerically stable form.
  const float a = rise * curve + height * (s - left), b = height * left - rise * curve, c = -s * rise;
  const float inner = b * b - 4 * a * c;
  const float root = 2 * c / (-b - sqrtf(inner < 0 ? 0 : inner));
  return root * width + x_knots[bin];
}

struct SplineMemory {
  float *x, *h;
  SeparableMemory convs;

  SplineMemory(Memory &memory, const SplineCoupling &w, int rows)
      : x(memory.take<float>((long)rows * w.convs.channels)),
        h(memory.take<float>((long)rows * w.proj.padded())),
        convs(memory, rows, w.convs.channels) {}
};

// `changed` from `kept`, both (rows,); `condition` is (rows, channels).
static void undo_spline(const SplineCoupling &w, const SplineMemory &m, int rows,
                        const float *condition, const float *kept, float *changed) {
  const int channels = w.convs.channels, width = w.proj.padded();
  for (int t = 0; t < rows; t++)
    for (long c = 0; c < channels; c += WIDTH)
      store(m.x + t * channels + c, fma(load(w.pre_weight + c), all(kept[t]), load(w.pre_bias + c)) +
                                        load(condition + t * channels + c));
  separate(w.convs, m.convs, rows, m.x);
  put_all(m.convs.active, m.x, (long)rows * channels);
  multiply({m.convs.active, channels, channels}, w.proj, rows,
           [&](int t, int column, int count, const float *sums) {
             for (int c = 0; c < count; c += WIDTH)
               store(m.h + (long)t * width + column + c, load(sums + c) + load(w.proj.bias + column + c));
           });
  const float scale = 1.0f / sqrtf((float)channels);
  for (int t = 0; t < rows; t++) changed[t] = undone(changed[t], m.h + (long)t * width, w.bins, scale);
}

}  // namespace voxswap
