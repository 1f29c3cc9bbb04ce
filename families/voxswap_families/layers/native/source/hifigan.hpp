// HiFi-GAN generators: `layers/hifigan.py`'s Generator, as far as its input allows; and KAN-TTS's,
// `sambert/generator.py`'s, which adds a sine to what a stage reads, may be causal, and may have a
// harmonic source.
//
// Each convolution keeps the end of its input, and the rows of a stage that are final are as many as
// its widest residual block has seen enough for. Nothing is computed twice, and the audio has the
// same bits whatever the cuts. A stage is computed some rows at a time, and what comes of them goes
// through all later stages before the next: so that it stays in the processor's cache.
//
// How long the signal is is said at the beginning. Behind its end there are rows of zeros, for each
// convolution anew, that nobody computes: so the end is no special case, and takes no longer.
#pragma once

#include "memory.hpp"

namespace voxswap {

constexpr int MOST_STAGES = 8, MOST_BLOCKS = 8, MOST_CONVS = 16;
constexpr int STAGE_ROWS = 512;
constexpr float SLOPE = 0.1f, LAST_SLOPE = 0.01f;

// A residual block: convolutions with a shortcut around each `span` of them.
struct Residual {
  Product convs[MOST_CONVS];
  int32_t dilations[MOST_CONVS];
  int32_t count, span;

  int span_of(int i) const { return (convs[i].taps - 1) * dilations[i]; }
  // What convolutions from `i` on see of what comes; `share` is 1 of 2, or 0 if they are causal.
  int ahead(int share, int i = 0) const {
    int sum = 0;
    for (; i < count; i++) sum += span_of(i) / 2 * share;
    return sum;
  }
};
// A transposed convolution as a product, whose outputs are `rate` rows; `cut` of the first are none.
struct Stage {
  Product up;
  int32_t rate, cut;
  Residual blocks[MOST_BLOCKS];

  int channels() const { return up.outputs / rate; }
};
enum { CAUSAL = 1, SINE = 2, POST_BIAS = 4 };
// `post` are (taps, channels): one output, whose bias lies behind them if there is one. `kind` are
// those of the above that it is.
struct Generator {
  Product pre;
  Stage stages[MOST_STAGES];
  const float *post;
  int32_t post_taps, count, blocks, kind;

  int share() const { return kind & CAUSAL ? 0 : 1; }
  // Of a convolution outside of residual blocks: what it sees before each row.
  int before(int taps) const { return kind & CAUSAL ? taps - 1 : taps / 2; }
  // Rows of a stage that its residual blocks see ahead, and that they read before a row: without
  // causality each has memory of what is before, but for the first convolutions.
  int ahead(int stage) const {
    int most = 0;
    for (int b = 0; b < blocks; b++) most = std::max(most, stages[stage].blocks[b].ahead(share()));
    return most;
  }
  int behind(int stage) const {
    if (share()) return ahead(stage);
    int most = 0;
    for (int b = 0; b < blocks; b++) most = std::max(most, stages[stage].blocks[b].span_of(0));
    return most;
  }
  float post_bias() const {
    return kind & POST_BIAS ? post[post_taps * stages[count - 1].channels()] : 0.0f;
  }
  int hop() const {
    int samples = 1;
    for (int i = 0; i < count; i++) samples *= stages[i].rate;
    return samples;
  }
};

struct ConvState {
  Carry<Act> seen;
  Carry<float> shortcut;
};
struct StageState {
  Carry<Act> inputs;       // of the upsampling
  Carry<Act> active;       // the stage's rows from `done` - reach on, behind their activation
  Carry<float> plain;      // and before it
  ConvState convs[MOST_BLOCKS][MOST_CONVS];
  long inputs_seen, rows, done;
  long total;  // rows of the signal: what is behind them is zero
};
struct GeneratorState {
  struct Head {
    Carry<Act> pre, post;
    long frames, seen, samples;  // of the signal, those that came, and those that were given
  };
  Head *head;
  StageState *stages;

  GeneratorState(Memory &memory, const Generator &w)
      : head(memory.take<Head>(1)), stages(memory.take<StageState>(w.count)) {}

