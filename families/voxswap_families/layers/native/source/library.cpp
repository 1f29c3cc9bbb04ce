// The C ABI. Whoever calls it has checked what its pointers point to; what can be checked here is.
//
// Memory is the caller's. A function returns 0 or a count, or a refusal, which is negative. It did
// nothing then, unless memory ran out, when what it was given to write to is lost. Nothing here
// raises or takes a lock.
#include "about.hpp"
#include "durations.hpp"
#include "encoder.hpp"
#include "flow.hpp"
#include "fsmn.hpp"
#include "hifigan.hpp"
#include "lstm.hpp"
#include "packing.hpp"

#define VXK_API extern "C" __attribute__((visibility("default")))

using namespace voxswap;

namespace {
// `library.py` has words for them.
constexpr int TOO_LONG = -1, BAD_SHAPE = -2, NO_MEMORY = -3;
constexpr int MOST_ROWS = 1 << 16;

// What a call gives that computed something.
template <class Result> Result ended(Result result) {
  if (!starved) return result;
  starved = false;
  return NO_MEMORY;
}

#if VXK_INT8
constexpr bool HAS_BYTES = true;
#else
constexpr bool HAS_BYTES = false;
#endif

bool fits(int rows) { return rows > 0 && rows <= MOST_ROWS; }
// Rows are copied, and products written, a panel at a time.
bool is_whole(int channels) { return channels > 0 && channels % PANEL == 0; }
bool can_be(const EncoderLayer &layer) { return HAS_BYTES || !layer.has_bytes(); }
bool can_be(const Lstm &w) {
  return w.directions > 0 && w.directions <= MOST_DIRECTIONS && is_whole(w.channels()) &&
         is_whole(w.hidden);
}
bool can_be(const Fsmn &w) {
  return is_whole(w.up.channels) && is_whole(w.up.outputs) && is_whole(w.channels()) &&
         w.left >= 0 && w.right >= 0;
}
}  // namespace

// y = x w + b, of (rows, taps * channels) float32 that do not overlap, or of rows that do: row t is
// x[t * stride] and its tap j x[t * stride + j * tap_stride].
VXK_API int64_t vxk_linear_bytes(const Product *w, int32_t rows) {
  if (!fits(rows)) return TOO_LONG;
  Memory memory(nullptr);
  memory.rows<Act>(rows + w->taps, w->channels);
  return memory.used();
}
// `x` is (rows + taps - 1, channels), `y` (rows, outputs to whole panels).
VXK_API int32_t vxk_linear(const Product *w, int32_t rows, const float *x, float *y, void *memory_) {
  if (!fits(rows)) return TOO_LONG;
  Memory memory(memory_);
  Act *input = memory.rows<Act>(rows + w->taps, w->channels);
  put_all(input, x, (long)(rows + w->taps - 1) * w->channels);
  const int width = w->padded();
  multiply({input, w->channels, w->channels}, *w, rows, [&](int t, int column, int n, const float *sums) {
    for (int c = 0; c < n; c += WIDTH) {
      const Vec sum = load(sums + c);
      store(y + (long)t * width + column + c, w->bias ? sum + load(w->bias + column + c) : sum);
    }
  });
  return ended(0);
}

// The same on bytes, with zeros before and behind `x`, (rows, channels); -1 where there is none.
VXK_API int64_t vxk_byte_linear_bytes(const ByteProduct *w, int32_t rows, int32_t has_sign) {
  if (!HAS_BYTES) return BAD_SHAPE;
  if (!fits(rows)) return TOO_LONG;
  Memory memory(nullptr);
  Bytes(memory, *w, rows, has_sign);
  return memory.used();
}
VXK_API int32_t vxk_byte_linear(const ByteProduct *w, int32_t rows, int32_t has_sign, const float *x,
                                float *y, void *memory_) {
  if (!HAS_BYTES) return BAD_SHAPE;
  if (!fits(rows)) return TOO_LONG;
#if VXK_INT8
  Memory memory(memory_);
  const Bytes bytes(memory, *w, rows, has_sign);
  quantise_all(x, rows, *w, bytes);
  const int width = w->padded();
  multiply(bytes, *w, rows, [&](int t, int column, int n, const float *sums) {
    for (int c = 0; c < n; c += WIDTH)
      store(y + (long)t * width + column + c, load(sums + c) + load(w->bias + column + c));
  });
#endif
  return 0;
}

