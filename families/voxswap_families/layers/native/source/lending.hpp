// Rows of a product shared with threads that have nothing else to do.
//
// A thread that is idle lends itself (`lend`), until it is recalled; a thread that multiplies lays
// its rows out, in pieces that whoever is free takes. Whose a piece was does not show: a row has the
// same bits. There is one desk for a process, and one product at a time on it: who finds it taken
// multiplies alone.
//
// Nobody sleeps while he holds a piece, so who waits for the last one waits for microseconds; unless
// the system gave the lender's core to somebody else. Where that happens often, lending costs more than
// it brings, and the core is wanted elsewhere. Lenders notice it while they wait for a product, and
// owners while they wait for a piece. What is lost so is a debt, which what goes well pays off; where
// it grows too large, nothing is laid out for a while, and for twice as long each time, until it went
// well for long enough. A server's own threads wake up for a moment now and then: that is no debt yet.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

#include "vector.hpp"

namespace voxswap {

// Set where this thread found no memory for what it computes with: what the call gives is of no use.
static thread_local bool starved = false;

struct Shared {
  void (*run)(void *context, int first, int count);
  void *context;
  int rows, piece;
  std::atomic<int> next{0};
  std::atomic<bool> has_starved{false};

  // Those that are left; how many rows they had.
  int take_pieces() {
    int taken = 0;
    for (int first; (first = next.fetch_add(piece, std::memory_order_relaxed)) < rows;) {
      const int count = rows - first < piece ? rows - first : piece;
      run(context, first, count);
      taken += count;
    }
    if (starved) has_starved.store(true);
    return taken;
  }
};

struct Desk {
  alignas(64) std::atomic<Shared *> shared{nullptr};
  alignas(64) std::atomic<int> inside{0};    // lenders who may be using what lies there
  alignas(64) std::atomic<int> lenders{0};
  alignas(64) std::atomic<uint32_t> recalls{0};
  std::atomic<int64_t> closed_until_ns{0}, close_for_ns{0};
  std::atomic<int> good{0};  // products since it was closed
  int64_t debt_ns = 0;       // of whoever has a product there
  std::atomic<int64_t> products{0}, late{0}, closings{0};  // ever
};
static Desk desk;
// What others computed for this thread, ever: as long as it would have taken here.
static thread_local int64_t helped_ns = 0;

constexpr int64_t LATE_NS = 300'000, SHORTEST_NS = 100'000'000, LONGEST_NS = 10'000'000'000;
constexpr int64_t MOST_DEBT_NS = 3'000'000;
// Of the time in which a lender had his core: an eighth of the time may be somebody else's.
constexpr int64_t PAID = 8;
constexpr int GOOD = 10'000;  // about twenty seconds of speech
constexpr int SPINS = 4'000;  // about 100 microseconds, which is most of what lies between
constexpr int SPINS_A_LOOK = 100;
constexpr long SLEEP_NS = 30'000, CLOSED_SLEEP_NS = 2'000'000;
constexpr long LEAST_PRODUCTS = 2'000'000;  // about 20 microseconds

static VXK_INLINE void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
static int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

// A debt after something was gained, or lost where `gained_ns` is negative.
static int64_t debt_after(int64_t debt_ns, int64_t gained_ns) {
  return debt_ns > gained_ns ? debt_ns - gained_ns : 0;
}

// The machine is busy.
static void close_desk(int64_t now) {
  const int64_t last = desk.close_for_ns.load();
  const int64_t next = last ? (2 * last < LONGEST_NS ? 2 * last : LONGEST_NS) : SHORTEST_NS;
  desk.close_for_ns.store(next);
  desk.closed_until_ns.store(now + next);
  desk.good.store(0);
  desk.closings.fetch_add(1, std::memory_order_relaxed);
}

// Lies on the desk while its owner waits for those who are inside: nobody begins another one, whose
// helpers would be waited for as well.
static Shared cleared{nullptr, nullptr, 0, 1};
static bool is_laid_out(const Shared *shared) { return shared && shared != &cleared; }

// Takes pieces of whatever is laid out, until there was a recall since `ticket` was given.
static void lend(uint32_t ticket) {
  static thread_local int64_t debt_ns = 0;
  desk.lenders.fetch_add(1);
  int idle = 0;
  int64_t looked = now_ns();
  while (desk.recalls.load(std::memory_order_relaxed) == ticket) {
    if (is_laid_out(desk.shared.load(std::memory_order_relaxed))) {
      // First said, then looked: who laid it out takes it away before he asks who is inside.
      desk.inside.fetch_add(1);
      Shared *shared = desk.shared.load();
      if (is_laid_out(shared)) shared->take_pieces();
      desk.inside.fetch_sub(1);
      starved = false;  // the owner knows
      idle = 0;
      looked = now_ns();
      continue;
    }
    relax();
    if (++idle % SPINS_A_LOOK) continue;
    // So many turns take some microseconds.
    const int64_t now = now_ns(), closed_until = desk.closed_until_ns.load();
    const int64_t past = now - looked;
    debt_ns = debt_after(debt_ns, past > LATE_NS ? -past : past / PAID);
    if (debt_ns > MOST_DEBT_NS && now > closed_until) {
      close_desk(now);
      debt_ns = 0;
    }
    if (idle > SPINS || now < closed_until) {
      const timespec rest{0, now < closed_until ? CLOSED_SLEEP_NS : SLEEP_NS};
      nanosleep(&rest, nullptr);
    }
    looked = now_ns();
  }
  desk.lenders.fetch_sub(1);
}

// Whether a product of so many multiplications is worth being laid out, and somebody is there.
static bool may_share(long products) {
  if (products < LEAST_PRODUCTS || !desk.lenders.load(std::memory_order_relaxed)) return false;
  const int64_t until = desk.closed_until_ns.load(std::memory_order_relaxed);
  return !until || now_ns() >= until;
}

// `run(first, count)` for all rows, in pieces, by this thread and those that lend themselves.
template <class Run> static void share(int rows, int piece, Run &run) {
  Shared shared;
  shared.run = [](void *context, int first, int count) { (*(Run *)context)(first, count); };
  shared.context = (void *)&run;
  shared.rows = rows, shared.piece = piece;
  Shared *none = nullptr;
  if (!desk.shared.compare_exchange_strong(none, &shared)) {
    run(0, rows);
    return;
  }
  const int64_t began = now_ns();
  const int mine = shared.take_pieces();
  const int64_t computed = now_ns();
  desk.shared.store(&cleared);
  while (desk.inside.load()) relax();
  const int64_t ended = now_ns();
  if (mine && mine < rows) {
    // As long as it would have taken here.
    const int64_t helped = (computed - began) * (rows - mine) / mine, waited = ended - computed;
    helped_ns += helped;
    desk.debt_ns = debt_after(desk.debt_ns, helped - waited);
    if (waited > LATE_NS) desk.late.fetch_add(1, std::memory_order_relaxed);
    if (desk.debt_ns > MOST_DEBT_NS) {
      close_desk(ended);
      desk.debt_ns = 0;
    } else if (desk.good.fetch_add(1) == GOOD) {
      desk.close_for_ns.store(0);
    }
  }
  desk.shared.store(nullptr);
  if (shared.has_starved.load()) starved = true;
  desk.products.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace voxswap