  void place(Memory &memory, const Generator &w, long frames) {
    Head counted_head;
    StageState counted_stage;
    Head &h = head ? *head : counted_head;
    h.pre.place(memory, w.pre.taps - 1, w.pre.channels, w.before(w.pre.taps));
    h.frames = frames;
    h.seen = h.samples = 0;
    for (int i = 0; i < w.count; i++) {
      const Stage &stage = w.stages[i];
      StageState &s = stages ? stages[i] : counted_stage;
      const int channels = stage.channels(), behind = w.behind(i), most = behind + w.ahead(i);
      s.inputs.place(memory, stage.up.taps - 1, stage.up.channels, stage.up.taps - 1);
      s.active.place(memory, most, channels, behind);
      s.plain.place(memory, most, channels, behind);
      for (int b = 0; b < w.blocks; b++) {
        const Residual &block = stage.blocks[b];
        for (int j = 1; j < block.count; j++) {
          const int span = block.span_of(j);
          s.convs[b][j].seen.place(memory, span, channels, w.share() ? span / 2 : span);
        }
        // What a shortcut goes around waits as long as the convolutions do.
        for (int j = block.span; j < block.count; j += block.span)
          s.convs[b][j].shortcut.place(
              memory, block.ahead(w.share(), j) - block.ahead(w.share(), j + block.span), channels, 0);
      }
      s.inputs_seen = s.rows = s.done = 0;
      s.total = frames *= stage.rate;
    }
    h.post.place(memory, w.post_taps - 1, w.stages[w.count - 1].channels(), w.before(w.post_taps));
  }
};

// Memory of a call, which nothing outlives. The stages share all but what goes to the next one.
struct GeneratorMemory {
  Act *frames, *inputs[MOST_STAGES + 1], *active, *seen[2];
  float *plain, *shortcut[2], *sum, *samples;

  GeneratorMemory(Memory &memory, const Generator &w, int frames_most) {
    frames = memory.rows<Act>(frames_most + 3 * w.pre.taps, w.pre.channels);
    inputs[0] = memory.rows<Act>(frames_most + 2 * w.stages[0].up.taps + w.pre.taps, w.pre.outputs);
    long most = 0, most_rows = 0;
    for (int i = 0; i < w.count; i++) {
      const long rows = rows_of(w, i), channels = w.stages[i].channels();
      const int next = i + 1 < w.count ? 2 * w.stages[i + 1].up.taps : 2 * w.post_taps;
      inputs[i + 1] = memory.rows<Act>(rows + next, channels);
      most = std::max(most, (rows + SPARE_ROWS) * channels);
      most_rows = std::max(most_rows, rows);
    }
    active = memory.take<Act>(most);
    plain = memory.take<float>(most);
    sum = memory.take<float>(most);
    for (int i = 0; i < 2; i++) {
      seen[i] = memory.take<Act>(most);
      shortcut[i] = memory.take<float>(most);
    }
    samples = memory.take<float>(most_rows + 2 * w.post_taps + WIDTH);
  }
  // Rows of a stage that are in memory at a time, at most.
  static long rows_of(const Generator &w, int stage) {
    const Stage &s = w.stages[stage];
    return std::max(STAGE_ROWS, s.rate) + (long)s.rate * s.up.taps +
           2 * (w.ahead(stage) + w.behind(stage)) +
           s.cut;
  }
};

static long generator_state_bytes(const Generator &w) {
  Memory memory(nullptr);
  GeneratorState state(memory, w);
  state.place(memory, w, 0);
  return memory.used();
}
static void generator_begin(const Generator &w, void *state_, long frames) {
  Memory memory(state_);
  GeneratorState state(memory, w);
  state.place(memory, w, frames);
}
static long generator_memory_bytes(const Generator &w, int frames) {
  Memory memory(nullptr);
  GeneratorMemory(memory, w, frames);
  return memory.used();
}

// What a harmonic source adds to each stage: (rows, channels), of which the first one is row `first`.
struct Source {
  const float *rows[MOST_STAGES];
  int64_t first[MOST_STAGES];
};

// A call: what it computes with, and where its audio goes.
struct Generating {
  const Generator &w;
  GeneratorState state;
  GeneratorMemory m;
  float *audio;
  const Source *source;
  Act *active;   // of a stage's rows in memory
  float *plain;

