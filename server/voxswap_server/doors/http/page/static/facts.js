// The figures of a line, and the receipt of one that was interrupted.

import { badge, element } from "./dom.js";
import { milliseconds, seconds, trimmed } from "./format.js";
import { markAt } from "./line.js";

/** A `Listener` of lines: how fast it came, what it cost. */
export class Facts {
  /** @param {HTMLElement} root a list of descriptions */
  constructor(root) {
    this.root = root;
    /** @type {import("./line.js").Line | null} */
    this.line = null;
  }

  /** @param {import("./line.js").Line} line */
  asked(line) {
    this.line = line;
    this.#draw(line);
  }

  /** @param {import("./line.js").Line} line */
  chunk(line) {
    if (line.receivedSamples && !line.heardMs) this.#draw(line);
  }

  /** @param {import("./line.js").Line} line */
  whole(line) {
    this.#draw(line);
  }

  /** @param {import("./line.js").Line} line */
  began(line) {
    this.#draw(line);
  }

  /** @param {import("./line.js").Line} line */
  #draw(line) {
    if (line !== this.line) return;
    const { header, trailer, rateHertz } = line;
    const isSpoken = header && trailer && trailer.compute_ms > 0;
    const spokenMs = (line.receivedSamples / rateHertz) * 1000;
    const facts = [
      ["First audio", milliseconds(line.firstAudioMs), "from asking to the first bytes"],
      ["Heard", milliseconds(line.heardMs), "from the press to the loudspeaker"],
      ["Voice", header ? temperature(header) : "–", "whether it was in memory"],
      ["Emotion", header ? feeling(header) : "–", "how it is spoken"],
      ["Swap", milliseconds(header?.swap_ms), "until the voice was in memory"],
      ["Queue", milliseconds(header?.queue_ms), "until it was its turn to compute"],
      ["Length", line.receivedSamples ? seconds(line.receivedSamples, rateHertz) : "–", ""],
      ["Speed", isSpoken ? `${trimmed(spokenMs / trailer.compute_ms, 1)} ×` : "–", "of real time"],
      ["Seed", trailer?.seed ?? "–", "makes this line again"],
    ];
    const shown = facts.map(([name, value, why]) =>
      element(
        "div",
        { title: why || null },
        element("dt", { text: name }),
        element("dd", {}, value),
      ),
    );
    this.root.replaceChildren(...shown);
  }
}

/** @param {import("./types.js").Header} header */
export function temperature(header) {
  if (header.cached) return badge("cached", "good");
  return header.cold ? badge("cold", "warn") : badge("warm", "good");
}

/** What is felt, and how that is spoken. @param {import("./types.js").Header} header */
function feeling({ emotions = [], expression = "none" }) {
  if (!emotions.length) return "–";
  const shares = emotions.map(({ emotion, weight }) => `${emotion} ${trimmed(weight, 2)}`);
  return `${shares.join(", ")} (${expression.toUpperCase()})`;
}

/**
 * What is told of a line that was interrupted.
 * @param {import("./line.js").Line} line
 */
export function receiptOf(line) {
  const { receipt, rateHertz, heardSamples } = line;
  const sent = receipt?.end_sample ?? line.receivedSamples;
  const last = receipt ? receipt.last_word : (line.words.at(-1)?.text ?? "");
  const heard = line.words[markAt(line.words, heardSamples)];
  const rows = [
    ["Heard", `${seconds(heardSamples, rateHertz)}, up to ${quoted(heard?.text)}`],
    ["Sent", `${seconds(sent, rateHertz)} (sample ${sent.toLocaleString("en")})`],
    ["Last word sent whole", quoted(last)],
    ["Told by", receipt ? "the server’s receipt" : "this page: all of it had been sent by then"],
  ];
  return rows.map(([name, value]) =>
    element("div", {}, element("dt", { text: name }), element("dd", { text: value })),
  );
}

/** @param {string | undefined} word */
function quoted(word) {
  return word ? `“${word}”` : "no word";
}
