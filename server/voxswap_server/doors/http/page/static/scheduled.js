// Plays samples without a worklet, which browsers give to secure addresses alone: a page that a
// phone fetches from http://192.168.… has none.

/** Messages in and out are those of `worklet.js`. */
export class ScheduledPlayer {
  /** @type {AudioBufferSourceNode[]} */
  #sources = [];
  #read = 0;
  #nextFrame = 0;
  #energy = 0;
  #peak = 0;
  #timer = 0;
  #isWhole = false;

  /** @param {AudioContext} context */
  constructor(context) {
    this.context = context;
    this.gain = context.createGain();
    this.gain.connect(context.destination);
    /** @type {(message: any) => void} */
    this.onmessage = () => {};
  }

  /** @param {{samples?: Float32Array, end?: boolean, stop?: boolean}} message */
  postMessage({ samples, end, stop }) {
    if (samples) this.#schedule(samples);
    if (end) this.#isWhole = true;
    if (stop) this.#stop();
    else this.#wait();
  }

  /** @param {Float32Array} samples */
  #schedule(samples) {
    const { context } = this;
    const soonest = Math.ceil((context.currentTime + 0.01) * context.sampleRate);
    if (this.#nextFrame < soonest) {
      this.#nextFrame = soonest;
      this.#say("moving", this.#nextFrame);
    }
    const buffer = context.createBuffer(1, samples.length, context.sampleRate);
    buffer.getChannelData(0).set(samples);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(this.gain);
    source.start(this.#nextFrame / context.sampleRate);
    this.#sources.push(source);
    this.#nextFrame += samples.length;
    this.#read += samples.length;
    for (const value of samples) {
      this.#energy += value * value;
      this.#peak = Math.max(this.#peak, Math.abs(value));
    }
  }

  /** Say that there is nothing to play, once there is not. */
  #wait() {
    clearTimeout(this.#timer);
    const { currentTime, sampleRate } = this.context;
    const leftMs = (this.#nextFrame / sampleRate - currentTime) * 1000;
    const what = this.#isWhole ? "done" : "waiting";
    this.#timer = setTimeout(() => this.#say(what, this.#nextFrame), Math.max(0, leftMs));
  }

  #stop() {
    clearTimeout(this.#timer);
    const { currentTime, sampleRate } = this.context;
    const frame = Math.round(currentTime * sampleRate);
    this.#read = Math.max(0, this.#read - Math.max(0, this.#nextFrame - frame));
    this.gain.gain.setTargetAtTime(0, currentTime, 0.004);
    for (const source of this.#sources) source.stop(currentTime + 0.03);
    this.#say("done", frame);
  }

  /**
   * @param {string} what
   * @param {number} frame
   */
  #say(what, frame) {
    const message = { what, frame, energy: this.#energy, peak: this.#peak };
    this.onmessage({ data: { ...message, sample: this.#read } });
  }
}