// (rows, columns) of floats or of halves, with these strides, as panels of bfloat16 that lie one
// behind the other: `columns` is even. 1 if all are finite, else 0.
VXK_API int32_t vxk_pack(const void *from, int32_t is_bfloat16, int32_t rows, int64_t row_stride,
                         int32_t columns, int64_t column_stride, uint16_t *to, int64_t panel_stride) {
  if (rows < 1 || columns < 2 || columns % 2) return BAD_SHAPE;
  return pack(from, is_bfloat16, rows, row_stride, columns, column_stride, to, panel_stride);
}

VXK_API int64_t vxk_encoder_bytes(const EncoderLayer *layer, int32_t rows) {
  if (!can_be(*layer)) return BAD_SHAPE;
  return fits(rows) ? encoder_bytes(*layer, rows) : TOO_LONG;
}
VXK_API int32_t vxk_encode(const EncoderLayer *layer, int32_t rows, float *x, void *memory,
                           int32_t first_part, int32_t last_part) {
  if (!can_be(*layer) || first_part < 0 || last_part > layer->parts()) return BAD_SHAPE;
  if (!fits(rows)) return TOO_LONG;
  encode(*layer, rows, x, memory, first_part, last_part);
  return ended(0);
}

VXK_API int64_t vxk_separable_bytes(const Separable *w, int32_t rows) {
  if (!fits(rows)) return TOO_LONG;
  Memory memory(nullptr);
  SeparableMemory(memory, rows, w->channels);
  return memory.used();
}
VXK_API int32_t vxk_separable(const Separable *w, int32_t rows, float *x, void *memory_) {
  if (!fits(rows)) return TOO_LONG;
  Memory memory(memory_);
  separate(*w, SeparableMemory(memory, rows, w->channels), rows, x);
  return ended(0);
}

VXK_API int64_t vxk_spline_bytes(const SplineCoupling *w, int32_t rows) {
  if (!fits(rows)) return TOO_LONG;
  Memory memory(nullptr);
  SplineMemory(memory, *w, rows);
  return memory.used();
}
VXK_API int32_t vxk_spline(const SplineCoupling *w, int32_t rows, const float *condition,
                           const float *kept, float *changed, void *memory_) {
  if (w->bins < 1 || w->bins > MOST_BINS) return BAD_SHAPE;
  if (!fits(rows)) return TOO_LONG;
  Memory memory(memory_);
  undo_spline(*w, SplineMemory(memory, *w, rows), rows, condition, kept, changed);
  return ended(0);
}

VXK_API int64_t vxk_flow_state_bytes(const Flow *flow) { return flow_state_bytes(*flow); }
VXK_API int64_t vxk_flow_bytes(const Flow *flow, int32_t rows) {
  return fits(rows) ? flow_memory_bytes(*flow, rows) : TOO_LONG;
}
VXK_API int32_t vxk_flow_begin(const Flow *flow, void *state) {
  flow_begin(*flow, state);
  return 0;
}
// `out` has room for `rows` and the flow's delay.
VXK_API int32_t vxk_flow(const Flow *flow, void *state, void *memory, int32_t is_last, int32_t rows,
                         const float *z, float *out) {
  if (!fits(rows)) return TOO_LONG;
  return ended(flow_advance(*flow, state, memory, is_last, rows, z, out));
}

