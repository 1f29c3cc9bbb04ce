/** A whole line, and what its bytes become: samples, packets, a file. */

import { fileBytes, packetsOf } from "./audio.js";
import type { Header, Mark, Trailer } from "./values.js";

/** A whole line. `audio` is in `header.encoding`. */
export class SpeechResult {
  constructor(
    readonly audio: Uint8Array,
    readonly header: Header,
    readonly trailer: Trailer,
    readonly marks: readonly Mark[],
    /** From sending the request to the first audio bytes, at this client. */
    readonly ttfaMs: number,
    /** `opus_packets` only: how many bytes each packet has. */
    readonly packetSizes: readonly number[],
  ) {}

  /** Length of the audio, in seconds. */
  get durationS(): number {
    return this.trailer.totalSamples / this.header.sampleRateHertz;
  }

  /** Compute seconds per second of audio; 0 for an empty line. */
  get rtf(): number {
    return this.durationS ? this.trailer.computeMs / 1000 / this.durationS : 0;
  }

  /** The packets of `opus_packets`, 20 ms each; empty for other encodings. */
  get packets(): Uint8Array[] {
    return packetsOf(this);
  }

  /**
   * The bytes of a playable file: PCM becomes a WAV file, and WAV gets its true length; any other
   * encoding is as it came.
   *
   * @throws TypeError for `opus_packets`, which are no file
   */
  file(): Uint8Array {
    return fileBytes(this.audio, this.header.encoding, this.header.sampleRateHertz);
  }
}
