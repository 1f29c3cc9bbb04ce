// The list of voices: searched by the server, a page at a time, chosen by mouse or arrow keys.

import { voices } from "./api.js";
import { element, settled } from "./dom.js";

/** @typedef {import("./types.js").Voice} Voice */

/** A search field over a listbox. Moving through the list chooses. */
export class VoiceList {
  /** @type {Voice[]} */
  #voices = [];
  #next = "";
  #chosen = -1;
  /** @type {AbortController | null} */
  #asking = null;
  /** @type {Set<string>} */
  #warm = new Set();

  /**
   * @param {{search: HTMLInputElement, list: HTMLElement, note: HTMLElement}} parts
   * @param {{chosen: (voice: Voice) => void, taken: () => void,
   *          failed: (error: unknown) => void}} ears
   *   `taken` hears that somebody is done with choosing
   */
  constructor({ search, list, note }, ears) {
    this.search = search;
    this.list = list;
    this.note = note;
    this.ears = ears;
    search.addEventListener(
      "input",
      settled(() => this.load(), 150),
    );
    search.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") list.focus();
      else if (event.key === "Enter") ears.taken();
      else return;
      event.preventDefault();
    });
    list.addEventListener("keydown", (event) => this.#press(event));
    list.addEventListener("click", ({ target }) => {
      const option = target instanceof Element && target.closest("[role=option]");
      if (option) this.#choose([...list.children].indexOf(option));
    });
    list.addEventListener("scroll", () => {
      if (list.scrollTop + list.clientHeight > list.scrollHeight - 200) this.#more();
    });
  }

  /** Those that the search field asks for. */
  async load() {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    try {
      const page = await voices(this.search.value, "", asking.signal);
      const before = this.chosen?.id;
      this.#voices = [];
      this.#chosen = -1;
      this.list.replaceChildren();
      this.#add(page);
      const same = this.#voices.findIndex(({ id }) => id === before);
      this.#choose(same < 0 ? this.#voices.findIndex(({ problem }) => !problem) : same);
    } catch (error) {
      if (!asking.signal.aborted) this.ears.failed(error);
    }
  }

  /** The one that is chosen. */
  get chosen() {
    return this.#voices[this.#chosen];
  }

  /** @param {Set<string>} warm ids of voices that are in memory */
  light(warm) {
    this.#warm = warm;
    for (const [place, option] of [...this.list.children].entries()) {
      this.#lightOne(option, this.#voices[place].id);
    }
  }

  async #more() {
    if (!this.#next || this.#asking?.signal.aborted) return;
    const token = this.#next;
    this.#next = "";
    try {
      this.#add(await voices(this.search.value, token, this.#asking?.signal));
    } catch (error) {
      if (!this.#asking?.signal.aborted) this.ears.failed(error);
    }
  }

  /** @param {{voices: Voice[], next_page_token: string}} page */
  #add({ voices: found, next_page_token: next }) {
    this.#next = next;
    for (const voice of found) {
      this.list.append(this.#option(voice, this.#voices.length));
      this.#voices.push(voice);
    }
    const count = this.#voices.length;
    const some = next ? `the first ${count} voices` : `${count} voice${count === 1 ? "" : "s"}`;
    this.note.textContent = count ? some : "No voice is called that.";
  }

  /**
   * @param {Voice} voice
   * @param {number} place
   */
  #option(voice, place) {
    const about = [voice.id, voice.engine, voice.gender].filter(Boolean);
    const option = element(
      "li",
      {
        role: "option",
        id: `voice-${place}`,
        "aria-selected": "false",
        "aria-disabled": voice.problem ? "true" : null,
        title: voice.problem || null,
      },
      element("span", { class: "dot", "aria-hidden": "true" }),
      element("span", { class: "name", text: voice.display_name || voice.id }),
      element("span", { class: "language", text: voice.language ?? "" }),
      element("span", { class: "about", text: voice.problem || about.join(" · ") }),
      element("span", { class: "unseen" }),
    );
    this.#lightOne(option, voice.id);
    return option;
  }

  /**
   * @param {Element} option
   * @param {string} id
   */
  #lightOne(option, id) {
    const isWarm = this.#warm.has(id);
    option.classList.toggle("warm", isWarm);
    const told = option.querySelector(".unseen");
    if (told) told.textContent = isWarm ? ", in memory" : "";
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const last = this.#voices.length - 1;
    const moves = {
      ArrowDown: this.#chosen + 1,
      ArrowUp: this.#chosen - 1,
      PageDown: this.#chosen + 5,
      PageUp: this.#chosen - 5,
      Home: 0,
      End: last,
    };
    if (event.key === "Enter") this.ears.taken();
    else if (event.key in moves) {
      const to = moves[/** @type {keyof typeof moves} */ (event.key)];
      this.#choose(Math.max(0, Math.min(last, to)));
    } else return;
    event.preventDefault();
  }

  /** @param {number} place */
  #choose(place) {
    const voice = this.#voices[place];
    if (!voice || voice.problem) return;
    this.list.children[this.#chosen]?.setAttribute("aria-selected", "false");
    const option = /** @type {HTMLElement} */ (this.list.children[place]);
    option.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", option.id);
    this.#reveal(option);
    this.#chosen = place;
    this.ears.chosen(voice);
    if (place > this.#voices.length - 10) this.#more();
  }

  /** Scroll the list, and not the page. @param {HTMLElement} option */
  #reveal(option) {
    const { list } = this;
    const below = option.offsetTop + option.offsetHeight - list.clientHeight;
    list.scrollTop = Math.max(below, Math.min(list.scrollTop, option.offsetTop));
  }
}
