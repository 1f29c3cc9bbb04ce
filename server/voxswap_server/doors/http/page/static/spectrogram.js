// The spectrogram: columns are painted once, onto a strip that is stretched over the canvas.

import { BANDS, HOP } from "./analysis.js";

const MOST_COLUMNS = 8192;
/** From silence to full scale. */
const COLOURS = ["#0c141d", "#12303f", "#0f5d6b", "#1b968c", "#6cc98a", "#f2e394", "#fffbe8"];

/** Grows to the right, low notes at the bottom. */
export class Spectrogram {
  #strip = strip();
  #hops = 1; // that one column stands for: of long lines several
  #columns = 0;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.palette = palette();
  }

  /** Begin anew. */
  clear() {
    this.#columns = 0;
    this.#hops = 1;
  }

  /** @param {Uint8Array} bands of whole columns, one after the other */
  add(bands) {
    const count = bands.length / BANDS;
    if (Math.floor((this.#columns + count) / this.#hops) > MOST_COLUMNS) this.#halve();
    const image = new ImageData(count, BANDS);
    const pixels = new Uint32Array(image.data.buffer);
    for (let column = 0; column < count; column++) {
      for (let band = 0; band < BANDS; band++) {
        const row = BANDS - 1 - band;
        pixels[row * count + column] = this.palette[bands[column * BANDS + band]];
      }
    }
    if (this.#hops === 1) {
      this.#strip.putImageData(image, this.#columns, 0);
    } else {
      for (let column = 0; column < count; column++) {
        const left = Math.floor((this.#columns + column) / this.#hops);
        this.#strip.putImageData(image, left - column, 0, column, 0, 1, BANDS);
      }
    }
    this.#columns += count;
  }

  /** @param {number} acrossSamples that the whole width stands for */
  draw(acrossSamples) {
    const { context, canvas } = this;
    context.fillStyle = COLOURS[0];
    context.fillRect(0, 0, canvas.width, canvas.height);
    const count = Math.floor(this.#columns / this.#hops);
    if (!count) return;
    const wide = (canvas.width * this.#columns * HOP) / acrossSamples;
    const { canvas: source } = this.#strip;
    context.drawImage(source, 0, 0, count, BANDS, 0, 0, wide, canvas.height);
  }

  #halve() {
    const half = strip();
    half.drawImage(this.#strip.canvas, 0, 0, MOST_COLUMNS / 2, BANDS);
    this.#strip = half;
    this.#hops *= 2;
  }
}

function strip() {
  const canvas = document.createElement("canvas");
  canvas.width = MOST_COLUMNS;
  canvas.height = BANDS;
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/** 256 colours, as pixels of ImageData are. */
function palette() {
  const stops = COLOURS.map((colour) =>
    [1, 3, 5].map((place) => Number.parseInt(colour.slice(place, place + 2), 16)),
  );
  return Uint32Array.from({ length: 256 }, (_, value) => {
    const place = (value / 255) * (stops.length - 1);
    const from = Math.min(stops.length - 2, Math.floor(place));
    const [red, green, blue] = stops[from].map((start, channel) =>
      Math.round(start + (stops[from + 1][channel] - start) * (place - from)),
    );
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}
