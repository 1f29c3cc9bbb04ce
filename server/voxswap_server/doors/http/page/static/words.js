// The line as it is spoken: the word that is heard is lit, and what was heard stays bright.

import { markAt } from "./line.js";
import { element } from "./dom.js";

/** Words become elements as their marks come; the rest of the text waits behind them. */
export class Words {
  /** @type {HTMLElement[]} */
  #words = [];
  /** @type {string[]} */
  #characters = [];
  #cursor = 0;
  #lit = -1;
  #rest = document.createTextNode("");

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
  }

  /** Begin anew. @param {string} text */
  show(text) {
    this.#words = [];
    this.#characters = Array.from(text); // code points, as marks count them
    this.#cursor = 0;
    this.#lit = -1;
    this.#rest = document.createTextNode(text);
    this.root.replaceChildren(this.#rest);
  }

  /** @param {import("./types.js").Mark[]} marks */
  add(marks) {
    for (const { kind, text, text_start: start = 0, text_end: end = 0 } of marks) {
      if (kind !== "word") continue;
      const between = this.#characters.slice(this.#cursor, start).join("");
      const written = this.#characters.slice(start, end).join("") || text;
      const word = element("span", { class: "word", text: written });
      const gap = element("span", { class: "gap", text: between });
      this.root.insertBefore(gap, this.#rest);
      this.root.insertBefore(word, this.#rest);
      this.#words.push(word);
      this.#cursor = Math.max(this.#cursor, end);
    }
    this.#rest.data = this.#characters.slice(this.#cursor).join("");
  }

  /**
   * Light the word that is heard.
   * @param {import("./types.js").Mark[]} marks of words
   * @param {number} sample
   * @param {boolean} isOver then all words that were heard are, and none is lit
   */
  draw(marks, sample, isOver) {
    const now = markAt(marks, sample);
    this.root.classList.toggle("spoken", isOver && now === this.#words.length - 1);
    for (let i = Math.max(0, this.#lit); i < now; i++) this.#mark(i, "said");
    for (let i = this.#lit; i > now; i--) this.#mark(i, "");
    if (now !== this.#lit || isOver) this.#mark(now, isOver ? "said" : "now");
    this.#lit = now;
  }

  /**
   * @param {number} index
   * @param {string} state
   */
  #mark(index, state) {
    const word = this.#words[index];
    if (word && word.dataset.state !== state) word.dataset.state = state;
  }
}
