/** One line being spoken. */

import { SpeechAssembly, notBegun } from "./assembly.js";
import { IncompleteStreamError, VoxswapError, cancelled } from "./errors.js";
import type { SpeechResult } from "./result.js";
import type { Attempts, Means } from "./retry.js";
import type { Chunk, Header, InterruptReceipt, Part, Trailer } from "./values.js";

/** Where the messages of a line come from: a call, or a conversation on a socket. */
export interface Source {
  /** The next message; `undefined` after the last. Rejects with `VoxswapError`. */
  receive(): Promise<Part | undefined>;
  /** Ends it, here and at the server. Idempotent. */
  cancel(): void;
  /** Stops it; what had been sent. Rejects with `StreamNotFoundError` if it is over. */
  interrupt(streamId: string): Promise<InterruptReceipt>;
}

/**
 * The chunks of one line, each as it arrives: `for await (const chunk of stream)`.
 *
 * Leaving the loop early, `cancel()` and the call's AbortSignal end the call, and the server stops
 * computing. For one reader. Everything rejects with `VoxswapError`. A line that was interrupted
 * ends well, with a `receipt`.
 */
export class SpeechStream implements AsyncIterable<Chunk> {
  readonly #begin: (remainingMs: number) => Source;
  readonly #attempts: Attempts;
  readonly #means: Means;
  readonly #assembly: SpeechAssembly;
  readonly #stopped = new AbortController();
  readonly #signal: AbortSignal | undefined;
  #source: Source | undefined;
  #header: Promise<Header> | undefined;
  #done = false;

  /** @internal */
  constructor(
    begin: (remainingMs: number) => Source,
    attempts: Attempts,
    means: Means,
    options: { readonly goesOn: boolean; readonly signal?: AbortSignal | undefined },
  ) {
    this.#begin = begin;
    this.#attempts = attempts;
    this.#means = means;
    this.#assembly = new SpeechAssembly(means.clock(), options.goesOn);
    this.#signal = options.signal;
    if (this.#signal?.aborted) this.#stop();
    else this.#signal?.addEventListener("abort", this.#stop, { once: true });
    if (!this.#done) this.#source = begin(attempts.next());
  }

  /** What is known when the audio begins. Waits until the first message is there. */
  header(): Promise<Header> {
    this.#header ??= this.#readHeader();
    return this.#header;
  }

  /** What is known when the audio is complete; `undefined` until the iteration has ended. */
  get trailer(): Trailer | undefined {
    return this.#assembly.trailer;
  }

  /** What had been sent, if the line was interrupted, once the iteration has ended. */
  get receipt(): InterruptReceipt | undefined {
    return this.#assembly.receipt;
  }

  /** Milliseconds from the request to the first audio bytes, once they have been read. */
  get ttfaMs(): number | undefined {
    return this.#assembly.ttfaMs;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk, void, undefined> {
    try {
      await this.header();
      for (let part = await this.#receive(); part !== undefined; part = await this.#receive()) {
        const taken = this.#assembly.accept(part, this.#means.clock());
        if (taken?.type === "chunk") yield taken;
      }
      this.#assembly.finish();
      this.#settle();
    } finally {
      this.cancel();
    }
  }

  /** Reads all of the line. Call it before anything of it has been iterated over. */
  async collect(): Promise<SpeechResult> {
    const chunks: Chunk[] = [];
    for await (const chunk of this) chunks.push(chunk);
    if (this.receipt !== undefined) {
      throw new IncompleteStreamError(
        `the line was interrupted after ${this.receipt.endSample} samples; iterate to have what ` +
          "came of it",
      );
    }
    return this.#assembly.result(chunks);
  }

  /**
   * Says nothing more; what had been sent. The iteration then ends by itself.
   *
   * Rejects with `StreamNotFoundError` if the line is over.
   */
  async interrupt(): Promise<InterruptReceipt> {
    const streamId = this.#assembly.header?.streamId;
    if (streamId === undefined || this.#source === undefined) throw notBegun();
    return this.#source.interrupt(streamId);
  }

  /** Ends the call, here and at the server. Idempotent; does nothing after the end. */
  cancel(): void {
    this.#stop();
  }

  readonly #stop = (): void => {
    if (this.#done) return;
    this.#settle();
    this.#stopped.abort(this.#signal?.reason);
    this.#source?.cancel();
  };

  #settle(): void {
    this.#done = true;
    this.#signal?.removeEventListener("abort", this.#stop);
  }

  /** Until the first message nothing has been heard, so the line may be begun anew. */
  async #readHeader(): Promise<Header> {
    for (;;) {
      try {
        const part = await this.#receive();
        if (part === undefined) this.#assembly.finish();
        else this.#assembly.accept(part, this.#means.clock());
        if (this.#assembly.header !== undefined) return this.#assembly.header;
      } catch (error) {
        const delayMs = error instanceof VoxswapError ? this.#attempts.delayMs(error) : undefined;
        if (delayMs === undefined || this.#done) {
          this.cancel();
          throw error;
        }
        await this.#means.sleep(delayMs, this.#stopped.signal);
        this.#source = this.#begin(this.#attempts.next());
      }
    }
  }

  async #receive(): Promise<Part | undefined> {
    if (this.#stopped.signal.aborted || this.#source === undefined) {
      throw cancelled(this.#signal?.reason);
    }
    try {
      return await this.#source.receive();
    } catch (error) {
      throw this.#stopped.signal.aborted ? cancelled(this.#signal?.reason) : error;
    }
  }
}
