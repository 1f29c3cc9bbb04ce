/** One conversation on a socket. */

import type { Exchange, Said } from "../shared/conversation.js";
import {
  StreamNotFoundError,
  type VoxswapError,
  cancelled,
  deadlinePassed,
} from "../shared/errors.js";
import { Inbox } from "../shared/inbox.js";
import type { InterruptReceipt, Part } from "../shared/values.js";
import * as wire from "./wire.js";
import type { Json } from "./wire.js";

/** Sends a frame of the conversation; `ends` says that nothing of it is wanted any more. */
type Send = (frame: Json | undefined, ends: boolean) => void;

/**
 * Gives what arrived, part by part, whatever came of the socket meanwhile.
 *
 * Nothing holds a WebSocket back, so what is not read is kept: at most what the server makes ahead
 * of playback with `pacing: "realtime"`, else the whole text's audio.
 */
export class Talk implements Exchange {
  readonly #inbox = new Inbox<Part>();
  #streamId: string | undefined;
  #nextSample = 0;
  /** Messages that came after the last chunk. A resumption goes by samples, and tells them again. */
  #sinceChunk = 0;
  /** How many of those to come are known. */
  #known = 0;
  /** What was said after the start, in order: a break may lose the last of it. */
  #said: Json[] = [];
  #isOver = false;
  #failure: VoxswapError | undefined;
  #interrupts: {
    readonly resolve: (receipt: InterruptReceipt) => void;
    readonly reject: (error: VoxswapError) => void;
  }[] = [];

  readonly #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly id: string,
    private readonly resumable: boolean,
    timeoutMs: number,
    private readonly write: Send,
  ) {
    // A timer of more than 2**31 - 1 ms goes off at once.
    if (timeoutMs < 2 ** 31) {
      this.#timer = setTimeout(() => this.#drop(deadlinePassed()), timeoutMs);
    }
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get failure(): VoxswapError | undefined {
    return this.#failure;
  }

  receive(): Promise<Part | undefined> {
    return this.#inbox.next();
  }

  send(said: Said): void {
    this.#say(said);
  }

  end(): void {
    this.#say({ type: "end" });
  }

  cancel(): void {
    this.#drop(cancelled());
  }

  interrupt(): Promise<InterruptReceipt> {
    if (this.#isOver) return Promise.reject(this.#failure ?? lineIsOver());
    return new Promise((resolve, reject) => {
      this.#interrupts.push({ resolve, reject });
      this.#say({ type: "interrupt" });
    });
  }

  /** Whether it can be taken up on a new socket. */
  get isResumable(): boolean {
    return this.resumable && this.#streamId !== undefined;
  }

  #say(frame: Json): void {
    if (this.resumable) this.#said.push(frame);
    this.write(frame, false);
  }

  /** The frame that takes it up on a new socket; what was said since follows its answer. */
  resume(): Json {
    this.#known = this.#sinceChunk;
    return { type: "resume", stream_id: this.#streamId, sample: this.#nextSample };
  }

  chunk(frame: Json, audio: Uint8Array): void {
    const part = wire.chunk(frame, audio);
    this.#nextSample = part.startSample + part.sampleCount;
    this.#sinceChunk = this.#known = 0;
    this.#inbox.put(part);
  }

  take(frame: Json): void {
    if (frame.type === "header" || frame.type === "interrupted") {
      if (this.#known > 0) {
        this.#known--;
        return;
      }
      this.#sinceChunk++;
    }
    switch (frame.type) {
      case "resumed":
        for (const said of this.#said.slice(Number(frame.frames_taken))) this.write(said, false);
        return;
      case "header": {
        const header = wire.header(frame);
        this.#streamId = header.streamId;
        this.#inbox.put(header);
        return;
      }
      case "interrupted": {
        const receipt = wire.receipt(frame);
        this.#interrupts.shift()?.resolve(receipt);
        this.#inbox.put(receipt);
        return;
      }
      case "trailer":
        this.#inbox.put(wire.trailer(frame));
        this.#inbox.end();
        this.#over(lineIsOver());
        return;
      case "error":
        this.fail(wire.errorOf(frame.error));
        return;
    }
  }

  /** Ends it with an error, after what has arrived. */
  fail(error: VoxswapError): void {
    if (this.#isOver) return;
    this.#failure = error;
    this.#inbox.fail(error);
    this.#over(error);
  }

  #drop(error: VoxswapError): void {
    if (this.#isOver) return;
    this.write({ type: "cancel" }, true);
    this.fail(error);
  }

  #over(error: VoxswapError): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.write(undefined, true);
    for (const { reject } of this.#interrupts.splice(0)) reject(error);
  }
}

function lineIsOver(): StreamNotFoundError {
  return new StreamNotFoundError("the line is over; there is nothing to interrupt", {
    code: "NOT_FOUND",
    reason: "STREAM_NOT_FOUND",
  });
}
