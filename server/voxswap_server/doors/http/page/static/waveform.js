// The waveform, drawn from the peaks of each hop.

import { HOP } from "./analysis.js";

const MOST_COLUMNS = 8192;
const [HEARD, UNHEARD] = ["#7fe0d2", "#3d7f86"];

/** Grows to the right; what was heard has another colour. */
export class Waveform {
  #peaks = new Float32Array(2 * MOST_COLUMNS);
  #count = 0;
  #heard = 0; // columns that are drawn as such
  #hops = 1; // that one column stands for: of long lines several

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.columns = 0; // hops that have come
  }

  /** Begin anew. */
  clear() {
    this.#count = this.columns = 0;
    this.#hops = 1;
    this.#peaks.fill(0);
  }

  /** @param {Float32Array} peaks the least and the most of each hop */
  add(peaks) {
    for (let i = 0; i < peaks.length; i += 2, this.columns++) {
      let column = Math.floor(this.columns / this.#hops);
      if (column >= MOST_COLUMNS) {
        this.#halve();
        column = Math.floor(this.columns / this.#hops);
      }
      this.#count = column + 1;
      this.#widen(column, peaks[i], peaks[i + 1]);
    }
  }

  /**
   * All of it anew, or only what was heard since.
   * @param {number} acrossSamples that the whole width stands for
   * @param {number} heardSamples
   * @param {boolean} isStale whether there is more than that
   */
  draw(acrossSamples, heardSamples, isStale) {
    const { width, height } = this.canvas;
    const step = (width * HOP * this.#hops) / acrossSamples;
    const heard = Math.min(this.#count, Math.floor(heardSamples / (HOP * this.#hops)));
    if (isStale || heard < this.#heard) {
      this.context.clearRect(0, 0, width, height);
      this.#fill(heard, this.#count, step, UNHEARD);
      this.#heard = 0;
    }
    this.#fill(this.#heard, heard, step, HEARD);
    this.#heard = heard;
  }

  /**
   * @param {number} from
   * @param {number} to
   * @param {number} step
   * @param {string} colour
   */
  #fill(from, to, step, colour) {
    const { context, canvas } = this;
    const middle = canvas.height / 2;
    if (from >= to) return;
    context.fillStyle = colour;
    context.beginPath();
    for (let column = from; column < to; column++) {
      const top = middle * (1 - Math.min(1, this.#peaks[2 * column + 1] * 1.6));
      const bottom = middle * (1 - Math.max(-1, this.#peaks[2 * column] * 1.6));
      const high = Math.max(1, bottom - top);
      context.rect(column * step, top, Math.max(step, 1), high);
    }
    context.fill();
  }

  #halve() {
    const old = this.#peaks.slice();
    this.#peaks.fill(0);
    this.#hops *= 2;
    for (let i = 0; i < MOST_COLUMNS; i++) this.#widen(i >> 1, old[2 * i], old[2 * i + 1]);
  }

  /**
   * @param {number} column
   * @param {number} least
   * @param {number} most
   */
  #widen(column, least, most) {
    this.#peaks[2 * column] = Math.min(this.#peaks[2 * column], least);
    this.#peaks[2 * column + 1] = Math.max(this.#peaks[2 * column + 1], most);
  }
}
