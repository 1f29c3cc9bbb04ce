// The worker around `Analysis`: one line at a time, told apart by number.

import { Analysis } from "./analysis.js";

let line = -1;
/** @type {Analysis | null} */
let analysis = null;

self.onmessage = ({ data }) => {
  if (data.rateHertz) {
    line = data.line;
    analysis = new Analysis(data.rateHertz);
  }
  if (!analysis || data.line !== line) return;
  const found = data.samples ? analysis.push(data.samples) : data.isWhole && analysis.finish();
  if (!found || !found.count) return;
  const message = { line, ...found };
  /** @type {any} */ (self).postMessage(message, [found.peaks.buffer, found.bands.buffer]);
};