  void stage(int i, Act *inputs, int count);
  int blocks(int i, Act *out);
  template <class Take> void block(int i, int b, int count, Take &&take);
  void post(Act *rows, int count);
  // What a stage's upsampling reads.
  Vec read(Vec x) const { return leaky_relu(w.kind & SINE ? x + sin_of(x) : x, SLOPE); }
};

// How many of `count` rows from `first` on are before `end`.
static VXK_INLINE int within(long first, int count, long end) {
  return (int)std::min<long>(count, std::max<long>(0, end - first));
}
template <class T> static void silence(T *rows, int from, int count, int channels) {
  memset((void *)(rows + (long)from * channels), 0, sizeof(T) * (long)(count - from) * channels);
}

// The last convolution: a sample is the sum of all that it sees.
inline void Generating::post(Act *rows, int count) {
  const int channels = w.stages[w.count - 1].channels(), taps = w.post_taps;
  // `rows` lie behind room for what was kept.
  GeneratorState::Head &head = *state.head;
  Carry<Act> &kept = head.post;
  Act *first = rows - (long)kept.held * channels;
  kept.before(first);
  const int have = kept.held + count, all = std::max(0, have - (taps - 1));
  const int made = within(head.samples, all, state.stages[w.count - 1].total);
  for (int t = 0; t < made; t++) {
    Vec sum[4] = {};
    const Act *x = first + (long)t * channels;
    for (int i = 0, v = 0; i < taps * channels; i += WIDTH, v = (v + 1) % 4)
      sum[v] = fma(get(x + i), load(w.post + i), sum[v]);
    m.samples[t] = sum_of((sum[0] + sum[1]) + (sum[2] + sum[3])) + w.post_bias();
  }
  for (int t = 0; t < made; t += WIDTH) {
    const Vec y = tanh_of(load(m.samples + t));
    if (t + WIDTH <= made) store(audio + t, y);
    else memcpy(audio + t, &y, (made - t) * sizeof(float));
  }
  audio += made;
  head.samples += made;
  const int left = std::min(have, taps - 1);
  kept.keep(first + (long)(have - left) * channels, left);
}

// One residual block of stage `i`: its output for rows [done, done + count) goes to `take`.
//
// Convolution j has made rows up to `done` and as many more as the later ones see; its input begins
// at the first row that it still needs. Before row 0 and behind the last one lie zeros.
template <class Take>
void Generating::block(int i, int b, int count, Take &&take) {
  const Residual &block = w.stages[i].blocks[b];
  StageState &s = state.stages[i];
  const int channels = w.stages[i].channels();
  const long window = s.done - w.behind(i);  // the row that `active` and `plain` begin at
  const Act *input = nullptr;
  const float *around = nullptr;
  int have = 0, around_have = 0, side = 0, around_side = 0;
  for (int j = 0; j < block.count; j++) {
    const Product &conv = block.convs[j];
    const int span = block.span_of(j), before = w.share() ? span / 2 : span;
    const int later = block.ahead(w.share(), j + 1);
    const bool ends = (j + 1) % block.span == 0;
    const bool ends_all = j + 1 == block.count;
    const long was = s.done ? s.done + later : 0;
    const int made = (int)(s.done + count + later - was), heard = within(was, made, s.total);
    if (j == 0) input = active + (was - before - window) * channels;
    if (j < block.span) around = plain + (was - window) * channels;
    Act *next = m.seen[side];
    float *next_around = m.shortcut[around_side];
    ConvState *after = ends_all ? nullptr : &s.convs[b][j + 1];
    if (after) next = after->seen.before(next);
    if (after && ends) next_around = after->shortcut.before(next_around);
    multiply({input, channels, (long)block.dilations[j] * channels}, conv, heard,
             [&](int t, int column, int n, const float *sums) {
               const long at = (long)t * channels + column;
               for (int c = 0; c < n; c += WIDTH) {
                 Vec y = load(sums + c) + load(conv.bias + column + c);
                 if (ends) y += load(around + at + c);
                 if (ends_all) {
                   take(at + c, y);
                 } else {
                   put(next + at + c, leaky_relu(y, SLOPE));
                   if (ends) store(next_around + at + c, y);
                 }
               }
             });
    if (j) s.convs[b][j].seen.keep(input + (long)(have - span) * channels, span);
    if (ends && j >= block.span)
      s.convs[b][j + 1 - block.span].shortcut.keep(around + (long)made * channels, around_have - made);
    if (!after) break;
    silence(next, heard, made, channels);
    if (ends) silence(next_around, heard, made, channels);
    input = m.seen[side];
    have = after->seen.held + made;
    side = 1 - side;
    if (!ends) continue;
    around = m.shortcut[around_side];
    around_have = after->shortcut.held + made;
    around_side = 1 - around_side;
  }
}

// What of a stage is final becomes the next one's input, from `out` on; how many rows that are.
inline int Generating::blocks(int i, Act *out) {
  StageState &s = state.stages[i];
  const int channels = w.stages[i].channels();
  const int count = (int)std::max(0L, s.rows - w.ahead(i) - s.done);
  if (!count) return 0;
  const bool is_end = i + 1 == w.count;
  const float share = 1.0f / w.blocks;
  for (int b = 0; b < w.blocks; b++) {
    const bool is_first = b == 0, is_last_block = b + 1 == w.blocks;
    block(i, b, count, [&](long at, Vec y) {
      const Vec total = is_first ? y : y + load(m.sum + at);
      if (is_last_block)
        put(out + at, is_end ? leaky_relu(total * share, LAST_SLOPE) : read(total * share));
      else store(m.sum + at, total);
    });
  }
  silence(out, within(s.done, count, s.total), count, channels);
  return count;
}

// `count` rows behind room for what was kept, through stage `i` and all that follow.
inline void Generating::stage(int i, Act *inputs, int count) {
  const Stage &stage = w.stages[i];
  StageState &s = state.stages[i];
  const int width = stage.up.channels, channels = stage.channels(), before = stage.up.taps - 1;
  const int behind = w.behind(i);
  const float *more = source ? source->rows[i] : nullptr;
  Act *first = inputs - (long)before * width;
  s.inputs.before(first);
  const int most = std::max(1, STAGE_ROWS / stage.rate);
  // Inputs of which a row of the signal is made.
  const long heard = (s.total + stage.cut + stage.rate - 1) / stage.rate;
  for (int at = 0; at < count; at += most) {
    const int some = std::min(most, count - at);
    // Room before it for rows that are cut off.
    active = m.active + (long)stage.cut * channels;
    plain = m.plain + (long)stage.cut * channels;
    s.active.before(active);
    s.plain.before(plain);
    const long window = s.done - behind;
    const long first_row = s.inputs_seen * stage.rate - stage.cut;
    const long origin = (first_row - window) * channels;
    multiply({first + (long)at * width, width, width}, stage.up, within(s.inputs_seen, some, heard),
             [&](int q, int column, int n, const float *sums) {
               const long to = origin + (long)q * stage.up.outputs + column;
               for (int c = 0; c < n; c += WIDTH) {
                 Vec y = load(sums + c) + load(stage.up.bias + column + c);
                 if (more) {
                   const int wide = column + c;
                   const long row = first_row + (long)q * stage.rate + wide / channels;
                   if (row >= 0 && row < s.total)
                     y += load(more + (row - source->first[i]) * channels + wide % channels);
                 }
                 store(plain + to + c, y);
                 put(active + to + c, leaky_relu(y, SLOPE));
               }
             });
    // Before the signal there is nothing, also where cut rows were computed.
    if (!s.done) clear(active, (long)behind * channels);
    s.inputs_seen += some;
    s.rows = std::max(0L, s.inputs_seen * stage.rate - stage.cut);
    const int end = (int)(s.rows - window), heard_end = within(window, end, s.total);
    silence(active, heard_end, end, channels);
    silence(plain, heard_end, end, channels);
    const bool is_end = i + 1 == w.count;
    const int room = is_end ? state.head->post.held : w.stages[i + 1].up.taps - 1;
    Act *out = m.inputs[i + 1] + (long)room * w.stages[i].channels();
    const int made = blocks(i, out);
    s.done += made;
    const int left = (int)(s.rows - (s.done - behind));
    s.active.keep(active + (long)made * channels, left);
    s.plain.keep(plain + (long)made * channels, left);
    if (!made) continue;
    if (is_end) post(out, made);
    else this->stage(i + 1, out, made);
  }
  s.inputs.keep(first + (long)count * width, before);
}

// `count` frames more, of which those behind the signal's end are not read; how many samples they
// made. All are made once as many came behind the end as a sample depends on.
static long generate(const Generator &w, void *state_, void *memory_, int count, const float *frames,
                     float *audio, const Source *source = nullptr) {
  Memory kept(state_), memory(memory_);
  Generating g{w, {kept, w}, {memory, w, count}, audio, source, nullptr, nullptr};
  const int channels = w.pre.channels, width = w.pre.outputs, span = w.pre.taps - 1;
  GeneratorState::Head &head = *g.state.head;
  Act *to = head.pre.before(g.m.frames);
  const int there = within(head.seen, count, head.frames);
  put_all(to, frames, (long)there * channels);
  silence(to, there, count, channels);
  const int have = head.pre.held + count, made = std::max(0, have - span);
  const int heard = within(g.state.stages[0].inputs_seen, made, head.frames);
  head.seen += count;
  Act *inputs = g.m.inputs[0] + (long)(w.stages[0].up.taps - 1) * width;
  multiply({g.m.frames, channels, channels}, w.pre, heard,
           [&](int t, int column, int n, const float *sums) {
             for (int c = 0; c < n; c += WIDTH)
               put(inputs + (long)t * width + column + c,
                   g.read(load(sums + c) + load(w.pre.bias + column + c)));
           });
  silence(inputs, heard, made, width);
  const int left = std::min(have, span);
  head.pre.keep(g.m.frames + (long)(have - left) * channels, left);
  if (made) g.stage(0, inputs, made);
  return g.audio - audio;
}

}  // namespace voxswap
