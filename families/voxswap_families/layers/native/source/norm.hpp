// Layer norm over the channels of each row: `layers/blocks.py`'s ChannelNorm.
#pragma once

#include "vector.hpp"

namespace voxswap {

struct Norm {
  const float *gain, *offset;
};

constexpr float NORM_EPSILON = 1e-5f;

// `put(c, y)` gets the normalised row, a register at a time.
template <class Put>
static VXK_INLINE void normalised(const float *row, int channels, Norm norm, Put &&put) {
  Vec sum{}, square{};
  for (int c = 0; c < channels; c += WIDTH) sum += load(row + c);
  const float mean = sum_of(sum) / channels;
  for (int c = 0; c < channels; c += WIDTH) {
    const Vec from_mean = load(row + c) - mean;
    square = fma(from_mean, from_mean, square);
  }
  const float scale = 1.0f / sqrtf(sum_of(square) / channels + NORM_EPSILON);
  for (int c = 0; c < channels; c += WIDTH)
    put(c, fma((load(row + c) - mean) * scale, load(norm.gain + c), load(norm.offset + c)));
}

}  // namespace voxswap
