// A transformer's layer with relative positions: `vits/encoder.py`'s RelativeAttention, FeedForward
// and the norms after their shortcuts.
#pragma once

#include "bytes.hpp"
#include "norm.hpp"

namespace voxswap {

// `qkv` are three products in one; `near_keys` has the offsets of -window to window for outputs,
// `near_values` for inputs, sixteen of them. Where the products of bytes have weights, `up` and
// `down` have none.
struct EncoderLayer {
  Product qkv, out, up, down;
  const uint16_t *near_keys, *near_values;
  Norm norm_1, norm_2;
  int32_t heads, window;
  ByteProduct byte_up, byte_down;

  int channels() const { return qkv.channels; }
  int size() const { return qkv.channels / heads; }
  // The parts of its work, in order: projections, a head each, their sum, and feed-forward's two.
  int parts() const { return heads + 4; }
  bool has_bytes() const { return byte_up.panels; }
};

constexpr int NEAR = 16;              // offsets, with those that are none
constexpr int ATTENTION_ROWS = 48;    // whose scores are computed at a time
#if VXK_BF16
typedef uint16_t PanelItem;
#else
typedef float PanelItem;
#endif

// What the parts of a layer leave for each other; the next layer uses the same.
struct EncoderMemory {
  Act *x, *wide, *qkv, *attended;
  PanelItem *keys, *values;
  float *scores;
  Act *weights;
  float *wide_floats;  // in place of `wide`, where it shall be bytes
  Bytes up, down;

