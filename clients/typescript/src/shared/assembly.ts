/** The rules of a stream of speech, without any I/O: both clients feed it their messages. */

import { IncompleteStreamError, VoxswapError } from "./errors.js";
import { SpeechResult } from "./result.js";
import type { Chunk, Header, InterruptReceipt, Mark, Part, Trailer } from "./values.js";

/**
 * Checks that a stream is one header, gapless chunks and one trailer.
 *
 * Where a line was interrupted it ends with a receipt in place of the trailer; one that `goesOn`
 * does not end there.
 */
export class SpeechAssembly {
  header: Header | undefined;
  trailer: Trailer | undefined;
  /** The last one. */
  receipt: InterruptReceipt | undefined;
  ttfaMs: number | undefined;
  #nextSample = 0;
  readonly #beganMs: number;
  readonly #goesOn: boolean;

  constructor(beganMs: number, goesOn: boolean) {
    this.#beganMs = beganMs;
    this.#goesOn = goesOn;
  }

  get #speaking(): boolean {
    const cutOff = this.receipt !== undefined && !this.#goesOn;
    return this.header !== undefined && this.trailer === undefined && !cutOff;
  }

  /**
   * Takes the next message; gives it back if it is a chunk or a receipt.
   *
   * @throws IncompleteStreamError
   */
  accept(part: Part, nowMs: number): Chunk | InterruptReceipt | undefined {
    if (part.type === "header" ? this.header !== undefined : !this.#speaking) {
      throw new IncompleteStreamError(
        `the server sent a ${part.type} out of turn; its version may not fit this client's`,
      );
    }
    switch (part.type) {
      case "header":
        this.header = part;
        return undefined;
      case "chunk":
        if (part.startSample !== this.#nextSample) {
          throw new IncompleteStreamError(
            `a chunk begins at sample ${part.startSample} where ${this.#nextSample} is due: ` +
              "audio is missing; ask for the line again",
          );
        }
        this.#nextSample += part.sampleCount;
        this.ttfaMs ??= nowMs - this.#beganMs;
        return part;
      case "trailer":
        this.#agree(part.totalSamples, "trailer");
        this.trailer = part;
        return undefined;
      case "interrupted":
        this.#agree(part.endSample, "receipt");
        this.receipt = part;
        return part;
    }
  }

  #agree(samples: number, who: string): void {
    if (samples !== this.#nextSample) {
      throw new IncompleteStreamError(
        `${this.#nextSample} samples came and the ${who} says ${samples}: audio is missing; ` +
          "ask for the line again",
      );
    }
  }

  /**
   * Says that the stream has ended.
   *
   * @throws IncompleteStreamError if that was too early
   */
  finish(): void {
    if (this.#speaking || this.header === undefined) {
      throw new IncompleteStreamError(
        `the stream ended after ${this.#nextSample} samples without a trailer: the line is cut ` +
          "off; ask for it again",
      );
    }
  }

  /**
   * The whole line, from all of its chunks, once the stream has ended.
   *
   * @throws IncompleteStreamError
   */
  result(chunks: readonly Chunk[]): SpeechResult {
    if (this.header === undefined || this.trailer === undefined) {
      throw new IncompleteStreamError("the stream has not been read to its end; read on");
    }
    const came = chunks.reduce((sum, chunk) => sum + chunk.sampleCount, 0);
    if (came !== this.trailer.totalSamples) {
      throw new IncompleteStreamError(
        "these are not all chunks of the line; keep them from the first one on",
      );
    }
    const marks: Mark[] = chunks.flatMap((chunk) => [...chunk.marks]);
    return new SpeechResult(
      joined(chunks.map((chunk) => chunk.audio)),
      this.header,
      this.trailer,
      marks,
      this.ttfaMs ?? 0,
      chunks.flatMap((chunk) => [...chunk.packetSizes]),
    );
  }
}

/** The error for interrupting what has no stream id yet. */
export function notBegun(): VoxswapError {
  return new VoxswapError(
    "nothing can be interrupted before the stream's header has come; cancel the stream",
  );
}

/** The error for saying something in a conversation that takes no more. */
export function over(how: string): VoxswapError {
  return new VoxswapError(`the conversation ${how}, and takes no more text; begin another one`);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
