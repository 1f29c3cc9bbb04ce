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

  constructor() {
    this.refreshSoon = settled(() => this.refresh(), 60);
  }

  /** Begin to watch, once. Browsers open the stream again by themselves, and miss nothing. */
  start() {
    const events = new EventSource("/v1/events");
    events.onmessage = ({ data }) => {
      for (const hear of this.#hearing) hear(JSON.parse(data));
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
