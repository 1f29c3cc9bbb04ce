/** Audio bytes, marks in time, retries: all without a server. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileBytes } from "#shared/audio.js";
import { Attempts, DEFAULT_RETRIES } from "#shared/retry.js";
import {
  type Mark,
  OverloadedError,
  UnavailableError,
  VoiceNotFoundError,
  decodePcm,
  inSeconds,
  markAt,
  packetsOf,
} from "voxswap";

test("16-bit samples are decoded wherever their bytes lie", () => {
  const bytes = new Uint8Array(7);
  const view = new DataView(bytes.buffer);
  [-32768, 0, 16384].forEach((sample, i) => view.setInt16(1 + 2 * i, sample, true));
  assert.deepEqual([...decodePcm(bytes.subarray(1), "pcm_s16le")], [-1, 0, 0.5]);
});

test("float samples are decoded wherever their bytes lie", () => {
  const bytes = new Uint8Array(9);
  new DataView(bytes.buffer).setFloat32(1, 0.25, true);
  new DataView(bytes.buffer).setFloat32(5, -1, true);
  assert.deepEqual([...decodePcm(bytes.subarray(1), "pcm_f32le")], [0.25, -1]);
});

test("what is no PCM, and half a sample, are refused", () => {
  assert.throws(() => decodePcm(new Uint8Array(4), "mp3"), /mp3 is no PCM/);
  assert.throws(() => decodePcm(new Uint8Array(3), "pcm_s16le"), /end within a sample/);
});

test("packets are parted by their sizes", () => {
  const audio = Uint8Array.of(1, 2, 3, 4, 5);
  const parted = packetsOf({ audio, packetSizes: [2, 3] }).map((packet) => [...packet]);
  assert.deepEqual(parted, [
    [1, 2],
    [3, 4, 5],
  ]);
});

test("PCM becomes a WAV file with its true length", () => {
  for (const [encoding, format, width, header] of [
    ["pcm_s16le", 1, 2, 44],
    ["pcm_f32le", 3, 4, 56],
  ] as const) {
    const audio = new Uint8Array(8 * width).fill(7);
    const file = fileBytes(audio, encoding, 22050);
    const view = new DataView(file.buffer);
    assert.equal(Buffer.from(file.subarray(0, 4)).toString(), "RIFF");
    assert.equal(view.getUint32(4, true), file.length - 8);
    assert.deepEqual([view.getUint16(20, true), view.getUint16(22, true)], [format, 1]);
    assert.equal(view.getUint32(28, true), 22050 * width);
    assert.equal(Buffer.from(file.subarray(header - 8, header - 4)).toString(), "data");
    assert.equal(view.getUint32(header - 4, true), audio.length);
    assert.deepEqual(file.subarray(header), audio);
  }
});

test("a streamed WAV file gets its true length", () => {
  const streamed = fileBytes(new Uint8Array(6), "pcm_s16le", 8000);
  const view = new DataView(streamed.buffer);
  const whole = streamed.slice();
  view.setUint32(4, 0xffffffff, true);
  view.setUint32(40, 0xffffffff, true);
  assert.deepEqual(fileBytes(streamed, "wav", 8000), whole);
  assert.equal(view.getUint32(40, true), 0xffffffff, "what was given stays as it is");
});

test("raw packets are no file, and other encodings are one as they came", () => {
  assert.throws(() => fileBytes(new Uint8Array(1), "opus_packets", 24000), /ogg_opus/);
  assert.deepEqual(fileBytes(Uint8Array.of(1), "mp3", 24000), Uint8Array.of(1));
});

const viseme = (text: string, startSample: number, durationSamples: number): Mark => ({
  kind: "viseme",
  text,
  startSample,
  durationSamples,
  textStart: 0,
  textEnd: 0,
});

test("the mark that is due by the clock of playback; the last one shuts the mouth", () => {
  const timed = inSeconds(
    [viseme("PP", 250, 250), viseme("aa", 500, 500), viseme("sil", 1000, 0)],
    1000,
  );
  assert.deepEqual([timed[0]?.startS, timed[0]?.endS, timed[2]?.endS], [0.25, 0.5, 1]);
  const due = [0, 0.25, 0.4999, 0.5, 0.9, 1, 100].map((atS) => markAt(timed, atS)?.text);
  assert.deepEqual(due, [undefined, "PP", "PP", "aa", "aa", "sil", "sil"]);
});

function attempts(given: { timeoutMs?: number; mayWait?: boolean; ifAsked?: boolean } = {}) {
  const means = { clock: () => 0, random: () => 0.5, sleep: () => Promise.resolve() };
  const { timeoutMs = 60_000, mayWait = false, ifAsked = false } = given;
  const made = new Attempts(DEFAULT_RETRIES, means, timeoutMs, mayWait, ifAsked);
  made.next();
  return made;
}

test("the server's delay comes on top of a jitter that doubles, for four tries", () => {
  const away = new UnavailableError("away");
  const tries = attempts();
  const delays = [1, 2, 3, 4].map(() => {
    const delayMs = tries.delayMs(away);
    tries.next();
    return delayMs;
  });
  assert.deepEqual(delays, [50, 100, 200, undefined]);
  const asked = new UnavailableError("busy", { retryAfterMs: 1000 });
  assert.equal(attempts().delayMs(asked), 1050);
});

test("final are: another error, a full server for who listens, a delay beyond the deadline", () => {
  const full = new OverloadedError("full", { retryAfterMs: 500 });
  assert.equal(attempts().delayMs(full), undefined);
  assert.equal(attempts({ mayWait: true }).delayMs(full), 550);
  assert.equal(attempts({ mayWait: true }).delayMs(new OverloadedError("full")), undefined);
  assert.equal(attempts({ mayWait: true, timeoutMs: 549 }).delayMs(full), undefined);
  assert.equal(attempts().delayMs(new VoiceNotFoundError("no such voice")), undefined);
  const later = new UnavailableError("much later", { retryAfterMs: 10_001 });
  assert.equal(attempts().delayMs(later), undefined);
});

test("what must not be done twice is done again only where the server asks for it", () => {
  assert.equal(attempts({ ifAsked: true }).delayMs(new UnavailableError("away")), undefined);
  const asked = new UnavailableError("busy", { retryAfterMs: 0 });
  assert.equal(attempts({ ifAsked: true }).delayMs(asked), 50);
});
