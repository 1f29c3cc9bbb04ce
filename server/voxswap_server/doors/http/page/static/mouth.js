// A mouth that moves with the visemes: two lips, teeth and a tongue, drawn anew each frame.

import { markAt } from "./line.js";
import { shape, wantsLessMotion } from "./dom.js";

/**
 * The 15 shapes, each as [open, wide, round, teeth, tongue] from 0 to 1.
 * @type {Record<string, number[]>}
 */
const SHAPES = {
  sil: [0, 0.5, 0.1, 0, 0],
  PP: [0, 0.35, 0.3, 0, 0],
  FF: [0.13, 0.55, 0, 1, 0],
  TH: [0.28, 0.55, 0, 0.7, 1],
  DD: [0.3, 0.6, 0, 0.8, 0.6],
  kk: [0.36, 0.55, 0, 0.5, 0.2],
  CH: [0.3, 0.3, 0.7, 0.9, 0],
  SS: [0.16, 0.8, 0, 1, 0],
  nn: [0.26, 0.6, 0, 0.7, 0.8],
  RR: [0.3, 0.35, 0.5, 0.4, 0.3],
  aa: [1, 0.6, 0.1, 0.6, 0.4],
  E: [0.58, 0.85, 0, 0.7, 0.3],
  ih: [0.38, 0.9, 0, 0.8, 0.2],
  oh: [0.75, 0.3, 0.8, 0.2, 0.2],
  ou: [0.4, 0.05, 1, 0, 0],
};
const EASE_MS = 45;

/** Draws into an SVG element of 160 by 120. */
export class Mouth {
  #form = [...SHAPES.sil];
  #drawnAtMs = 0;

  /** @param {SVGElement} root */
  constructor(root) {
    this.root = root;
    this.lips = shape("path", { class: "lips" });
    this.inside = shape("path", { class: "inside" });
    this.clip = shape("path");
    this.tongue = shape("ellipse", { class: "tongue", cx: 80, rx: 24, ry: 15 });
    this.teeth = shape("rect", { class: "teeth", x: 30, width: 100, height: 22, rx: 5 });
    this.seam = shape("path", { class: "seam" });
    const within = shape("g", { "clip-path": "url(#mouth-opening)" }, this.tongue, this.teeth);
    root.append(
      shape("defs", {}, shape("clipPath", { id: "mouth-opening" }, this.clip)),
      ...[this.lips, this.inside, within, this.seam],
    );
    this.#paint();
  }

  /**
   * Move towards the shape that is heard.
   * @param {import("./types.js").Mark[]} visemes
   * @param {number} sample
   * @param {boolean} isOver then it closes
   */
  draw(visemes, sample, isOver) {
    const mark = isOver ? null : visemes[markAt(visemes, sample)];
    const isPast = mark && sample > mark.start_sample + mark.duration_samples + 2048;
    const name = mark && !isPast && mark.text in SHAPES ? mark.text : "sil";
    if (this.root.dataset.viseme !== name) this.root.dataset.viseme = name;
    const now = performance.now();
    const passedMs = Math.min(100, now - this.#drawnAtMs);
    this.#drawnAtMs = now;
    const share = wantsLessMotion() ? 1 : 1 - Math.exp(-passedMs / EASE_MS);
    const target = SHAPES[name];
    this.#form = this.#form.map((value, i) => value + (target[i] - value) * share);
    this.#paint();
  }

  /** Whether it is as good as shut. */
  get isShut() {
    return this.#form[0] < 0.02;
  }

  #paint() {
    const [open, wide, round, teeth, tongue] = this.#form;
    const half = 27 + 26 * wide - 12 * round;
    const gap = 31 * open;
    const plump = 9 + 6 * round;
    const [x0, x1, y] = [80 - half, 80 + half, 56];
    const outer = [half + 7, gap * 0.62 + plump, gap + plump + 3];
    const curve = (/** @type {number} */ up, /** @type {number} */ down) =>
      `M${x0} ${y} C${x0 + half * 0.45} ${y - up} ${x1 - half * 0.45} ${y - up} ${x1} ${y} ` +
      `C${x1 - half * 0.4} ${y + down} ${x0 + half * 0.4} ${y + down} ${x0} ${y}Z`;
    const opening = curve(gap * 0.82, gap * 1.32);
    const [reach, up, down] = outer;
    const bow = 4 - 2 * round;
    this.lips.setAttribute(
      "d",
      `M${80 - reach} ${y} C${80 - reach * 0.62} ${y - up * 1.1} ${74 - reach * 0.14} ` +
        `${y - up * 1.32 - 3} 80 ${y - up * 1.2 + bow} C${86 + reach * 0.14} ` +
        `${y - up * 1.32 - 3} ${80 + reach * 0.62} ${y - up * 1.1} ${80 + reach} ${y} ` +
        `C${80 + reach * 0.55} ${y + down * 1.32} ${80 - reach * 0.55} ${y + down * 1.32} ` +
        `${80 - reach} ${y}Z`,
    );
    this.inside.setAttribute("d", opening);
    this.clip.setAttribute("d", opening);
    const line = Math.max(0, 1 - open * 9);
    this.seam.setAttribute("d", `M${x0} ${y} Q80 ${y + 3} ${x1} ${y}`);
    this.seam.setAttribute("opacity", String(line));
    this.teeth.setAttribute("y", String(y - gap * 0.62 - 22 + 14 * teeth));
    this.teeth.setAttribute("opacity", String(Math.min(1, teeth * 1.4)));
    this.tongue.setAttribute("cy", String(y + gap + 8 - 12 * tongue));
  }
}
