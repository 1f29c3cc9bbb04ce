/** The client of Node against a real server with the voice joe, at VOXSWAP_ADDRESS. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  CallCancelledError,
  type Chunk,
  Client,
  DeadlineExceededError,
  InvalidRequestError,
  StreamNotFoundError,
  TooLateError,
  VoiceNotFoundError,
  decodePcm,
  inSeconds,
  markAt,
} from "voxswap";

const TEXT = "Halt! Who goes there? The bridge is closed after dark.";
const LONG = "The road goes ever on and on, down from the door where it began. ".repeat(20);

const address = process.env.VOXSWAP_ADDRESS;
assert.ok(address, "VOXSWAP_ADDRESS must be that of a server with the voice joe");
const client = new Client(address);
after(() => client.close());

/** Root mean square; a line that nobody can hear has next to none. */
function loudness(samples: Float32Array): number {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}

test("a server is ready, and lists its voices", async () => {
  await client.waitReady();
  const voices = [];
  for await (const voice of client.voices({ language: "en", pageSize: 1 })) voices.push(voice);
  assert.deepEqual(
    voices.map((voice) => [voice.id, voice.engine, voice.sampleRateHertz]),
    [["joe", "vits", 22050]],
  );
  assert.equal((await client.voice("joe@1")).version, 1);
});

test("a line can be heard, and its words stand where they were written", async () => {
  const options = { seed: 11, marks: ["word", "viseme"], encoding: "pcm_f32le" } as const;
  const line = await client.say("joe", TEXT, options);
  const samples = decodePcm(line.audio, line.header.encoding);
  assert.equal(samples.length, line.trailer.totalSamples);
  assert.ok(line.durationS > 2 && line.durationS < 8, `${line.durationS} s`);
  assert.ok(loudness(samples) > 0.01, `${loudness(samples)}`);
  assert.equal(line.trailer.seed, 11n);
  const letters = [...TEXT];
  const words = line.marks.filter((mark) => mark.kind === "word");
  assert.equal(words.length, TEXT.split(" ").length);
  for (const word of words) {
    assert.equal(letters.slice(word.textStart, word.textEnd).join(""), word.text);
  }
  const visemes = line.marks.filter((mark) => mark.kind === "viseme");
  const timed = inSeconds(visemes, line.header.sampleRateHertz);
  assert.equal(markAt(timed, line.durationS)?.text, "sil");
  const again = await client.say("joe", TEXT, options);
  assert.deepEqual(again.audio, line.audio);
});

test("a stream's chunks come as they are made, and are the line", async () => {
  const stream = client.synthesize("joe", TEXT, { seed: 11, pacing: "none" });
  const chunks: Chunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.ok(chunks.length > 2, `${chunks.length} chunks`);
  assert.ok(stream.ttfaMs! > 0);
  const whole = await client.say("joe", TEXT, { seed: 11 });
  assert.deepEqual(Buffer.concat(chunks.map((chunk) => chunk.audio)), Buffer.from(whole.audio));
});

test("packets of Opus are parted", async () => {
  const line = await client.say("joe", "Halt!", { encoding: "opus_packets" });
  assert.equal(line.header.sampleRateHertz, 24000);
  assert.equal(line.packets.length, line.packetSizes.length);
  assert.ok(line.packets.length > 10);
  assert.equal(Buffer.concat(line.packets).length, line.audio.length);
});

test("a conversation is spoken as it is written", async () => {
  const talk = client.converse("joe", { seed: 11, pacing: "none" });
  async function* writing() {
    for (const word of TEXT.split(/(?<= )/)) yield word;
  }
  talk.speak(writing());
  const chunks: Chunk[] = [];
  for await (const part of talk) if (part.type === "chunk") chunks.push(part);
  const whole = await client.say("joe", TEXT, { seed: 11 });
  assert.deepEqual(Buffer.from(talk.result(chunks).audio), Buffer.from(whole.audio));
});

test("a conversation is interrupted, and goes on", async () => {
  const talk = client.converse("joe", { marks: ["word"] });
  talk.send(LONG);
  talk.flush();
  let end = 0;
  let receipts = 0;
  for await (const part of talk) {
    if (part.type === "chunk") {
      end = part.startSample + part.sampleCount;
      if (receipts === 0) await talk.interrupt();
    } else {
      receipts++;
      assert.equal(part.endSample, end);
      if (receipts === 1) {
        talk.send("Never mind.");
        talk.end();
      }
    }
  }
  assert.ok(receipts >= 1);
  assert.equal(talk.trailer?.totalSamples, end);
});

test("a line is interrupted, by itself and by its stream id", async () => {
  const stream = client.synthesize("joe", LONG);
  const { streamId } = await stream.header();
  const receipt = await stream.interrupt();
  let end = 0;
  for await (const chunk of stream) end = chunk.startSample + chunk.sampleCount;
  assert.equal(end, receipt.endSample);
  assert.deepEqual(stream.receipt, receipt);
  await assert.rejects(client.interrupt(streamId), StreamNotFoundError);
});

test("a signal ends a line that is spoken, and leaving the loop does", async () => {
  const stop = new AbortController();
  await assert.rejects(async () => {
    for await (const _ of client.synthesize("joe", LONG, { signal: stop.signal })) stop.abort();
  }, CallCancelledError);
  for await (const _ of client.synthesize("joe", LONG)) break;
});

test("errors are typed", async () => {
  await assert.rejects(client.say("nobody", "Halt!"), (error: VoiceNotFoundError) => {
    assert.ok(error instanceof VoiceNotFoundError);
    assert.deepEqual([error.code, error.reason], ["NOT_FOUND", "VOICE_NOT_FOUND"]);
    return true;
  });
  const wrong = { rate: 9, sampleRateHertz: 1 };
  await assert.rejects(client.say("joe", " ", wrong), (error: InvalidRequestError) => {
    assert.ok(error instanceof InvalidRequestError);
    const fields = error.violations.map((violation) => violation.field).sort();
    assert.deepEqual(fields, ["audio.sample_rate_hertz", "controls.rate", "text"]);
    return true;
  });
  await assert.rejects(client.say("joe", LONG, { timeoutMs: 30 }), DeadlineExceededError);
});

test("a line that cannot start in time is refused", async () => {
  const stream = client.synthesize("joe", LONG, { startByMs: 1 });
  await assert.rejects(stream.collect(), TooLateError);
});

test("a scene is prepared", async () => {
  const outlook = await client.prepare([{ voice: "joe", firstLineMs: 2000 }], { byMs: 500 });
  assert.equal(outlook.fits, true);
  assert.deepEqual(
    outlook.cast.map((member) => member.voice),
    ["joe@1"],
  );
});
