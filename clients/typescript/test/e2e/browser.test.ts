/** The browser's client against a real server's HTTP door, at TEST_HTTP_ADDRESS. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  CallCancelledError,
  type Chunk,
  Client,
  InvalidRequestError,
  StreamNotFoundError,
  TooLateError,
  VoiceNotFoundError,
  type WebSocketClass,
  decodePcm,
} from "voxswap/browser";
import { WebSocket } from "ws";

const TEXT = "Halt! Who goes there? The bridge is closed after dark.";
const LONG = "The road goes ever on and on, down from the door where it began. ".repeat(20);

const address = process.env.TEST_HTTP_ADDRESS;
assert.ok(address, "TEST_HTTP_ADDRESS must be that of a server with the voice joe");

let socket: WebSocket | undefined;
class Noted extends WebSocket {
  constructor(url: string) {
    super(url);
    socket = this;
  }
}
const client = new Client(`http://${address}`, { WebSocket: Noted as unknown as WebSocketClass });
after(() => client.close());

test("voices are listed, and one is asked for", async () => {
  const voices = [];
  for await (const voice of client.voices({ language: "en", search: "joe" })) voices.push(voice);
  assert.deepEqual(
    voices.map((voice) => [voice.id, voice.engine, voice.sampleRateHertz]),
    [["joe", "vits", 22050]],
  );
  assert.ok(voices[0]!.controls.includes("rate"));
  assert.equal((await client.voice("joe@1")).version, 1);
  await assert.rejects(client.voice("nobody"), VoiceNotFoundError);
});

test("a line can be heard, and its words stand where they were written", async () => {
  const options = { seed: 11, marks: ["word", "viseme"], encoding: "pcm_f32le" } as const;
  const line = await client.say("joe", TEXT, options);
  const samples = decodePcm(line.audio, line.header.encoding);
  assert.equal(samples.length, line.trailer.totalSamples);
  assert.ok(line.durationS > 2 && samples.some((sample) => Math.abs(sample) > 0.1));
  assert.equal(line.trailer.seed, 11n);
  const letters = [...TEXT];
  const words = line.marks.filter((mark) => mark.kind === "word");
  assert.equal(words.length, TEXT.split(" ").length);
  for (const word of words) {
    assert.equal(letters.slice(word.textStart, word.textEnd).join(""), word.text);
  }
});

test("a line by plain HTTP is a file that plays", async () => {
  const answer = await client.speech("joe", TEXT, { encoding: "mp3", marks: ["word"] });
  assert.equal(answer.headers.get("content-type"), "audio/mpeg");
  assert.ok((await answer.arrayBuffer()).byteLength > 10_000);
});

test("a conversation in fragments is the same line", async () => {
  const talk = client.converse("joe", { seed: 11, pacing: "none" });
  talk.speak(TEXT.split(/(?<= )/));
  const chunks: Chunk[] = [];
  for await (const part of talk) if (part.type === "chunk") chunks.push(part);
  const whole = await client.say("joe", TEXT, { seed: 11 });
  assert.deepEqual(talk.result(chunks).audio, whole.audio);
});

test("a conversation is taken up after a break, and not a sample is missing", async () => {
  const talk = client.converse("joe", { seed: 11, pacing: "none", resumable: true });
  talk.send(TEXT);
  talk.end();
  const chunks: Chunk[] = [];
  for await (const part of talk) {
    if (part.type === "chunk") chunks.push(part);
    if (chunks.length === 1) socket!.terminate();
  }
  const whole = await client.say("joe", TEXT, { seed: 11 });
  assert.deepEqual(talk.result(chunks).audio, whole.audio);
});

test("an interruption, its receipt, and more", async () => {
  const talk = client.converse("joe", { marks: ["word"] });
  talk.send(LONG);
  talk.flush();
  let end = 0;
  let receipts = 0;
  for await (const part of talk) {
    if (part.type === "chunk") {
      if (receipts === 0 && end === 0) await talk.interrupt();
      end = part.startSample + part.sampleCount;
    } else {
      receipts++;
      assert.equal(part.endSample, end);
      talk.send("Never mind.");
      talk.end();
    }
  }
  assert.equal(receipts, 1);
  assert.equal(talk.trailer?.totalSamples, end);
});

test("a line is interrupted, by itself and by its stream id", async () => {
  const stream = client.synthesize("joe", LONG);
  const { streamId } = await stream.header();
  const receipt = await stream.interrupt();
  for await (const _ of stream);
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

test("errors are typed, and leave the socket to the others", async () => {
  await assert.rejects(client.say("nobody", "Halt!"), VoiceNotFoundError);
  await assert.rejects(client.say("joe", " ", { rate: 9 }), (error: InvalidRequestError) => {
    assert.ok(error instanceof InvalidRequestError, `${error.name} ${error.message}`);
    assert.ok(error.violations.some((violation) => violation.field === "controls.rate"));
    return true;
  });
  const late = client.synthesize("joe", LONG, { startByMs: 1 });
  await assert.rejects(late.collect(), TooLateError);
  assert.ok((await client.say("joe", "Halt!")).durationS > 0.2);
});

test("a scene is prepared", async () => {
  const outlook = await client.prepare([{ voice: "joe", firstLineMs: 2000 }], { byMs: 500 });
  assert.equal(outlook.fits, true);
  assert.equal(outlook.cast[0]?.voice, "joe@1");
  assert.equal(outlook.cast[0].inTime, true);
});
