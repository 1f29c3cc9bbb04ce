// One line from asking to the last sample: what came, when, and how far it was heard.

import { ApiError } from "./api.js";
import { Conversations } from "./converse.js";
import { Playback, audioAt } from "./player.js";
import { note } from "./measure.js";

/** @typedef {import("./types.js").Mark} Mark */

/**
 * Whoever wants to hear of a line; each may be left out.
 * @typedef {{
 *   asked?: (line: Line) => void,
 *   header?: (line: Line) => void,
 *   chunk?: (line: Line, samples: Float32Array, marks: Mark[]) => void,
 *   whole?: (line: Line) => void,
 *   began?: (line: Line) => void,
 *   ended?: (line: Line) => void,
 *   failed?: (line: Line, error: import("./api.js").ApiError) => void,
 * }} Listener
 */

/** The page's own. */
export const conversations = new Conversations();

/**
 *     asked ── header, chunks ──> whole        what the server sends
 *     asked ── began ──> ended                 what is heard; `failed` in place of the rest
 */
export class Line {
  /** @type {import("./types.js").Header | null} */
  header = null;
  /** @type {import("./types.js").Trailer | null} */
  trailer = null;
  /** @type {import("./types.js").Receipt | null} the server's, or the page's if all was sent */
  receipt = null;
  /** @type {Mark[]} */
  words = [];
  /** @type {Mark[]} */
  visemes = [];
  receivedSamples = 0;
  heardSamples = 0;
  /** @type {number | null} */
  firstAudioMs = null;
  /** @type {number | null} */
  heardMs = null;
  wasInterrupted = false;
  isOver = false;
  /** @type {Playback | null} */
  #playback = null;
  #mayPlay = true;
  #name = "";
  #askedAtMs = 0;

  /**
   * @param {import("./types.js").Asked} asked
   * @param {Listener[]} listeners
   * @param {{pressedAtMs?: number, isHeld?: boolean}} [how] `isHeld`: sound waits for `play`
   */
  constructor(asked, listeners, { pressedAtMs = performance.now(), isHeld = false } = {}) {
    this.asked = asked;
    this.listeners = listeners;
    this.pressedAtMs = pressedAtMs;
    this.#mayPlay = !isHeld;
  }

  /** Ask for it. Returns itself. */
  begin() {
    this.#askedAtMs = performance.now();
    this.#name = conversations.say(this.asked, {
      header: (header) => this.#takeHeader(header),
      chunk: (samples, chunk) => this.#takeChunk(samples, chunk.marks),
      interrupted: (receipt) => (this.receipt = receipt),
      trailer: (trailer) => this.#takeTrailer(trailer),
      error: (error) => this.#fail(error),
    });
    this.#tell("asked");
    return this;
  }

  /** Let one that is held sound. */
  play() {
    this.#mayPlay = true;
    if (!this.isOver) this.#playback?.play();
  }

  /** Fall silent, and let the server stop; `ended` follows. */
  interrupt() {
    if (this.isOver || this.wasInterrupted) return;
    this.wasInterrupted = true;
    if (conversations.isOpen(this.#name)) conversations.interrupt(this.#name);
    this.heardSamples = Math.round(this.position);
    this.#playback?.stop();
    if (this.heardMs === null) this.#end({ samples: 0, rms: 0, peak: 0 });
  }

  /** The sample that is heard now. */
  get position() {
    return this.#playback?.position ?? 0;
  }

  /** How many samples it has, or is thought to have. */
  get expectedSamples() {
    if (this.trailer) return Math.max(1, this.receivedSamples);
    return Math.max(1, this.receivedSamples, this.header?.estimated_samples ?? 0);
  }

  /** Samples a second; a guess until the header is there. */
  get rateHertz() {
    return this.header?.sample_rate_hertz ?? 24_000;
  }

  /** @param {import("./types.js").Header} header */
  #takeHeader(header) {
    this.header = header;
    this.#playback = new Playback(audioAt(header.sample_rate_hertz), {
      began: (atMs) => this.#begin(atMs),
      ended: (played) => this.#end(played),
    });
    if (this.#mayPlay && !this.isOver) this.#playback.play();
    this.#tell("header");
  }

  /**
   * @param {Float32Array} samples
   * @param {Mark[]} marks
   */
  #takeChunk(samples, marks) {
    if (this.isOver || this.wasInterrupted) return;
    this.firstAudioMs ??= performance.now() - this.#askedAtMs;
    for (const mark of marks) (mark.kind === "word" ? this.words : this.visemes).push(mark);
    this.receivedSamples += samples.length;
    const kept = samples.slice();
    this.#playback?.feed(samples);
    this.#tell("chunk", kept, marks);
  }

  /** @param {import("./types.js").Trailer} trailer */
  #takeTrailer(trailer) {
    this.trailer = trailer;
    if (!trailer.total_samples && !this.wasInterrupted) {
      this.#fail(nothingToSpeak());
      return;
    }
    this.#playback?.end();
    this.#tell("whole");
  }

  /** @param {number} atMs */
  #begin(atMs) {
    if (this.isOver) return;
    this.heardMs = atMs - this.pressedAtMs;
    note({ firstAudioMs: this.firstAudioMs, heardMs: this.heardMs });
    this.#tell("began");
  }

  /** @param {{samples: number, rms: number, peak: number}} played */
  #end(played) {
    if (this.isOver) return;
    this.isOver = true;
    if (!this.wasInterrupted) this.heardSamples = played.samples;
    note({ played });
    this.#tell("ended");
  }

  /** @param {import("./api.js").ApiError} error */
  #fail(error) {
    const wasOver = this.isOver;
    this.isOver = true;
    this.#playback?.stop();
    if (!wasOver) this.#tell("failed", error);
  }

  /**
   * @param {keyof Listener} what
   * @param {...any} more
   */
  #tell(what, ...more) {
    for (const listener of this.listeners) {
      /** @type {any} */ (listener)[what]?.(this, ...more);
    }
  }
}

/** Of a text that may go on, that is no error to a server; of one that is whole, it is one here. */
function nothingToSpeak() {
  const description = "has nothing in it that can be spoken";
  return new ApiError({ reason: "NOTHING_TO_SPEAK", violations: [{ field: "text", description }] });
}

/**
 * The last of `marks` that begins at or before `sample`; -1 if none does.
 * @param {Mark[]} marks in order
 * @param {number} sample
 */
export function markAt(marks, sample) {
  let low = 0;
  let high = marks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (marks[middle].start_sample <= sample) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
