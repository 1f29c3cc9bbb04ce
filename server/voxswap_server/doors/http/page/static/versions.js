// A and B: one line by two versions of a voice, with the same seed, by turns or hidden.

import { badge, element } from "./dom.js";
import { milliseconds, seconds } from "./format.js";

/** @typedef {import("./line.js").Line} Line */

/** Lets a voice's versions be compared. */
export class Versions {
  /** @type {import("./types.js").Voice | null} */
  #voice = null;
  #isSwapped = false;
  /** @type {Map<string, HTMLElement>} */
  #told = new Map();
  /** @type {HTMLSelectElement[]} */
  #choices = [];
  #seed = "";

  /**
   * @param {HTMLElement} root
   * @param {(version: number, seed: string, listener: import("./line.js").Listener) => void} play
   */
  constructor(root, play) {
    this.root = root;
    this.play = play;
  }

  /** @param {import("./types.js").Voice} voice */
  show(voice) {
    const versions = [...voice.versions].sort((a, b) => b - a);
    const isSame = this.#voice?.id === voice.id;
    if (isSame && this.#voice?.versions.length === versions.length) return;
    this.#voice = voice;
    this.#seed = "";
    this.#isSwapped = false;
    this.#told.clear();
    if (versions.length < 2) {
      const why = `${voice.id} has one version. Publish another, and hear them side by side here.`;
      this.root.replaceChildren(element("p", { class: "note", text: why }));
      return;
    }
    const blind = element("input", {
      ...{ type: "checkbox", id: "blind", onchange: () => this.#hide(blind.checked) },
    });
    const reveal = element("label", { for: "blind", class: "check" }, blind, "Hide which is which");
    this.#choices = [];
    const sides = ["A", "B"].map((name, place) => this.#side(name, versions, versions[1 - place]));
    this.root.replaceChildren(...sides, reveal);
  }

  /**
   * @param {string} name
   * @param {number[]} versions
   * @param {number} first
   */
  #side(name, versions, first) {
    const choice = element(
      "select",
      { id: `version-${name}`, onchange: () => this.#told.get(name)?.replaceChildren() },
      ...versions.map((version) =>
        element("option", { value: version, text: `@${version}`, selected: version === first }),
      ),
    );
    this.#choices.push(choice);
    const told = element("span", { class: "told", role: "status" });
    this.#told.set(name, told);
    const press = () => this.#play(name, told);
    return element(
      "div",
      { class: "side" },
      element("button", {
        type: "button",
        id: `play-${name}`,
        text: `Play ${name}`,
        onclick: press,
      }),
      element("label", { for: choice.id, class: "unseen", text: `Version of ${name}` }),
      ...[choice, told],
    );
  }

  /**
   * @param {string} name
   * @param {HTMLElement} told
   */
  #play(name, told) {
    const place = (name === "A") !== this.#isSwapped ? 0 : 1;
    // One seed for both: what differs is the version.
    this.#seed ||= String(Math.floor(Math.random() * 2 ** 32));
    this.play(Number(this.#choices[place].value), this.#seed, {
      began: (line) => told.replaceChildren(`first audio ${milliseconds(line.firstAudioMs)}`),
      ended: (line) => {
        const length = seconds(line.receivedSamples, line.rateHertz);
        told.replaceChildren(`first audio ${milliseconds(line.firstAudioMs)}, ${length}`);
      },
      failed: () => told.replaceChildren(badge("failed", "bad")),
    });
  }

  /** @param {boolean} isHidden */
  #hide(isHidden) {
    if (isHidden) this.#isSwapped = Math.random() < 0.5;
    else if (this.#isSwapped) {
      const [a, b] = this.#choices.map(({ value }) => value);
      [this.#choices[0].value, this.#choices[1].value] = [b, a];
      this.#isSwapped = false;
    }
    for (const choice of this.#choices) choice.disabled = isHidden;
    for (const choice of this.#choices) choice.classList.toggle("hidden-value", isHidden);
    for (const told of this.#told.values()) told.replaceChildren();
  }
}
