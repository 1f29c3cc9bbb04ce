// Sound, and the clock of what is heard: samples come in, and `position` says which one is out.

import { ScheduledPlayer } from "./scheduled.js";

/** @type {Map<number, Promise<AudioContext>>} */
const contexts = new Map();
/** So long after the last sound the audio device may rest. */
const IDLE_MS = 60_000;
let sounding = 0;
let resting = 0;

/**
 * The audio of that rate, made once: the browser, not the server, resamples. It may be made ahead
 * of the first sound, and so should it.
 * @param {number} rateHertz
 */
export function audioAt(rateHertz) {
  let found = contexts.get(rateHertz);
  if (!found) {
    found = made(rateHertz);
    contexts.set(rateHertz, found);
  }
  return found;
}

/** @param {number} rateHertz */
async function made(rateHertz) {
  const context = new AudioContext({ sampleRate: rateHertz, latencyHint: "interactive" });
  await context.audioWorklet?.addModule("/page/worklet.js");
  return context;
}

/** Browsers let a page sound once somebody has touched it: then this is to be called. */
export async function wake() {
  clearTimeout(resting);
  if (!sounding) resting = setTimeout(rest, IDLE_MS);
  for (const context of contexts.values()) await (await context).resume();
}

async function rest() {
  for (const context of contexts.values()) await (await context).suspend();
}

/**
 * The frame of the context's clock that leaves the loudspeaker now.
 * @param {AudioContext} context
 */
function heardFrame(context) {
  const { contextTime = 0, performanceTime = 0 } = context.getOutputTimestamp?.() ?? {};
  let time = context.currentTime - (context.outputLatency || context.baseLatency || 0);
  if (contextTime > 0) time = contextTime + (performance.now() - performanceTime) / 1000;
  return Math.min(time, context.currentTime) * context.sampleRate;
}

/** One line's sound. Samples are taken before it may play, and kept until then. */
export class Playback {
  /** @type {{frame: number, sample: number, isMoving: boolean}[]} */
  #turns = [];
  /** @type {AudioWorkletNode | null} */
  #node = null;
  /** @type {{postMessage: (message: any, transfer: Transferable[]) => void} | null} */
  #port = null;
  /** @type {any[]} */
  #waiting = [];
  #timer = 0;
  #isStopped = false; // before it began

  /**
   * @param {Promise<AudioContext>} audio
   * @param {{began: (atMs: number) => void,
   *          ended: (played: {samples: number, rms: number, peak: number}) => void}} ears
   *   `began` is told when the first sample is heard, on the clock of `performance.now`; `ended`
   *   when the last one was.
   */
  constructor(audio, ears) {
    this.audio = audio;
    this.ears = ears;
    this.underruns = 0;
    /** @type {AudioContext | null} */
    this.context = null;
  }

  /** More of the line. @param {Float32Array} samples which are the player's from now on */
  feed(samples) {
    this.#post({ samples });
  }

  /** All of the line is there. */
  end() {
    this.#post({ end: true });
  }

  /** Fall silent within some milliseconds; `ended` is told. */
  stop() {
    if (this.#port) {
      this.#post({ stop: true });
    } else if (!this.#isStopped) {
      this.#isStopped = true;
      this.ears.ended({ samples: 0, rms: 0, peak: 0 });
    }
  }

  /** Begin to sound, as soon as there is something. */
  async play() {
    const context = (this.context = await this.audio);
    await context.resume();
    if (this.#isStopped) return;
    sounding++;
    clearTimeout(resting);
    if (context.audioWorklet) {
      const options = { numberOfInputs: 0, outputChannelCount: [1] };
      this.#node = new AudioWorkletNode(context, "ring-player", options);
      this.#node.connect(context.destination);
      this.#node.port.onmessage = ({ data }) => this.#take(data);
      this.#port = this.#node.port;
    } else {
      const player = new ScheduledPlayer(context);
      player.onmessage = ({ data }) => this.#take(data);
      this.#port = player;
    }
    for (const message of this.#waiting.splice(0)) this.#post(message);
  }

  /** The sample that is heard now: counted from the line's first. */
  get position() {
    if (!this.context || !this.#turns.length) return 0;
    const heard = heardFrame(this.context);
    let last = -1;
    while (last + 1 < this.#turns.length && this.#turns[last + 1].frame <= heard) last++;
    if (last < 0) return this.#turns[0].sample;
    const turn = this.#turns[last];
    if (!turn.isMoving) return turn.sample;
    const most = this.#turns[last + 1]?.sample ?? Infinity;
    return Math.min(most, turn.sample + heard - turn.frame);
  }

  /** @param {{samples?: Float32Array, end?: boolean, stop?: boolean}} message */
  #post(message) {
    if (!this.#port) this.#waiting.push(message);
    else this.#port.postMessage(message, message.samples ? [message.samples.buffer] : []);
  }

  /** @param {{what: string, frame: number, sample: number, energy: number, peak: number}} told */
  #take({ what, frame, sample, energy, peak }) {
    const context = this.context;
    if (!context) return;
    const isFirst = !this.#turns.length;
    this.#turns.push({ frame, sample, isMoving: what === "moving" });
    const leftMs = ((frame - heardFrame(context)) / context.sampleRate) * 1000;
    if (what === "waiting") this.underruns++;
    if (what === "moving" && isFirst) this.ears.began(performance.now() + Math.max(0, leftMs));
    if (what !== "done") return;
    this.#node?.disconnect();
    if (!--sounding) resting = setTimeout(rest, IDLE_MS);
    const rms = Math.sqrt(energy / Math.max(1, sample));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.ears.ended({ samples: sample, rms, peak }),
      Math.max(0, leftMs),
    );
  }
}