VXK_API int64_t vxk_generator_state_bytes(const Generator *w) { return generator_state_bytes(*w); }
VXK_API int64_t vxk_generator_bytes(const Generator *w, int32_t frames) {
  return fits(frames) ? generator_memory_bytes(*w, frames) : TOO_LONG;
}
VXK_API int32_t vxk_generator_begin(const Generator *w, void *state, int32_t frames) {
  if (!fits(frames)) return TOO_LONG;
  generator_begin(*w, state, frames);
  return 0;
}
// `frames` may go beyond the end; `z` has none of those. `audio` has room for the samples of `frames`
// and of as many as a sample depends on.
VXK_API int64_t vxk_generate(const Generator *w, void *state, void *memory, int32_t frames,
                             const float *z, float *audio) {
  if (!fits(frames)) return TOO_LONG;
  return ended(generate(*w, state, memory, frames, z, audio));
}
// The same with a harmonic source, which has each stage's rows from the first that it has not given
// to the end of what `frames` let it give.
VXK_API int64_t vxk_generate_with(const Generator *w, void *state, void *memory, int32_t frames,
                                  const float *z, const Source *source, float *audio) {
  if (!fits(frames)) return TOO_LONG;
  return ended(generate(*w, state, memory, frames, z, audio, source));
}

VXK_API int64_t vxk_lstm_bytes(const Lstm *w, int32_t rows) {
  if (!can_be(*w)) return BAD_SHAPE;
  if (!fits(rows)) return TOO_LONG;
  Memory memory(nullptr);
  LstmMemory(memory, *w, rows);
  return memory.used();
}
// `x` is (rows, channels), `y` (rows, directions * hidden); `state` (directions, 2, hidden): of each
// direction what it gave last and its cell, zeros at first.
VXK_API int32_t vxk_lstm(const Lstm *w, int32_t rows, const float *x, float *state, float *y,
                         void *memory_) {
  if (!can_be(*w)) return BAD_SHAPE;
  if (!fits(rows)) return TOO_LONG;
  Memory memory(memory_);
  lstm(*w, LstmMemory(memory, *w, rows), rows, x, state, y);
  return ended(0);
}

VXK_API int64_t vxk_fsmn_state_bytes(const Fsmn *w) {
  return can_be(*w) ? fsmn_state_bytes(*w) : BAD_SHAPE;
}
VXK_API int64_t vxk_fsmn_bytes(const Fsmn *w, int32_t rows) {
  if (!can_be(*w)) return BAD_SHAPE;
  return fits(rows) ? fsmn_memory_bytes(*w, rows) : TOO_LONG;
}
VXK_API int32_t vxk_fsmn_begin(const Fsmn *w, void *state) {
  if (!can_be(*w)) return BAD_SHAPE;
  fsmn_begin(*w, state);
  return 0;
}
// `y` has room for `rows` and as many as the layer looks ahead.
VXK_API int32_t vxk_fsmn(const Fsmn *w, void *state, void *memory, int32_t is_last, int32_t rows,
                         const float *x, float *y) {
  if (!can_be(*w)) return BAD_SHAPE;
  if (!fits(rows)) return TOO_LONG;
  return ended(fsmn_advance(*w, state, memory, is_last, rows, x, y));
}

// A thread without work: see `lending.hpp`. The ticket is taken before it is known that it lends.
VXK_API uint32_t vxk_ticket() { return desk.recalls.load(); }
VXK_API int32_t vxk_lend(uint32_t ticket) {
  lend(ticket);
  return 0;
}
VXK_API int32_t vxk_recall() {
  desk.recalls.fetch_add(1);
  return 0;
}
// Products that were shared so far, and for how many of them the lender was late.
VXK_API int64_t vxk_shared() { return desk.products.load(); }
// What others computed for the calling thread.
VXK_API int64_t vxk_helped_ns() { return helped_ns; }
VXK_API int64_t vxk_late() { return desk.late.load(); }
// How often nothing was shared for a while; and what decides it.
VXK_API int64_t vxk_closings() { return desk.closings.load(); }
VXK_API int64_t vxk_debt_after(int64_t debt_ns, int64_t gained_ns) {
  return debt_after(debt_ns, gained_ns);
}
