/** When to try again, and after how long: pure, and shared by both clients. */

import { ResourceExhaustedError, UnavailableError, VoxswapError, cancelled } from "./errors.js";

/**
 * Exponential back-off with full jitter, for UNAVAILABLE; and for RESOURCE_EXHAUSTED with a delay
 * from the server, where nobody waits for the answer.
 *
 * The wait after try n is drawn from `[0, min(maxBackoffMs, initialBackoffMs * 2**(n-1))]`
 * (Brooker, "Exponential Backoff And Jitter", 2015). The server's own delay comes on top; one above
 * `maxHintMs` is left to the caller. `maxAttempts: 1` never tries again.
 */
export interface RetryPolicy {
  readonly maxAttempts: number;
  readonly initialBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly maxHintMs: number;
}

export const DEFAULT_RETRIES: RetryPolicy = {
  maxAttempts: 4,
  initialBackoffMs: 100,
  maxBackoffMs: 2000,
  maxHintMs: 10000,
};

/** Gives a number in [0, 1); `Math.random`, or a test's own. */
export type Random = () => number;

/** Gives milliseconds that only grow; `performance.now`, or a test's own. */
export type Clock = () => number;

/** Ends after so many milliseconds, or with `CallCancelledError` once the signal is aborted. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** What waiting and chance are; for tests. */
export interface Means {
  readonly clock: Clock;
  readonly random: Random;
  readonly sleep: Sleep;
}

export const MEANS: Means = {
  clock: () => performance.now(),
  random: Math.random,
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(cancelled(signal?.reason));
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stop);
        resolve();
      }, ms);
      if (signal?.aborted) stop();
      else signal?.addEventListener("abort", stop, { once: true });
    }),
};

/** The tries of one call: how many there were, and what its deadline leaves. */
export class Attempts {
  #count = 0;
  readonly #deadlineMs: number;

  constructor(
    private readonly policy: RetryPolicy,
    private readonly means: Means,
    timeoutMs: number,
    /** Whether the answer is as good later. */
    private readonly mayWait: boolean = false,
    /** Whether it may be made again only where the server asks for it. */
    private readonly ifAsked: boolean = false,
  ) {
    this.#deadlineMs = means.clock() + timeoutMs;
  }

  /** Counts one more try; the time that it has, 0 at the least, `Infinity` without a deadline. */
  next(): number {
    this.#count++;
    return this.remainingMs();
  }

  remainingMs(): number {
    return Math.max(0, this.#deadlineMs - this.means.clock());
  }

  /** Milliseconds to wait before the next try; `undefined` if `error` is final. */
  delayMs(error: VoxswapError): number | undefined {
    const hinted = error.retryAfterMs !== undefined;
    const passes =
      error instanceof UnavailableError ||
      (this.mayWait && error instanceof ResourceExhaustedError && hinted);
    if (!passes || (this.ifAsked && !hinted) || this.#count >= this.policy.maxAttempts) {
      return undefined;
    }
    const hintMs = error.retryAfterMs ?? 0;
    if (hintMs > this.policy.maxHintMs) return undefined;
    const { initialBackoffMs, maxBackoffMs } = this.policy;
    const ceilingMs = Math.min(maxBackoffMs, initialBackoffMs * 2 ** (this.#count - 1));
    const delayMs = hintMs + this.means.random() * ceilingMs;
    return delayMs < this.remainingMs() ? delayMs : undefined;
  }
}
