// The tab where one line is written, heard, looked at and taken along.

import { Controls } from "./controls.js";
import { byId } from "./dom.js";
import { Facts, receiptOf } from "./facts.js";
import { milliseconds } from "./format.js";
import { Line, conversations } from "./line.js";
import { audioAt } from "./player.js";
import { lineToTry } from "./samples.js";
import { Stage } from "./stage.js";
import { takeaway } from "./takeaway.js";
import { Trouble } from "./trouble.js";
import { Versions } from "./versions.js";
import { VoiceList } from "./voices.js";

/** @typedef {import("./line.js").Listener} Listener */

/**
 * @param {import("./residency.js").Residency} residency
 * @param {() => void} hush lets other tabs fall silent
 * @returns {{interrupt: () => boolean}} which says whether there was anything to interrupt
 */
export function speakTab(residency, hush) {
  const form = byId("composer");
  const panel = byId("panel-speak");
  const [text, seed, play, stop] = ["text", "seed", "play", "stop"].map(byId);
  const status = byId("status");
  const trouble = new Trouble(byId("trouble"), panel);
  /** @type {Line | null} */
  let line = null;

  const parts = ["waveform", "spectrogram", "playhead", "words", "mouth"];
  const stage = new Stage(
    /** @type {any} */ (Object.fromEntries(parts.map((name) => [name, byId(name)]))),
  );
  const facts = new Facts(byId("facts"));
  const controls = new Controls(byId("controls"), () => take?.refresh());
  const versions = new Versions(byId("versions"), (version, chosenSeed, listener) => {
    const voice = `${list.chosen.id}@${version}`;
    const asked = { ...request(), voice, seed: seed.value.trim() || chosenSeed };
    speak(asked, performance.now(), [listener]);
  });
  const list = new VoiceList(
    { search: byId("search"), list: byId("voices"), note: byId("voices-note") },
    {
      chosen: (voice) => {
        controls.show(voice);
        versions.show(voice);
        text.lang = voice.language ?? "";
        text.value = lineToTry(text.value, text.lang);
        byId("words").lang = text.lang;
        if (voice.sample_rate_hertz) audioAt(voice.sample_rate_hertz).catch(() => {});
        take?.refresh();
      },
      taken: () => text.focus(),
      failed: (error) => trouble.show(error),
    },
  );
  const takeParts = ["format", "download", "languages", "code", "copy"];
  const take = takeaway(
    {
      .../** @type {any} */ (Object.fromEntries(takeParts.map((name) => [name, byId(name)]))),
      status: byId("take-status"),
    },
    () => ({ ...request(), ...seedThatWasHeard() }),
    trouble,
  );

  function request() {
    /** @type {import("./types.js").Asked} */
    const asked = { voice: list.chosen?.id ?? "", text: text.value, ...controls.asked };
    if (seed.value.trim()) asked.seed = seed.value.trim();
    return asked;
  }

  /** What is taken along is what was heard, as long as nothing was changed since. */
  function seedThatWasHeard() {
    const { voice, text: written } = request();
    const isSame = line?.asked.voice === voice && line.asked.text === written;
    if (!isSame || !line?.trailer || seed.value.trim()) return {};
    return { seed: line.trailer.seed };
  }

  /**
   * @param {import("./types.js").Asked} asked
   * @param {number} pressedAtMs
   * @param {Listener[]} more
   */
  function speak(asked, pressedAtMs, more = []) {
    hush();
    line?.interrupt();
    trouble.clear();
    byId("receipt").hidden = true;
    performance.mark("voxswap-press", { startTime: pressedAtMs });
    line = new Line(asked, [stage, facts, voiceOfThePage, ...more], { pressedAtMs });
    line.begin();
  }

  /** @type {Listener} */
  const voiceOfThePage = {
    asked: () => {
      stop.disabled = false;
      status.textContent = "Asked …";
    },
    began: (heard) => {
      performance.mark("voxswap-heard", { startTime: heard.pressedAtMs + (heard.heardMs ?? 0) });
      status.textContent = `Speaking; first audio after ${milliseconds(heard.firstAudioMs)}.`;
    },
    whole: () => {
      take.refresh();
      if (line?.trailer) byId("keep-seed").disabled = false;
    },
    ended: (over) => {
      if (over !== line) return;
      stop.disabled = true;
      status.textContent = over.wasInterrupted ? "Interrupted." : "Spoken to its end.";
      if (over.wasInterrupted) showReceipt(over);
    },
    failed: (failed, error) => {
      if (failed !== line) return;
      stop.disabled = true;
      status.textContent = "";
      trouble.show(error);
    },
  };

  /** The server's comes a moment later than silence does. @param {Line} over */
  function showReceipt(over, patience = 40) {
    if (!over.receipt && !over.trailer && patience) {
      setTimeout(() => over === line && showReceipt(over, patience - 1), 25);
      return;
    }
    byId("receipt-facts").replaceChildren(...receiptOf(over));
    byId("receipt").hidden = false;
  }

  function interrupt() {
    if (!line || line.isOver) return false;
    line.interrupt();
    return true;
  }

  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    speak(request(), event.timeStamp);
  });
  text.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    speak(request(), event.timeStamp);
  });
  text.addEventListener("focus", () => conversations.ready().catch(() => {}));
  play.addEventListener("pointerdown", () => conversations.ready().catch(() => {}));
  stop.addEventListener("click", interrupt);
  for (const input of [text, seed]) input.addEventListener("input", take.refresh);
  byId("keep-seed").addEventListener("click", () => {
    seed.value = line?.trailer?.seed ?? "";
    take.refresh();
    seed.focus();
  });

  residency.onChange(() => list.light(residency.warm));
  list.load();
  conversations.ready().catch(() => {});
  return { interrupt };
}
