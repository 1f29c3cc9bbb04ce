// An LSTM, in one direction or both: `torch.nn.LSTM` of one layer, with its gates in their order.
//
// What its input brings to the gates is one product for all rows; what the row before brings is one
// for each. A signal may come in pieces, since the state is the caller's.
#pragma once

#include "memory.hpp"

namespace voxswap {

constexpr int MOST_DIRECTIONS = 2;

// Outputs of all products are 4 * hidden: input, forget, cell and output gates. Both have a bias. The
// second direction begins with the last row.
struct Lstm {
  Product inputs[MOST_DIRECTIONS], recurrent[MOST_DIRECTIONS];
  int32_t directions, hidden;

  int channels() const { return inputs[0].channels; }
};

struct LstmMemory {
  Act *x, *before;
  float *gates;

  LstmMemory(Memory &memory, const Lstm &w, int rows) {
    x = memory.rows<Act>(rows, w.channels());
    before = memory.rows<Act>(1, w.hidden);
    gates = memory.take<float>(4L * rows * w.hidden);
  }
};

// A row: its gates before their activation, and the cell and output of the row before to those of it.
static void lstm_row(const float *gates, int hidden, float *cell, float *output, Act *rounded) {
  for (int c = 0; c < hidden; c += WIDTH) {
    const Vec in = sigmoid(load(gates + c)), forget = sigmoid(load(gates + hidden + c));
    const Vec made = tanh_of(load(gates + 2 * hidden + c));
    const Vec out = sigmoid(load(gates + 3 * hidden + c));
    const Vec kept = fma(forget, load(cell + c), in * made);
    const Vec y = out * tanh_of(kept);
    store(cell + c, kept);
    store(output + c, y);
    put(rounded + c, y);
  }
}

// `x`, (rows, channels), to `y`, (rows, directions * hidden). `state` is (directions, 2, hidden).
static void lstm(const Lstm &w, const LstmMemory &m, int rows, const float *x, float *state, float *y) {
  const int channels = w.channels(), hidden = w.hidden, width = w.directions * hidden;
  put_all(m.x, x, (long)rows * channels);
  for (int d = 0; d < w.directions; d++, state += 2 * hidden) {
    const float *bias = w.inputs[d].bias, *recurrent_bias = w.recurrent[d].bias;
    multiply({m.x, channels, channels}, w.inputs[d], rows,
             [&](int t, int column, int n, const float *sums) {
               float *to = m.gates + 4L * t * hidden + column;
               for (int i = 0; i < n; i += WIDTH) store(to + i, load(sums + i) + load(bias + column + i));
             });
    // Widened once, where that is needed, and not for each row.
    const auto *panels = widen(w.recurrent[d].panels, 4L * hidden * hidden);
    if (!panels) return;
    float *output = state, *cell = state + hidden;
    put_all(m.before, output, hidden);
    for (int i = 0; i < rows; i++) {
      const int t = d ? rows - 1 - i : i;
      float *gates = m.gates + 4L * t * hidden;
      multiply({m.before, hidden, hidden}, 1, hidden, panels, 4 * hidden, 1,
               [&](int, int column, int n, const float *sums) {
                 float *to = gates + column;
                 for (int j = 0; j < n; j += WIDTH)
                   store(to + j, load(to + j) + (load(sums + j) + load(recurrent_bias + column + j)));
               });
      lstm_row(gates, hidden, cell, output, m.before);
      memcpy(y + (long)t * width + d * hidden, output, hidden * sizeof(float));
    }
  }
}

}  // namespace voxswap
