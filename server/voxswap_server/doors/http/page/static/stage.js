// The stage: waveform, spectrogram, words and mouth of one line, moved by the clock of its sound.

import { Mouth } from "./mouth.js";
import { Spectrogram } from "./spectrogram.js";
import { Waveform } from "./waveform.js";
import { Words } from "./words.js";

/** A `Listener` of lines. Shows the latest one that was asked for. */
export class Stage {
  /** @type {import("./line.js").Line | null} */
  #line = null;
  #number = 0;
  #isDrawing = false;
  #isStale = true; // something is to be drawn beside what moves
  #shownAcross = 0;

  /**
   * @param {{waveform: HTMLCanvasElement, spectrogram: HTMLCanvasElement, playhead: HTMLElement,
   *          words: HTMLElement, mouth: SVGElement}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.waveform = new Waveform(parts.waveform);
    this.spectrogram = new Spectrogram(parts.spectrogram);
    this.words = new Words(parts.words);
    this.mouth = new Mouth(parts.mouth);
    this.worker = new Worker("/page/analysis-worker.js", { type: "module" });
    this.worker.onmessage = ({ data }) => this.#takeColumns(data);
    const sizes = new ResizeObserver(() => this.#fit());
    sizes.observe(parts.waveform);
    sizes.observe(parts.spectrogram);
  }

  /** @param {import("./line.js").Line} line */
  asked(line) {
    this.#line = line;
    this.#number++;
    this.#shownAcross = 0;
    this.waveform.clear();
    this.spectrogram.clear();
    this.words.show(line.asked.text);
    this.#wake();
  }

  /** @param {import("./line.js").Line} line */
  header(line) {
    if (line !== this.#line) return;
    this.worker.postMessage({ line: this.#number, rateHertz: line.rateHertz });
  }

  /**
   * @param {import("./line.js").Line} line
   * @param {Float32Array} samples
   * @param {import("./types.js").Mark[]} marks
   */
  chunk(line, samples, marks) {
    if (line !== this.#line) return;
    this.worker.postMessage({ line: this.#number, samples }, [samples.buffer]);
    this.words.add(marks);
  }

  /** @param {import("./line.js").Line} line */
  whole(line) {
    if (line === this.#line) this.worker.postMessage({ line: this.#number, isWhole: true });
  }

  /** @param {import("./line.js").Line} line */
  began(line) {
    if (line === this.#line) this.#wake();
  }

  /** @param {import("./line.js").Line} line */
  ended(line) {
    if (line === this.#line) this.#wake();
  }

  /** @param {import("./line.js").Line} line */
  failed(line) {
    this.ended(line);
  }

  /** @param {{line: number, peaks: Float32Array, bands: Uint8Array}} columns */
  #takeColumns({ line, peaks, bands }) {
    if (line !== this.#number) return;
    this.waveform.add(peaks);
    this.spectrogram.add(bands);
    this.#wake();
  }

  #fit() {
    for (const canvas of [this.parts.waveform, this.parts.spectrogram]) {
      const { width, height } = canvas.getBoundingClientRect();
      canvas.width = Math.max(1, Math.round(width * devicePixelRatio));
      canvas.height = Math.max(1, Math.round(height * devicePixelRatio));
    }
    this.#wake();
  }

  #wake() {
    this.#isStale = true;
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#isDrawing = false;
    const line = this.#line;
    const isOver = line?.isOver ?? true;
    const position = !line ? 0 : isOver ? line.heardSamples : line.position;
    const across = this.#across(line);
    this.waveform.draw(across, position, this.#isStale);
    if (this.#isStale) this.spectrogram.draw(across);
    this.#isStale = false;
    const share = Math.min(1, position / across);
    this.parts.playhead.style.transform = `translateX(${share * 100}%)`;
    this.parts.playhead.hidden = !line || isOver;
    if (!line) return;
    this.words.draw(line.words, position, isOver);
    this.mouth.draw(line.visemes, position, isOver);
    // Nothing moves before the first sound: what the browser would draw, the server may compute.
    const isStill = isOver || line.heardMs === null;
    if (isStill && this.mouth.isShut) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => this.#draw());
  }

  /**
   * Samples that the width stands for: it does not jump with every estimate, and ends exact.
   * @param {import("./line.js").Line | null} line
   */
  #across(line) {
    if (!line) return 1;
    const wanted = line.expectedSamples;
    if (!this.#shownAcross) this.#shownAcross = wanted;
    if (wanted === this.#shownAcross) return wanted;
    this.#isStale = true;
    const next = this.#shownAcross + (wanted - this.#shownAcross) * 0.2;
    this.#shownAcross =
      Math.abs(next - wanted) < 200 ? wanted : Math.max(next, line.receivedSamples);
    return this.#shownAcross;
  }
}
