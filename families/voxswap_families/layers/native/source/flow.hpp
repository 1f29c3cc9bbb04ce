// Couplings on a WaveNet, undone: `vits/flow.py`'s PriorFlow, as far as its input allows.
//
// Each layer keeps the end of its input (`Carry`) and gives what it can: nothing is computed twice,
// and the result has the same bits whatever the cuts. The price is delay: a frame is final once
// `reach` more have come, or the last one.
#pragma once

#include "memory.hpp"

namespace voxswap {

constexpr int MOST_WAVENET = 32, MOST_COUPLINGS = 16;

// Shifts one half of the channels by what a WaveNet makes of the other. Of a gate's panels the even
// ones go through tanh and the odd ones through sigmoid.
struct Coupling {
  Product pre, post;
  Product gates[MOST_WAVENET], res_skips[MOST_WAVENET];
};
struct Flow {
  const Coupling *couplings;  // in the order in which they are undone
  int32_t count, layers;

  int channels() const { return couplings[0].pre.outputs; }
  int half() const { return couplings[0].pre.channels; }
  int reach() const { return couplings[0].gates[0].taps / 2; }
  int delay() const { return count * layers * reach(); }
};

// What one coupling keeps: of each layer its input for products, for the shortcut and its skips.
struct CouplingState {
  Carry<float> moved;  // the half that is shifted, until its shift is known
  Carry<float> kept;   // the other, which leaves with it
  Carry<Act> seen[MOST_WAVENET];
  Carry<float> shortcut[MOST_WAVENET], skips[MOST_WAVENET];
};

struct FlowState {
  CouplingState *couplings;

  FlowState(Memory &memory, const Flow &flow) {
    couplings = memory.take<CouplingState>(flow.count);
  }
  // Where everything lies, and nothing seen yet.
  void place(Memory &memory, const Flow &flow) {
    const int channels = flow.channels(), half = flow.half(), reach = flow.reach();
    CouplingState counted;
    for (int c = 0; c < flow.count; c++) {
      CouplingState &state = couplings ? couplings[c] : counted;
      state.moved.place(memory, flow.layers * reach, half, 0);
      state.kept.place(memory, flow.layers * reach, half, 0);
      for (int l = 0; l < flow.layers; l++) {
        state.seen[l].place(memory, 2 * reach, channels, reach);
        state.shortcut[l].place(memory, reach, channels, 0);
        state.skips[l].place(memory, reach, channels, 0);
      }
    }
  }
};

// Memory of a call, which nothing outlives. Two of what goes from layer to layer.
struct FlowMemory {
  float *out, *shortcut[2], *skips[2];
  Act *half, *gated, *seen[2];

