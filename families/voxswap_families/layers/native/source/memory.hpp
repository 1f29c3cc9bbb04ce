// Memory of the caller, handed out piece by piece; and what layers remember in it between calls.
#pragma once

#include "product.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace voxswap {

#if defined(__SANITIZE_ADDRESS__)
// What lies behind each piece, so that one that is too small is noticed.
constexpr long BETWEEN = 64;
static void part(char *piece, long bytes) {
  ASAN_UNPOISON_MEMORY_REGION(piece, bytes);
  ASAN_POISON_MEMORY_REGION(piece + bytes, BETWEEN);
}
#else
constexpr long BETWEEN = 0;
static void part(char *, long) {}
#endif

// Counts with no memory, and hands out the same pieces with it: so a size is what is used, always.
class Memory {
 public:
  explicit Memory(void *base) : base_((char *)base) {}

  template <class T> T *take(long count) {
    const long bytes = (count * (long)sizeof(T) + 63) / 64 * 64;
    char *piece = base_ ? base_ + used_ : nullptr;
    if (piece) part(piece, bytes);
    used_ += bytes + BETWEEN;
    return (T *)piece;
  }
  // Rows of a signal that products read.
  template <class T> T *rows(long count, int channels) {
    return take<T>((count + SPARE_ROWS) * channels);
  }
  long used() const { return used_; }

 private:
  char *base_;
  long used_ = 0;
};

// The last rows of a signal, kept until the next ones come: `layers/carry.py`'s Carry.
template <class T> struct Carry {
  T *kept;
  int channels, held;

  void place(Memory &memory, int most, int of_channels, int zeros) {
    kept = memory.take<T>((long)most * of_channels);
    channels = of_channels;
    held = zeros;
    if (kept) memset((void *)kept, 0, sizeof(T) * zeros * channels);
  }
  // Puts them before what comes; `to` + held rows is where that goes.
  T *before(T *to) const {
    memcpy((void *)to, kept, sizeof(T) * held * channels);
    return to + (long)held * channels;
  }
  // Keeps `count` rows.
  void keep(const T *rows, int count) {
    held = count;
    memcpy((void *)kept, rows, sizeof(T) * count * channels);
  }
};

}  // namespace voxswap
