// What pictures of sound are made of, computed in a worker: peaks and mel bands, hop by hop.

import { transform } from "./fft.js";

const WINDOW = 1024;
/** Samples that one column stands for. */
export const HOP = 256;
/** Mel bands of a column, the lowest first. */
export const BANDS = 80;
const QUIETEST_DB = -88;
const LOUDEST_DB = -18;

/** Turns samples, as they come, into columns. */
export class Analysis {
  /** @param {number} rateHertz */
  constructor(rateHertz) {
    this.transform = transform(WINDOW);
    this.hann = new Float32Array(WINDOW).map(
      (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW),
    );
    this.edges = bandEdges(rateHertz);
    this.real = new Float32Array(WINDOW);
    this.imaginary = new Float32Array(WINDOW);
    // Half a window of silence before the first sample, so that a column's window is around it.
    this.kept = new Float32Array((WINDOW - HOP) / 2);
  }

  /**
   * Columns that are certain now. `peaks` holds the least and the most of each, `bands` 0 to 255.
   * @param {Float32Array} samples
   */
  push(samples) {
    const all = new Float32Array(this.kept.length + samples.length);
    all.set(this.kept);
    all.set(samples, this.kept.length);
    const count = Math.max(0, Math.floor((all.length - WINDOW) / HOP) + 1);
    const peaks = new Float32Array(2 * count);
    const bands = new Uint8Array(BANDS * count);
    for (let column = 0; column < count; column++) {
      const start = column * HOP;
      this.measure(all, start, bands.subarray(column * BANDS, (column + 1) * BANDS));
      const middle = all.subarray(start + (WINDOW - HOP) / 2, start + (WINDOW + HOP) / 2);
      peaks[2 * column] = middle.reduce((a, b) => Math.min(a, b), 0);
      peaks[2 * column + 1] = middle.reduce((a, b) => Math.max(a, b), 0);
    }
    this.kept = all.slice(count * HOP);
    return { count, peaks, bands };
  }

  /** The columns that are left, once nothing more will come. */
  finish() {
    return this.push(new Float32Array(WINDOW));
  }

  /**
   * @param {Float32Array} samples
   * @param {number} start
   * @param {Uint8Array} into
   */
  measure(samples, start, into) {
    const { real, imaginary, hann, edges } = this;
    for (let i = 0; i < WINDOW; i++) real[i] = samples[start + i] * hann[i];
    imaginary.fill(0);
    this.transform(real, imaginary);
    for (let band = 0; band < BANDS; band++) {
      let most = 0;
      for (let bin = edges[band]; bin < Math.max(edges[band] + 1, edges[band + 1]); bin++) {
        most = Math.max(most, real[bin] * real[bin] + imaginary[bin] * imaginary[bin]);
      }
      // A full-scale sine has a quarter of the window's length squared in its bin.
      const decibels = 10 * Math.log10(most / (WINDOW * WINDOW * 0.0625) + 1e-12);
      const share = (decibels - QUIETEST_DB) / (LOUDEST_DB - QUIETEST_DB);
      into[band] = Math.max(0, Math.min(255, Math.round(share * 255)));
    }
  }
}

/** The first bin of each mel band, and one past the last. @param {number} rateHertz */
function bandEdges(rateHertz) {
  const mel = (/** @type {number} */ hertz) => Math.log1p(hertz / 700);
  const [low, high] = [mel(40), mel(Math.min(rateHertz / 2, 10_000))];
  return Array.from({ length: BANDS + 1 }, (_, band) => {
    const hertz = 700 * Math.expm1(low + ((high - low) * band) / BANDS);
    return Math.min(WINDOW / 2, Math.round((hertz * WINDOW) / rateHertz));
  });
}
