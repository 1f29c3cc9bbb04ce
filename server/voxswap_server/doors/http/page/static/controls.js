// Sliders for whatever controls a voice says that it has: of this page none knows one by name.

import { element } from "./dom.js";
import { trimmed } from "./format.js";

/** @typedef {import("./types.js").Control} Control */

const UNITS = { semitones: " st", db: " dB", ms: " ms", hertz: " Hz" };
const STEPS = 200;
// No name of an emotion: what is read off the text.
const AUTO = "auto";

/** `pitch_semitones` as people read it: Pitch, in st. @param {string} name */
function worded(name) {
  const parts = name.split("_");
  const unit = UNITS[/** @type {keyof typeof UNITS} */ (parts.at(-1) ?? "")];
  const words = (unit ? parts.slice(0, -1) : parts).join(" ");
  return { title: words[0].toUpperCase() + words.slice(1), unit: unit ?? "" };
}

/** A number that is asked for, or left to the voice. */
class Slider {
  /** @type {number | null} null: the voice's own */
  value = null;

  /**
   * @param {Control} control
   * @param {() => void} changed
   */
  constructor(control, changed) {
    this.control = control;
    this.changed = changed;
    const { title, unit } = worded(control.name);
    const id = `control-${control.name}`;
    this.unit = unit;
    // From a quarter to four times, the middle is one.
    this.isFactor = control.least > 0 && control.most / control.least >= 8;
    if (this.isFactor && !unit) this.unit = " ×";
    this.input = element("input", {
      ...{ type: "range", id, min: 0, max: STEPS, step: 1 },
      "data-field": `controls.${control.name}`,
      oninput: () => this.set(this.#valueAt(Number(this.input.value))),
    });
    this.output = element("output", { for: id });
    this.reset = element("button", {
      ...{ type: "button", class: "quiet", text: "Reset" },
      "aria-label": `Leave ${title.toLowerCase()} to the voice`,
      onclick: () => {
        this.set(null);
        this.input.focus();
      },
    });
    this.root = element(
      "div",
      { class: "slider" },
      element("label", { for: id, text: title }),
      ...[this.output, this.reset, this.input],
    );
    this.set(null);
  }

  /** @param {number | null} value */
  set(value) {
    const { least, most, neutral } = this.control;
    this.value = value !== null && value === neutral ? null : value;
    const shown = this.value ?? neutral ?? (least + most) / 2;
    this.input.value = String(this.#placeOf(shown));
    const isOwn = this.value === null && neutral === null;
    const told = `${trimmed(shown, 2)}${this.unit}`;
    this.output.textContent = isOwn ? "auto" : told;
    this.input.setAttribute("aria-valuetext", isOwn ? "the voice’s own" : told);
    this.root.classList.toggle("unset", this.value === null);
    this.reset.hidden = this.value === null;
    this.changed();
  }

  /** @param {number} place */
  #valueAt(place) {
    const { least, most } = this.control;
    const share = place / STEPS;
    const value = this.isFactor ? least * (most / least) ** share : least + (most - least) * share;
    return Number(value.toFixed(2));
  }

  /** @param {number} value */
  #placeOf(value) {
    const { least, most } = this.control;
    const share = this.isFactor
      ? Math.log(value / least) / Math.log(most / least)
      : (value - least) / (most - least);
    return Math.round(share * STEPS);
  }
}

/** Everything that the chosen voice lets people change. */
export class Controls {
  /** @type {Map<string, Slider>} */
  #sliders = new Map();
  /** @type {HTMLSelectElement | null} */
  #speaker = null;
  /** @type {HTMLSelectElement | null} */
  #emotion = null;
  /** @type {Slider | null} */
  #intensity = null;
  /** @type {HTMLInputElement | null} */
  #style = null;
  #isProsody = false;

  /**
   * @param {HTMLElement} root
   * @param {() => void} changed
   */
  constructor(root, changed) {
    this.root = root;
    this.changed = changed;
  }

  /** Build them; what was set stays set where the new voice has it too. */
  show(/** @type {import("./types.js").Voice} */ voice) {
    const before = this.#sliders;
    this.#sliders = new Map();
    this.#speaker = this.#emotion = this.#intensity = this.#style = null;
    // What its own model does not speak, rate, pitch and volume may: the line's facts say which.
    const emotions = voice.emotions?.length ? voice.emotions : (voice.prosody ?? []);
    this.#isProsody = !voice.emotions?.length;
    const made = [];
    if (voice.speakers?.length) {
      const select = (this.#speaker = this.#select("speaker", voice.speakers, "the first one"));
      made.push(this.#field("Speaker", select));
    }
    if (emotions.length) {
      const select = (this.#emotion = this.#select("emotion", emotions, "neutral"));
      select.append(element("option", { value: AUTO, text: "as the text says" }));
      const strength = { name: "emotion_strength", least: 0, most: 2, neutral: 1 };
      this.#intensity = new Slider(strength, this.changed);
      made.push(this.#field("Emotion", select), this.#intensity.root);
    }
    if (voice.style_prompts) {
      const input = element("input", {
        ...{ id: "control-style", type: "text", maxlength: 500, oninput: this.changed },
        "data-field": "style_prompt",
      });
      this.#style = input;
      made.push(this.#field("Style in words", input));
    }
    for (const control of voice.controls ?? []) {
      const slider = new Slider(control, this.changed);
      slider.set(before.get(control.name)?.value ?? null);
      this.#sliders.set(control.name, slider);
      made.push(slider.root);
    }
    this.root.replaceChildren(...made);
  }

  /** What of a request they ask for. */
  get asked() {
    /** @type {Partial<import("./types.js").Asked>} */
    const asked = {};
    if (this.#speaker?.value) asked.speaker = this.#speaker.value;
    const set = [...this.#sliders].filter(([, { value }]) => value !== null);
    if (set.length) {
      asked.controls = Object.fromEntries(set.map(([name, { value }]) => [name, value ?? 0]));
    }
    if (this.#emotion?.value) {
      const { value } = this.#emotion;
      const felt = value === AUTO ? { from_text: true } : { mixture: [{ emotion: value, weight: 1 }] };
      const fallback = this.#isProsody ? { fallback: "prosody" } : {};
      asked.emotion = { ...felt, intensity: this.#intensity?.value ?? 1, ...fallback };
    }
    if (this.#style?.value.trim()) asked.style_prompt = this.#style.value.trim();
    return asked;
  }

  /**
   * @param {string} field
   * @param {string[]} names
   * @param {string} otherwise
   * @returns {HTMLSelectElement}
   */
  #select(field, names, otherwise) {
    return element(
      "select",
      { id: `control-${field}`, "data-field": field, onchange: this.changed },
      element("option", { value: "", text: otherwise }),
      ...names.map((name) => element("option", { value: name, text: name })),
    );
  }

  /**
   * @param {string} title
   * @param {HTMLElement} input
   */
  #field(title, input) {
    return element(
      "div",
      { class: "field" },
      element("label", { for: input.id, text: title }),
      input,
    );
  }
}
