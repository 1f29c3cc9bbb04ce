// Plays samples out of a ring, in the thread of audio; says when sound begins, pauses and ends.

/* global AudioWorkletProcessor, registerProcessor, currentFrame, sampleRate */

const FADE_FRAMES = 256;

/**
 * In: {samples}, {end: true} (no more will come), {stop: true} (fade out now).
 * Out: {what: "moving" | "waiting" | "done", frame, sample}, where `sample`, counted from the
 * line's first, belongs to `frame` of the context's clock; done also has {energy, peak} of all
 * that was played.
 */
class RingPlayer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(sampleRate * 8);
    this.written = 0;
    this.read = 0;
    this.isMoving = false;
    this.isWhole = false;
    this.isDone = false;
    this.fade = -1; // frames of it that are left; -1: none
    this.energy = 0;
    this.peak = 0;
    this.port.onmessage = ({ data }) => {
      if (data.samples) this.write(data.samples);
      if (data.end) this.isWhole = true;
      if (data.stop && this.fade < 0) this.fade = FADE_FRAMES;
    };
  }

  /** @param {Float32Array} samples */
  write(samples) {
    const needed = this.written - this.read + samples.length;
    if (needed > this.ring.length) this.grow(needed);
    const start = this.written % this.ring.length;
    const first = Math.min(samples.length, this.ring.length - start);
    this.ring.set(samples.subarray(0, first), start);
    this.ring.set(samples.subarray(first), 0);
    this.written += samples.length;
  }

  /** @param {number} needed */
  grow(needed) {
    const larger = new Float32Array(Math.max(needed, this.ring.length * 2));
    for (let sample = this.read; sample < this.written; sample++) {
      larger[sample % larger.length] = this.ring[sample % this.ring.length];
    }
    this.ring = larger;
  }

  /**
   * @param {string} what
   * @param {number} frame
   */
  say(what, frame) {
    const { read: sample, energy, peak } = this;
    this.port.postMessage({ what, frame, sample, energy, peak });
  }

  /**
   * @param {Float32Array[][]} _
   * @param {Float32Array[][]} outputs
   */
  process(_, outputs) {
    if (this.isDone) return false;
    const out = outputs[0][0];
    let count = Math.min(out.length, this.written - this.read);
    if (this.fade >= 0) count = Math.min(count, this.fade);
    if (count > 0 && !this.isMoving) {
      this.isMoving = true;
      this.say("moving", currentFrame);
    }
    for (let i = 0; i < count; i++) {
      let value = this.ring[this.read++ % this.ring.length];
      if (this.fade >= 0) value *= this.fade-- / FADE_FRAMES;
      out[i] = value;
      this.energy += value * value;
      this.peak = Math.max(this.peak, Math.abs(value));
    }
    if (count < out.length) {
      const isOver = this.fade >= 0 || (this.isWhole && this.read === this.written);
      if (isOver) {
        this.isDone = true;
        this.say("done", currentFrame + count);
      } else if (this.isMoving) {
        this.isMoving = false;
        this.say("waiting", currentFrame + count);
      }
    }
    return !this.isDone;
  }
}

registerProcessor("ring-player", RingPlayer);
