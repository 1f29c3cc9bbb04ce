// What is in memory, as the whole page sees it: asked again whenever something happens.

import { get } from "./api.js";
import { settled } from "./dom.js";

/** @typedef {import("./types.js").Overview} Overview */

/** One for the page. */
export class Residency {
  /** @type {((overview: Overview) => void)[]} */
  #looking = [];
  /** @type {((event: import("./types.js").ResidencyEvent) => void)[]} */
  #hearing = [];
  /** @type {Overview | null} */
  overview = null;
  #epoch = "";
  #heard = 0; // the number of the latest event

  constructor() {
    this.refreshSoon = settled(() => this.refresh(), 60);
  }

  /**
   * Begin to watch, from the oldest event that the server keeps. Browsers open the stream again by
   * themselves, and miss nothing.
   */
  start() {
    const events = new EventSource("/v1/events?after_sequence=0");
    events.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.epoch === this.#epoch && event.sequence <= this.#heard) return;
      [this.#epoch, this.#heard] = [event.epoch, event.sequence];
      for (const hear of this.#hearing) hear(event);
      this.refreshSoon();
    };
    events.onopen = () => this.refresh();
    // A server that was started anew does not know the events that it is asked to go on after.
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) setTimeout(() => this.start(), 3000);
    };
  }

  /** @param {(overview: Overview) => void} look */
  onChange(look) {
    this.#looking.push(look);
    if (this.overview) look(this.overview);
  }

  /** @param {(event: import("./types.js").ResidencyEvent) => void} hear */
  onEvent(hear) {
    this.#hearing.push(hear);
  }

  /** Look now. */
  async refresh() {
    try {
      this.overview = await get("/v1/residents");
    } catch {
      return; // the next event, or the next line, tells more
    }
    for (const look of this.#looking) if (this.overview) look(this.overview);
  }

  /** Ids of voices that can speak at once. */
  get warm() {
    const residents = this.overview?.residents.filter(({ state }) => state === "resident") ?? [];
    return new Set(residents.flatMap(({ voices }) => voices.map((ref) => ref.split("@")[0])));
  }
}
