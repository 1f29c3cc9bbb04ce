// One line of a scene: its fields, and what became of it.

import { badge, byId, element } from "./dom.js";
import { milliseconds } from "./format.js";
import { temperature } from "./facts.js";
import { suggestVoices } from "./suggest.js";

const CLASSES = ["bark", "dialogue", "cinematic"];

/** @typedef {{voice: string, text: string, line_class?: string, start_by_ms?: number}} Written */

/** A row of the scene; a `Listener` of its own line. */
export class SceneLine {
  /**
   * @param {Written} written
   * @param {(row: SceneLine, what: "up" | "down" | "remove") => void} moved
   */
  constructor(written, moved) {
    const number = ++SceneLine.count;
    this.voice = this.#input("voice", number, { value: written.voice, placeholder: "voice" });
    suggestVoices(this.voice, byId("scene-voices"));
    this.text = this.#input("text", number, { value: written.text, placeholder: "what is said" });
    this.startBy = this.#input("start_by_ms", number, {
      ...{ value: written.start_by_ms ?? "", placeholder: "none", inputmode: "numeric" },
    });
    this.lineClass = element(
      "select",
      { id: `scene-class-${number}`, "data-field": "line_class" },
      ...CLASSES.map((name) =>
        element("option", { text: name, selected: name === (written.line_class ?? "dialogue") }),
      ),
    );
    this.told = element("p", { class: "told" });
    this.progress = element("span", { class: "progress", "aria-hidden": "true" });
    const button = (
      /** @type {string} */ sign,
      /** @type {any} */ what,
      /** @type {string} */ why,
    ) =>
      element("button", {
        ...{ type: "button", class: "small", text: sign, "aria-label": why, title: why },
        "data-what": what,
        onclick: () => moved(this, what),
      });
    this.root = element(
      "li",
      { class: "scene-line" },
      this.#field("Voice", this.voice),
      this.#field("Line", this.text, "wide"),
      this.#field("Class", this.lineClass),
      this.#field("Start by, ms", this.startBy),
      element(
        "div",
        { class: "actions" },
        button("↑", "up", "Move up"),
        button("↓", "down", "Move down"),
        button("×", "remove", "Remove"),
      ),
      ...[this.told, this.progress],
    );
    this.settle();
  }

  static count = 0;

  /** What it asks for. */
  get request() {
    /** @type {import("./types.js").Asked} */
    const asked = {
      voice: this.voice.value.trim(),
      text: this.text.value,
      line_class: this.lineClass.value,
    };
    // Not Number alone: of what is no number the server tells, and names the field.
    const due = this.startBy.value.trim();
    if (due) asked.start_by_ms = Number.isNaN(Number(due)) ? due : Number(due);
    return asked;
  }

  /** Nothing has become of it yet. */
  settle() {
    this.root.dataset.state = "idle";
    this.told.replaceChildren();
    this.progress.style.width = "0";
  }

  /** @param {{estimated_ms: number, in_time: boolean, fits: boolean}} outlook of its voice */
  prepared({ estimated_ms: after, in_time: isInTime, fits }) {
    if (!fits) this.#tell(badge("does not fit", "bad"));
    else if (!after) this.#tell(badge("ready", "good"));
    else this.#tell(badge(`ready in ${milliseconds(after)}`, isInTime ? "plain" : "warn"));
  }

  /** Asked for, perhaps not for the first time. */
  asked() {
    this.root.dataset.state = "asked";
    this.#tell("asked …");
  }

  /** @param {import("./line.js").Line} line */
  began(line) {
    this.root.dataset.state = "speaking";
    this.#draw(line);
    this.#follow(line);
  }

  /** @param {import("./line.js").Line} line */
  chunk(line) {
    this.#draw(line);
  }

  /** @param {import("./line.js").Line} line */
  ended(line) {
    this.root.dataset.state = line.wasInterrupted ? "idle" : "done";
    if (!line.wasInterrupted) this.progress.style.width = "100%";
    this.#draw(line);
    if (line.wasInterrupted) this.told.append(badge("interrupted", "plain"));
  }

  /** It will not be heard. @param {import("./api.js").ApiError} error */
  fail(error) {
    this.root.dataset.state = "failed";
    const why = error.violations.map((v) => `${v.field} ${v.description}`).join("; ");
    this.#tell(badge(error.reason, "bad"), ` ${why || error.message}`);
  }

  /** @param {import("./line.js").Line} line */
  #draw({ header, firstAudioMs, asked }) {
    if (!header || firstAudioMs === null) return;
    const due = asked.start_by_ms;
    const told = [temperature(header), ` first audio ${milliseconds(firstAudioMs)}`];
    if (header.cold) told.push(`, swap ${milliseconds(header.swap_ms)}`);
    if (due) told.push(", due ", badge(`${due} ms`, firstAudioMs <= due ? "good" : "bad"));
    this.#tell(badge(asked.line_class ?? "dialogue"), " ", ...told);
  }

  /** @param {import("./line.js").Line} line */
  #follow(line) {
    if (line.isOver) return;
    const share = Math.min(1, line.position / line.expectedSamples);
    this.progress.style.width = `${share * 100}%`;
    requestAnimationFrame(() => this.#follow(line));
  }

  /** @param {...(Node | string)} content */
  #tell(...content) {
    this.told.replaceChildren(...content);
  }

  /**
   * @param {string} name
   * @param {number} number
   * @param {Record<string, any>} attributes
   */
  #input(name, number, attributes) {
    const id = `scene-${name}-${number}`;
    return element("input", { id, "data-field": name, autocomplete: "off", ...attributes });
  }

  /**
   * @param {string} title
   * @param {HTMLElement} input
   * @param {string} [kind]
   */
  #field(title, input, kind = "") {
    const label = element("label", { for: input.id, text: title });
    return element("div", { class: `field ${kind}` }, label, input);
  }
}