  FlowMemory(Memory &memory, const Flow &flow, int most) {
    // What comes, what was kept, and the zeros behind the end.
    const int rows = most + flow.delay() + 3 * flow.reach(), channels = flow.channels();
    out = memory.take<float>((long)rows * 2 * flow.half());
    half = memory.rows<Act>(rows, flow.half());
    gated = memory.rows<Act>(rows, channels);
    for (int i = 0; i < 2; i++) {
      seen[i] = memory.rows<Act>(rows, channels);
      shortcut[i] = memory.take<float>((long)rows * channels);
      skips[i] = memory.take<float>((long)rows * channels);
    }
  }
};

static long flow_state_bytes(const Flow &flow) {
  Memory memory(nullptr);
  FlowState state(memory, flow);
  state.place(memory, flow);
  return memory.used();
}
static void flow_begin(const Flow &flow, void *state_) {
  Memory memory(state_);
  FlowState state(memory, flow);
  state.place(memory, flow);
}
static long flow_memory_bytes(const Flow &flow, int most) {
  Memory memory(nullptr);
  FlowMemory(memory, flow, most);
  return memory.used();
}

static void reverse_row(const float *from, int count, float *to) {
  for (int i = 0; i < count; i++) to[i] = from[count - 1 - i];
}

// One coupling: `z`, (rows, 2 * half), becomes what of `out` is final, and how many rows that are.
static int uncouple(const Coupling &w, const Flow &flow, CouplingState &state, const FlowMemory &m,
                    bool is_last, int rows, const float *z, float *out) {
  const int channels = flow.channels(), half = flow.half(), reach = flow.reach();
  const int layers = flow.layers, whole = 2 * half;
  // The flip before each coupling: its first half are the last channels, in reverse.
  float *kept = out, *moved = out + (long)(rows + state.kept.held) * half;
  float *new_kept = state.kept.before(kept), *new_moved = state.moved.before(moved);
  for (int t = 0; t < rows; t++) {
    reverse_row(z + (long)t * whole + half, half, new_kept + (long)t * half);
    reverse_row(z + (long)t * whole, half, new_moved + (long)t * half);
  }
  put_all(m.half, new_kept, (long)rows * half);

  int side = 0, count = rows, had = state.seen[0].held;
  Act *seen = state.seen[0].before(m.seen[side]);
  float *shortcut = state.shortcut[0].before(m.shortcut[side]);
  float *skips = state.skips[0].before(m.skips[side]);
  multiply({m.half, half, half}, w.pre, rows, [&](int t, int column, int n, const float *sums) {
    const long at = (long)t * channels + column;
    for (int i = 0; i < n; i += WIDTH) {
      const Vec y = load(sums + i) + load(w.pre.bias + column + i);
      store(shortcut + at + i, y);
      put(seen + at + i, y);
      store(skips + at + i, Vec{});
    }
  });
  for (int l = 0; l < layers; l++) {
    // This layer's input is whole on this side: what was kept, and `count` rows.
    const bool feeds = l + 1 < layers;
    Act *input = m.seen[side];
    const float *plain = m.shortcut[side], *sums_before = m.skips[side];
    int have = had + count;
    if (is_last) {
      clear(input + (long)have * channels, (long)reach * channels);
      have += reach;
    }
    const int made = std::max(0, have - 2 * reach);
    multiply({input, channels, channels}, w.gates[l], made,
             [&](int t, int column, int n, const float *sums) {
               const float *bias = w.gates[l].bias + column;
               for (int p = 0; p < n; p += 2 * PANEL)
                 for (int i = 0; i < PANEL; i += WIDTH) {
                   const Vec wave = tanh_of(load(sums + p + i) + load(bias + p + i));
                   const Vec gate = sigmoid(load(sums + p + PANEL + i) + load(bias + p + PANEL + i));
                   put(m.gated + (long)t * channels + (column + p) / 2 + i, wave * gate);
                 }
             });
    const int pending = state.shortcut[l].held;
    side = 1 - side;
    float *next_skips = m.skips[side], *next_shortcut = m.shortcut[side];
    Act *next_seen = m.seen[side];
    if (feeds) {
      next_seen = state.seen[l + 1].before(next_seen);
      next_shortcut = state.shortcut[l + 1].before(next_shortcut);
      next_skips = state.skips[l + 1].before(next_skips);
    }
    const Product &last = w.res_skips[l];
    multiply({m.gated, channels, channels}, last, made, [&](int t, int column, int n, const float *sums) {
      const long row = (long)t * channels;
      for (int i = 0; i < n; i += WIDTH) {
        const int c = column + i;
        const Vec y = load(sums + i) + load(last.bias + c);
        if (feeds && c < channels) {
          const Vec x = y + load(plain + row + c);
          store(next_shortcut + row + c, x);
          put(next_seen + row + c, x);
        } else {
          const long at = row + (feeds ? c - channels : c);
          store(next_skips + at, y + load(sums_before + at));
        }
      }
    });
    // Of a signal that ends nothing is kept.
    const int kept_rows = is_last ? 0 : std::min(have, 2 * reach);
    state.seen[l].keep(input + (long)(have - kept_rows) * channels, kept_rows);
    const int left = is_last ? 0 : pending + count - made;
    state.shortcut[l].keep(plain + (long)made * channels, left);
    state.skips[l].keep(sums_before + (long)made * channels, left);
    had = feeds ? state.seen[l + 1].held : 0;
    count = made;
  }
  // The skips of the last layer's rows, all of which are final.
  put_all(m.gated, m.skips[side], (long)count * channels);
  multiply({m.gated, channels, channels}, w.post, count, [&](int t, int column, int n, const float *sums) {
    float *to = moved + (long)t * half + column;
    for (int i = 0; i < n; i += WIDTH)
      store(to + i, load(to + i) - (load(sums + i) + load(w.post.bias + column + i)));
  });
  const int left = state.kept.held + rows - count;
  state.kept.keep(kept + (long)count * half, is_last ? 0 : left);
  state.moved.keep(moved + (long)count * half, is_last ? 0 : left);
  return count;
}

// `rows` latents more, (rows, 2 * half), through all couplings; how many are final, into `out`.
static int flow_advance(const Flow &flow, void *state_, void *memory_, bool is_last, int rows,
                        const float *z, float *out) {
  Memory kept(state_), memory(memory_);
  FlowState state(kept, flow);
  const FlowMemory m(memory, flow, rows);
  const int half = flow.half(), whole = 2 * half;
  for (int c = 0; c < flow.count; c++) {
    const int held = state.couplings[c].kept.held;
    const int made = uncouple(flow.couplings[c], flow, state.couplings[c], m, is_last, rows, z, m.out);
    const float *first = m.out, *second = m.out + (long)(rows + held) * half;
    for (int t = 0; t < made; t++) {
      memcpy(out + (long)t * whole, first + (long)t * half, half * sizeof(float));
      memcpy(out + (long)t * whole + half, second + (long)t * half, half * sizeof(float));
    }
    rows = made;
    z = out;
  }
  return rows;
}

}  // namespace voxswap
