/** A text spoken while it is being written. */

import { SpeechAssembly, notBegun, over } from "./assembly.js";
import { cancelled, type VoxswapError } from "./errors.js";
import type { SpeechResult } from "./result.js";
import type { Means } from "./retry.js";
import type { Source } from "./stream.js";
import type { Chunk, Header, InterruptReceipt, Trailer } from "./values.js";

/** What is said after the beginning. */
export type Said =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "flush" }
  | { readonly type: "interrupt" };

/** Both ways of a conversation. */
export interface Exchange extends Source {
  /** Waits for nobody: what there is no room for yet is kept. */
  send(said: Said): void;
  /** No more text. Idempotent. */
  end(): void;
  /** Whether nothing more can be sent. */
  readonly isOver: boolean;
  /** The error that ended it, if one did. */
  readonly failure: VoxswapError | undefined;
}

/** Text, a piece at a time: a language model's answer, an array. */
export type Fragments = Iterable<string> | AsyncIterable<string>;

/**
 * Text in, audio out. Iterates over chunks as they arrive, and a receipt for each interruption.
 *
 * One reader iterates, while anybody sends; one alone may send first and iterate then. Leaving the
 * loop early, `cancel()` and the call's AbortSignal end the conversation, and the server stops
 * computing. Nothing is spoken before a sentence is certain, and the header comes with the first
 * audio, so send something before waiting for it. What was on its way when `interrupt` was called
 * still arrives before the receipt; afterwards new text may be sent, and samples count on.
 *
 * Everything throws or rejects with `VoxswapError`. When the server ends the conversation with an
 * error, the iteration throws it, and so does everything that is sent from then on. Nothing is
 * tried again.
 */
export class Conversation implements AsyncIterable<Chunk | InterruptReceipt> {
  readonly #exchange: Exchange;
  readonly #means: Means;
  readonly #assembly: SpeechAssembly;
  readonly #signal: AbortSignal | undefined;
  #header: Promise<Header> | undefined;
  #ended = false;
  #done = false;
  #cancelled = false;
  /** Of what is fed, nothing may follow an interruption or the end. */
  #turn = 0;
  #feeds = new Set<AsyncIterator<string> | Iterator<string>>();
  /** What the fragments threw. */
  #failure: { readonly error: unknown } | undefined;

  /** @internal */
  constructor(begin: () => Exchange, means: Means, signal: AbortSignal | undefined) {
    this.#means = means;
    this.#assembly = new SpeechAssembly(means.clock(), true);
    this.#signal = signal;
    this.#exchange = begin();
    if (signal?.aborted) this.#stop();
    else signal?.addEventListener("abort", this.#stop, { once: true });
  }

  /** More text. Whole sentences are spoken as soon as nothing can change them. */
  send(text: string): void {
    this.#check();
    this.#exchange.send({ type: "text", text });
  }

  /** Speaks what has been sent, even if it ends within a sentence. */
  flush(): void {
    this.#check();
    this.#exchange.send({ type: "flush" });
  }

  /**
   * Sends `fragments` as they come; then `end`, or with `end: false` `flush`. Returns at once.
   *
   * `interrupt` stops it: no further fragment is sent, a generator is closed, and our side stays
   * open. What `fragments` throws ends the conversation, and is thrown by the iteration.
   */
  speak(fragments: Fragments, options: { readonly end?: boolean } = {}): void {
    this.#check();
    void this.#feed(fragments, this.#turn, options.end ?? true);
  }

  /**
   * Stops speaking, and forgets what has not been spoken. The iteration gets a receipt.
   *
   * Resolves when it has been asked for. After `end`, and before the header has come, it throws.
   */
  async interrupt(): Promise<void> {
    this.#turn++;
    this.#stopFeeds();
    if (!this.#ended) {
      this.#check();
      this.#exchange.send({ type: "interrupt" });
      return;
    }
    const streamId = this.#assembly.header?.streamId;
    if (streamId === undefined) throw notBegun();
    await this.#exchange.interrupt(streamId);
  }

  /** All is said: the iteration ends once it has been spoken. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#exchange.isOver) this.#exchange.end();
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

  /** Milliseconds from the beginning to the first audio bytes, once they have been read. */
  get ttfaMs(): number | undefined {
    return this.#assembly.ttfaMs;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk | InterruptReceipt, void, undefined> {
    try {
      await this.header();
      for (;;) {
        const part = await this.#receive();
        if (part === undefined) break;
        const taken = this.#assembly.accept(part, this.#means.clock());
        if (taken !== undefined) yield taken;
      }
      this.#assembly.finish();
      this.#settle();
    } catch (error) {
      this.#drop();
      throw error;
    } finally {
      this.cancel();
    }
  }

  /** All of the audio, for who has iterated to the end and kept the chunks. */
  result(chunks: readonly Chunk[]): SpeechResult {
    return this.#assembly.result(chunks);
  }

  /** Stops all of it, here and at the server. Idempotent; does nothing after the end. */
  cancel(): void {
    this.#stop();
  }

  readonly #stop = (): void => {
    if (this.#done) return;
    this.#cancelled = true;
    this.#drop();
  };

  #drop(): void {
    if (this.#done) return;
    this.#settle();
    this.#exchange.cancel();
  }

  #settle(): void {
    this.#done = true;
    this.#turn++;
    this.#stopFeeds();
    this.#signal?.removeEventListener("abort", this.#stop);
  }

  /** Throws if nothing more can be sent: what the call has ended with, if it has. */
  #check(): void {
    if (this.#cancelled) throw cancelled(this.#signal?.reason);
    if (this.#ended) throw over("has been ended");
    if (this.#exchange.isOver) throw this.#exchange.failure ?? over("is over");
  }

  async #readHeader(): Promise<Header> {
    try {
      const part = await this.#receive();
      if (part !== undefined) this.#assembly.accept(part, this.#means.clock());
      else this.#assembly.finish();
    } catch (error) {
      this.#drop();
      throw error;
    }
    return this.#assembly.header!; // the first message that is taken is a header
  }

  async #receive() {
    try {
      if (this.#cancelled) throw cancelled(this.#signal?.reason);
      return await this.#exchange.receive();
    } catch (error) {
      if (this.#failure !== undefined) throw this.#failure.error;
      throw this.#cancelled ? cancelled(this.#signal?.reason) : error;
    }
  }

  async #feed(fragments: Fragments, turn: number, end: boolean): Promise<void> {
    const pieces =
      Symbol.asyncIterator in fragments
        ? fragments[Symbol.asyncIterator]()
        : fragments[Symbol.iterator]();
    this.#feeds.add(pieces);
    try {
      for (;;) {
        const { done, value } = await pieces.next();
        if (this.#turn !== turn || this.#ended || this.#exchange.isOver) return;
        if (done) break;
        this.send(value);
      }
      if (end) this.end();
      else this.flush();
    } catch (error) {
      if (this.#turn !== turn) return;
      this.#failure = { error };
      this.cancel();
    } finally {
      this.#feeds.delete(pieces);
    }
  }

  /** Closes what is fed; a generator at its next step, for it cannot be closed within one. */
  #stopFeeds(): void {
    for (const pieces of this.#feeds) void Promise.resolve(pieces.return?.()).catch(() => {});
    this.#feeds.clear();
  }
}
