// A layer of a feed-forward sequential memory network (Zhang et al. 2015), as Sambert has it: two
// products for each row, then a depthwise convolution around it, as far as its input allows.
//
// Equals conv1d, ReLU, conv1d without a bias, and conv1d with a group for each channel on a signal
// with `left` zeros before it and `right` behind; then what went into the last one is added, and,
// if the layer is as wide as its input, that as well. The result has the same bits whatever the cuts.
#pragma once

#include "memory.hpp"
#include "taps.hpp"

namespace voxswap {

// `taps` are (left + 1 + right, channels). A row is final once `right` more have come.
struct Fsmn {
  Product up, down;
  const float *taps;
  int32_t left, right;

  int channels() const { return down.outputs; }
  bool has_shortcut() const { return up.channels == down.outputs; }
};

struct FsmnState {
  Carry<float> seen, shortcut;
};

// Memory of a call, which nothing outlives.
struct FsmnMemory {
  Act *x, *wide;
  float *seen, *shortcut;

  FsmnMemory(Memory &memory, const Fsmn &w, int rows) {
    x = memory.rows<Act>(rows, w.up.channels);
    wide = memory.rows<Act>(rows, w.up.outputs);
    // What was kept, what comes, and zeros behind the end.
    seen = memory.take<float>((long)(w.left + w.right + rows + w.right) * w.channels());
    shortcut = memory.take<float>((long)(w.right + rows) * w.channels());
  }
};

static void place(Memory &memory, const Fsmn &w, FsmnState &state) {
  state.seen.place(memory, w.left + w.right, w.channels(), w.left);
  state.shortcut.place(memory, w.right, w.channels(), 0);
}
static long fsmn_state_bytes(const Fsmn &w) {
  Memory memory(nullptr);
  memory.take<FsmnState>(1);
  FsmnState counted;
  place(memory, w, counted);
  return memory.used();
}
static void fsmn_begin(const Fsmn &w, void *state) {
  Memory memory(state);
  place(memory, w, *memory.take<FsmnState>(1));
}
static long fsmn_memory_bytes(const Fsmn &w, int rows) {
  Memory memory(nullptr);
  FsmnMemory(memory, w, rows);
  return memory.used();
}

// `rows` more of x, (rows, up.channels); how many rows of y are final.
static int fsmn_advance(const Fsmn &w, void *state_, void *memory_, bool is_last, int rows,
                        const float *x, float *y) {
  Memory memory(memory_);
  const FsmnMemory m(memory, w, rows);
  FsmnState &state = *Memory(state_).take<FsmnState>(1);
  const int channels = w.channels(), wide = w.up.outputs;
  put_all(m.x, x, (long)rows * w.up.channels);
  multiply({m.x, w.up.channels, w.up.channels}, w.up, rows,
           [&](int t, int column, int n, const float *sums) {
             Act *to = m.wide + (long)t * wide + column;
             for (int i = 0; i < n; i += WIDTH)
               put(to + i, relu(load(sums + i) + load(w.up.bias + column + i)));
           });
  float *new_rows = state.seen.before(m.seen);
  multiply({m.wide, wide, wide}, w.down, rows, [&](int t, int column, int n, const float *sums) {
    memcpy(new_rows + (long)t * channels + column, sums, n * sizeof(float));
  });
  int have = state.seen.held + rows;
  if (is_last) {
    memset(m.seen + (long)have * channels, 0, sizeof(float) * w.right * channels);
    have += w.right;
  }
  const int made = std::max(0, have - w.left - w.right), waiting = state.shortcut.held + rows;
  if (w.has_shortcut())
    memcpy(state.shortcut.before(m.shortcut), x, sizeof(float) * rows * channels);
  for (long t = 0; t < made; t++) {
    const float *own = m.seen + (t + w.left) * channels, *around = m.shortcut + t * channels;
    float *to = y + t * channels;
    taps_of(m.seen, t, have, w.taps, nullptr, w.left + 1 + w.right, 1, channels, [&](int c, Vec sum) {
      const Vec plus = sum + load(own + c);
      store(to + c, w.has_shortcut() ? plus + load(around + c) : plus);
    });
  }
  // Of a signal that ends nothing is kept.
  state.seen.keep(m.seen + (long)made * channels, is_last ? 0 : have - made);
  if (w.has_shortcut())
    state.shortcut.keep(m.shortcut + (long)made * channels, is_last ? 0 : waiting - made);
  return made;
}

}  // namespace voxswap
