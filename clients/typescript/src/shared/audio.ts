/** Audio bytes: as samples, as packets, as a file. */

import type { Encoding } from "./values.js";

/**
 * The samples of PCM bytes, in [-1, 1], as Web Audio takes them.
 *
 * A chunk holds whole samples, so each can be decoded by itself.
 *
 * @param encoding `pcm_s16le` or `pcm_f32le`
 * @throws TypeError for other encodings, and for bytes that end within a sample
 */
export function decodePcm(audio: Uint8Array, encoding: Encoding): Float32Array<ArrayBuffer> {
  const width = SAMPLE_BYTES[encoding];
  if (width === undefined) {
    throw new TypeError(`${encoding} is no PCM; ask for pcm_f32le, or use a decoder`);
  }
  if (audio.length % width !== 0) {
    throw new TypeError(`${audio.length} bytes of ${encoding} end within a sample`);
  }
  // A view of the bytes themselves would need them aligned, and a little-endian machine.
  const view = new DataView(audio.buffer, audio.byteOffset, audio.byteLength);
  const samples = new Float32Array(audio.length / width);
  for (let i = 0; i < samples.length; i++) {
    samples[i] = width === 4 ? view.getFloat32(i * 4, true) : view.getInt16(i * 2, true) / 32768;
  }
  return samples;
}

/** The packets of `opus_packets`, 20 ms each; empty for other encodings. */
export function packetsOf(from: {
  readonly audio: Uint8Array;
  readonly packetSizes: readonly number[];
}): Uint8Array[] {
  let end = 0;
  return from.packetSizes.map((size) => from.audio.subarray(end, (end += size)));
}

/**
 * What a file of this audio holds: PCM gets a WAV header, streamed WAV its true length.
 *
 * @throws TypeError for `opus_packets`: nothing in their bytes says where one ends
 */
export function fileBytes(
  audio: Uint8Array,
  encoding: Encoding,
  sampleRateHertz: number,
): Uint8Array {
  if (encoding === "opus_packets") {
    throw new TypeError("opus_packets have no file format; ask for ogg_opus to save a file");
  }
  const width = SAMPLE_BYTES[encoding];
  if (width !== undefined) {
    return withWavHeader(audio, width, sampleRateHertz);
  }
  return encoding === "wav" ? withTrueSizes(audio) : audio;
}

const SAMPLE_BYTES: Partial<Record<Encoding, number>> = { pcm_s16le: 2, pcm_f32le: 4 };

function withWavHeader(audio: Uint8Array, width: number, rate: number): Uint8Array {
  // RIFF asks for a "fact" chunk with the sample count where the samples are not integers.
  const fact = width === 4 ? 12 : 0;
  const file = new Uint8Array(44 + fact + audio.length);
  const view = new DataView(file.buffer);
  const text = (at: number, word: string) =>
    [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, file.length - 8, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, width === 4 ? 3 : 1, true); // WAVE_FORMAT_IEEE_FLOAT or _PCM
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * width, true);
  view.setUint16(32, width, true);
  view.setUint16(34, 8 * width, true);
  if (fact) {
    text(36, "fact");
    view.setUint32(40, 4, true);
    view.setUint32(44, audio.length / width, true);
  }
  text(36 + fact, "data");
  view.setUint32(40 + fact, audio.length, true);
  file.set(audio, 44 + fact);
  return file;
}

function withTrueSizes(wav: Uint8Array): Uint8Array {
  const file = wav.slice();
  const view = new DataView(file.buffer);
  // Past "RIFF", the size and "WAVE", chunks follow: a name, a size, and that many bytes.
  for (let at = 12; at + 8 <= file.length;) {
    const size = view.getUint32(at + 4, true);
    if (view.getUint32(at) === DATA) {
      view.setUint32(4, file.length - 8, true);
      view.setUint32(at + 4, file.length - at - 8, true);
      break;
    }
    at += 8 + size + (size % 2);
  }
  return file;
}

const DATA = 0x64617461; // "data"