  EncoderMemory(Memory &memory, const EncoderLayer &layer, int rows) {
    const int channels = layer.channels(), columns = columns_of(rows);
    x = memory.rows<Act>(rows + layer.up.taps, channels);
    qkv = memory.rows<Act>(rows, 3 * channels);
    attended = memory.rows<Act>(rows, channels);
    keys = memory.take<PanelItem>((long)columns * layer.size());
    values = memory.take<PanelItem>((long)columns * layer.size());
    scores = memory.take<float>((long)ATTENTION_ROWS * columns);
    weights = memory.rows<Act>(ATTENTION_ROWS, columns);
    if (layer.has_bytes()) {
      wide_floats = memory.take<float>((long)rows * layer.down.channels);
      up = Bytes(memory, layer.byte_up, rows, true);
      down = Bytes(memory, layer.byte_down, rows, false);
    } else {
      wide = memory.rows<Act>(rows + layer.down.taps, layer.down.channels);
    }
  }
  // Columns of scores: those of the rows, to whole tiles, and of the offsets.
  static int columns_of(int rows) { return (rows + NEAR - 1) / 32 * 32 + 2 * NEAR; }
};

static long encoder_bytes(const EncoderLayer &layer, int rows) {
  Memory memory(nullptr);
  EncoderMemory(memory, layer, rows);
  return memory.used();
}

static VXK_INLINE PanelItem panel_item(Act x) { return x; }

// One head's keys as panels: outputs are rows of the signal, terms its channels.
static void pack_keys(const Act *keys, long stride, int rows, int columns, int size, PanelItem *to) {
  for (int panel = 0; panel < columns / PANEL; panel++) {
    for (int c = 0; c < size; c += 2)
      for (int i = 0; i < PANEL; i++) {
        const int t = panel * PANEL + i;
        const Act *key = keys + t * stride + c;
#if VXK_BF16
        to[c * PANEL + 2 * i] = t < rows ? key[0] : 0;
        to[c * PANEL + 2 * i + 1] = t < rows ? key[1] : 0;
#else
        to[c * PANEL + i] = t < rows ? key[0] : 0;
        to[c * PANEL + PANEL + i] = t < rows ? key[1] : 0;
#endif
      }
    to += (long)size * PANEL;
  }
}

// One head's values as panels: outputs are channels, terms rows of the signal.
static void pack_values(const Act *values, long stride, int rows, int columns, int size,
                        PanelItem *to, long panel) {
  for (int t = 0; t < columns; t += 2)
    for (int c = 0; c < size; c++) {
      PanelItem *at = to + c / PANEL * panel + t * PANEL;
      const int i = c % PANEL;
      const PanelItem first = t < rows ? values[t * stride + c] : 0;
      const PanelItem second = t + 1 < rows ? values[(t + 1) * stride + c] : 0;
#if VXK_BF16
      at[2 * i] = first, at[2 * i + 1] = second;
#else
      at[i] = first, at[PANEL + i] = second;
#endif
    }
}

// Learnt panels of bfloat16 beside those that were just packed.
static void copy_panels(const uint16_t *from, long count, PanelItem *to) {
#if VXK_BF16
  memcpy(to, from, count * sizeof(uint16_t));
#else
  for (long i = 0; i < count; i += 2 * PANEL)
    for (int c = 0; c < PANEL; c++) {
      to[i + c] = widened(from[i + 2 * c]);
      to[i + PANEL + c] = widened(from[i + 2 * c + 1]);
    }
#endif
}

// Softmax of row `t`'s scores, where the offsets' are added, as weights for values and offsets.
static void soften(float *scores, Act *weights, int t, int rows, int columns, int window) {
  float *near = scores + columns;
  for (int j = 0; j <= 2 * window; j++) {
    const int at = t + j - window;
    if (at >= 0 && at < rows) scores[at] += near[j];
  }
  for (int at = rows; at < columns; at++) scores[at] = -INFINITY;
  Vec most = load(scores);
  for (int at = WIDTH; at < columns; at += WIDTH) most = at_least(load(scores + at), most);
  const float top = largest_of(most);
  Vec sum{};
  for (int at = 0; at < columns; at += WIDTH) {
    const Vec e = exp_of(load(scores + at) - top);
    store(scores + at, e);
    sum += e;
  }
  const float scale = 1.0f / sum_of(sum);
  for (int at = 0; at < columns; at += WIDTH) put(weights + at, load(scores + at) * scale);
  for (int j = 0; j < NEAR; j++) {
    const int at = t + j - window;
    weights[columns + j] = j <= 2 * window && at >= 0 && at < rows ? weights[at] : Act(0);
  }
}

static void attend(const EncoderLayer &layer, const EncoderMemory &m, int rows, int head) {
  const int channels = layer.channels(), size = layer.size();
  const int all_columns = EncoderMemory::columns_of(rows), columns = all_columns - NEAR;
  const long stride = 3 * channels;
  const Act *query = m.qkv + head * size, *keys = query + channels, *values = keys + channels;
  pack_keys(keys, stride, rows, columns, size, m.keys);
  copy_panels(layer.near_keys, (long)size * NEAR, m.keys + (long)columns * size);
  const long panel = (long)all_columns * PANEL;
  pack_values(values, stride, rows, columns, size, m.values, panel);
  for (int i = 0; i < size / PANEL; i++)
    copy_panels(layer.near_values + (long)i * NEAR * PANEL, NEAR * PANEL,
                m.values + i * panel + (long)columns * PANEL);
  for (int first = 0; first < rows; first += ATTENTION_ROWS) {
    const int some = std::min(ATTENTION_ROWS, rows - first);
    multiply({query + first * stride, stride, size}, 1, size, m.keys, all_columns, some,
             [&](int t, int column, int count, const float *sums) {
               memcpy(m.scores + (long)t * all_columns + column, sums, count * sizeof(float));
             });
    for (int t = 0; t < some; t++)
      soften(m.scores + (long)t * all_columns, m.weights + (long)t * all_columns, first + t, rows,
             columns, layer.window);
    multiply({m.weights, all_columns, all_columns}, 1, all_columns, m.values, size, some,
             [&](int t, int column, int count, const float *sums) {
               Act *to = m.attended + (long)(first + t) * channels + head * size + column;
               for (int i = 0; i < count; i += WIDTH) put(to + i, load(sums + i));
             });
  }
}

// x = norm(x + y), where y is a product.
template <class Input, class Weights>
static void shortcut(const Input &input, const Weights &w, Norm norm, int rows, float *x) {
  const int channels = w.outputs;
  multiply(input, w, rows, [&](int t, int column, int count, const float *sums) {
    float *to = x + (long)t * channels + column;
    for (int i = 0; i < count; i += WIDTH)
      store(to + i, load(to + i) + (load(sums + i) + load(w.bias + column + i)));
  });
  for (int t = 0; t < rows; t++) {
    float *row = x + (long)t * channels;
    normalised(row, channels, norm, [&](int c, Vec y) { store(row + c, y); });
  }
}

// `count` rows from `to` + `before` rows on, with zeros before and behind.
static void with_zeros(Act *to, const float *from, int count, int channels, int before, int behind) {
  clear(to, (long)before * channels);
  put_all(to + (long)before * channels, from, (long)count * channels);
  clear(to + (long)(before + count) * channels, (long)behind * channels);
}

#if VXK_INT8
// Feed-forward's two products, of bytes.
static void widen_bytes(const EncoderLayer &layer, const EncoderMemory &m, int rows, const float *x) {
  const ByteProduct &w = layer.byte_up;
  quantise_all(x, rows, w, m.up);
  multiply(m.up, w, rows, [&](int t, int column, int count, const float *sums) {
    float *to = m.wide_floats + (long)t * w.outputs + column;
    for (int i = 0; i < count; i += WIDTH)
      store(to + i, relu(load(sums + i) + load(w.bias + column + i)));
  });
}
static void narrow_bytes(const EncoderLayer &layer, const EncoderMemory &m, int rows, float *x) {
  quantise_all(m.wide_floats, rows, layer.byte_down, m.down);
  shortcut(m.down, layer.byte_down, layer.norm_2, rows, x);
}
#endif

// Parts [first, last) of a layer, on `x` of (rows, channels).
static void encode(const EncoderLayer &layer, int rows, float *x, void *memory_, int first, int last) {
  Memory memory(memory_);
  const EncoderMemory m(memory, layer, rows);
  const int channels = layer.channels(), heads = layer.heads;
  const float scale = 1.0f / sqrtf((float)layer.size());
  for (int part = first; part < last; part++) {
    if (part == 0) {
      put_all(m.x, x, (long)rows * channels);
      multiply({m.x, channels, channels}, layer.qkv, rows,
               [&](int t, int column, int count, const float *sums) {
                 Act *to = m.qkv + (long)t * 3 * channels + column;
                 for (int i = 0; i < count; i += WIDTH) {
                   const Vec y = load(sums + i) + load(layer.qkv.bias + column + i);
                   put(to + i, column + i < channels ? y * scale : y);
                 }
               });
    } else if (part <= heads) {
      attend(layer, m, rows, part - 1);
    } else if (part == heads + 1) {
      shortcut(Rows{m.attended, channels, channels}, layer.out, layer.norm_1, rows, x);
#if VXK_INT8
    } else if (layer.has_bytes()) {
      if (part == heads + 2)
        widen_bytes(layer, m, rows, x);
      else
        narrow_bytes(layer, m, rows, x);
#endif
    } else if (part == heads + 2) {
      const int reach = layer.up.taps / 2, wide = layer.up.outputs, beyond = layer.down.taps / 2;
      with_zeros(m.x, x, rows, channels, reach, reach);
      clear(m.wide, (long)beyond * wide);
      Act *to = m.wide + (long)beyond * wide;
      multiply({m.x, channels, channels}, layer.up, rows,
               [&](int t, int column, int count, const float *sums) {
                 for (int i = 0; i < count; i += WIDTH)
                   put(to + (long)t * wide + column + i,
                       relu(load(sums + i) + load(layer.up.bias + column + i)));
               });
      clear(to + (long)rows * wide, (long)beyond * wide);
    } else {
      const int wide = layer.down.channels;
      shortcut(Rows{m.wide, wide, wide}, layer.down, layer.norm_2, rows, x);
    }
  }
}

}  // namespace voxswap
