// Depthwise convolutions: of each channel a weighted sum over rows, `torch.nn.functional.conv1d`
// with a group for each channel.
#pragma once

#include "vector.hpp"

namespace voxswap {

// One row of it: `kernel` rows of x from `first` on, `dilation` apart, of which those that are not
// among the `rows` of x are zeros. `taps` are (kernel, channels), `bias` may be null. `put(c, y)` gets
// the sums, a register at a time.
template <class Put>
static VXK_INLINE void taps_of(const float *x, long first, int rows, const float *taps,
                               const float *bias, int kernel, int dilation, int channels, Put &&put) {
  for (int c = 0; c < channels; c += WIDTH) {
    Vec sum = bias ? load(bias + c) : Vec{};
    for (int k = 0; k < kernel; k++) {
      const long at = first + (long)k * dilation;
      if (at >= 0 && at < rows)
        sum = fma(load(x + at * channels + c), load(taps + (long)k * channels + c), sum);
    }
    put(c, sum);
  }
}

}  // namespace voxswap
