/** Lines over the WebSocket of `door.ts`. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CallCancelledError,
  type Chunk,
  DeadlineExceededError,
  IncompleteStreamError,
  InternalServerError,
  InvalidRequestError,
  OverloadedError,
  StreamNotFoundError,
  TooLateError,
  UnavailableError,
  VoiceNotFoundError,
  decodePcm,
} from "voxswap/browser";
import { Door } from "./door.js";
import { visit } from "./visit.js";

const here = visit();

const said = (chunks: readonly Chunk[]) =>
  chunks.flatMap((chunk) => [...new Int16Array(chunk.audio.slice().buffer)]);

test("a line is asked for with what was chosen, and comes whole", async () => {
  const line = here.client.say("npc/smith@3", "Halt!", {
    rate: 1.5,
    seed: 2n ** 64n - 1n,
    encoding: "pcm_s16le",
    sampleRateHertz: 24000,
    marks: ["word"],
    lineClass: "bark",
    startByMs: 300,
    sessionId: "s",
    cache: "off",
    pacing: "realtime",
    speaker: "anna",
    noiseScale: 0,
  });
  const visitor = await here.door.visitor();
  const start = await visitor.next();
  const id = start.conversation;
  assert.deepEqual(start, {
    type: "start",
    conversation: id,
    voice: "npc/smith@3",
    text: "Halt!",
    speaker: "anna",
    seed: "18446744073709551615",
    audio: { encoding: "pcm_s16le", sample_rate_hertz: 24000 },
    controls: { rate: 1.5, noise_scale: 0 },
    marks: ["word"],
    line_class: "bark",
    start_by_ms: 300,
    session_id: "s",
    cache_policy: "off",
    pacing: "realtime",
  });
  assert.deepEqual(await visitor.next(), { type: "end", conversation: id });
  visitor.header(id);
  const word = { kind: "word", text: "Halt", start_sample: 1, duration_samples: 2 };
  visitor.chunk(id, 0, [1, -2], { marks: [{ ...word, text_start: 0, text_end: 4 }] });
  visitor.chunk(id, 2, [3]);
  visitor.trailer(id, 3);

  const result = await line;
  assert.equal(result.header.voice, "joe@1");
  assert.deepEqual(result.header.componentDigests, ["sha256:00"]);
  assert.equal(result.trailer.seed, 2n ** 64n - 1n);
  assert.equal(result.durationS, 0.003);
  assert.deepEqual([...decodePcm(result.audio, "pcm_s16le")], [1 / 32768, -2 / 32768, 3 / 32768]);
  assert.deepEqual(result.marks, [
    { kind: "word", text: "Halt", startSample: 1, durationSamples: 2, textStart: 0, textEnd: 4 },
  ]);
  assert.equal(result.file().length, 44 + 6);
});

test("an empty request says nothing but voice and text", async () => {
  const line = here.client.synthesize("joe", "Halt!");
  const start = await (await here.door.visitor()).next();
  assert.deepEqual(Object.keys(start), ["type", "conversation", "voice", "text"]);
  line.cancel();
});

test("two lines share a socket, and each gets its own bytes", async () => {
  const lines = [here.client.say("a", "one"), here.client.say("b", "two")];
  const visitor = await here.door.visitor();
  const ids: unknown[] = [];
  while (ids.length < 2) {
    const frame = await visitor.next();
    if (frame.type === "start") ids.push(frame.conversation);
  }
  assert.notEqual(ids[0], ids[1]);
  for (const id of ids) visitor.header(id, { voice: `${String(id)}@1` });
  visitor.chunk(ids[1], 0, [20]);
  visitor.chunk("of nobody here", 0, [99]);
  visitor.chunk(ids[0], 0, [10]);
  visitor.chunk(ids[1], 1, [21]);
  visitor.trailer(ids[1], 2);
  visitor.trailer(ids[0], 1);
  const [first, second] = await Promise.all(lines);
  assert.deepEqual([...first!.audio], [10, 0]);
  assert.deepEqual([...second!.audio], [20, 0, 21, 0]);
  assert.equal(first!.header.voice, `${String(ids[0])}@1`);
});

test("an error is typed: reason, fields at fault, when to come again", async () => {
  const cases = [
    [{ code: "NOT_FOUND", reason: "VOICE_NOT_FOUND" }, VoiceNotFoundError],
    [{ code: "INVALID_ARGUMENT", reason: "INVALID_INPUT" }, InvalidRequestError],
    [{ code: "DEADLINE_EXCEEDED", reason: "TOO_LATE" }, TooLateError],
    [{ code: "RESOURCE_EXHAUSTED", reason: "OVERLOADED" }, OverloadedError],
    [{ code: "INTERNAL", reason: "ENGINE_FAILED" }, InternalServerError],
  ] as const;
  const violations = [{ field: "text", description: "is blank" }];
  let visitor;
  for (const [error, kind] of cases) {
    const stream = here.client.synthesize("joe", "Halt!");
    visitor ??= await here.door.visitor();
    const { conversation } = await visitor.next();
    await visitor.next();
    visitor.error(conversation, { ...error, message: "no", violations, retry_after_ms: 250 });
    await assert.rejects(stream.header(), (thrown: OverloadedError) => {
      assert.ok(thrown instanceof kind, thrown.name);
      assert.equal(thrown.name, kind.name);
      assert.deepEqual(
        [thrown.message, thrown.reason, thrown.retryAfterMs],
        ["no", error.reason, 250],
      );
      assert.deepEqual(thrown.violations, violations);
      return true;
    });
  }
});

test("a full server is asked again for a line that nobody hears while it is made", async () => {
  const line = here.client.say("joe", "Halt!");
  const visitor = await here.door.visitor();
  const { conversation: refused } = await visitor.next();
  await visitor.next();
  visitor.error(refused, { code: "RESOURCE_EXHAUSTED", reason: "OVERLOADED", message: "full", retry_after_ms: 250 });
  const { conversation: taken, type } = await visitor.next();
  assert.equal(type, "start");
  visitor.header(taken);
  visitor.trailer(taken, 0);
  assert.equal((await line).durationS, 0);
  assert.deepEqual(here.slept, [350]);
});

test("aborting the signal cancels at the server, and says why", async () => {
  const stop = new AbortController();
  const stream = here.client.synthesize("joe", "Halt!", { signal: stop.signal });
  const visitor = await here.door.visitor();
  const { conversation: id } = await visitor.next();
  await visitor.next();
  visitor.header(id);
  await stream.header();
  const reading = stream.collect();
  stop.abort("the scene is over");
  await assert.rejects(reading, (error: CallCancelledError) => {
    assert.ok(error instanceof CallCancelledError);
    assert.equal(error.cause, "the scene is over");
    return true;
  });
  assert.deepEqual(await visitor.next(), { type: "cancel", conversation: id });
});

test("a signal that is aborted already begins nothing", async () => {
  const signal = AbortSignal.abort();
  await assert.rejects(here.client.say("joe", "Halt!", { signal }), CallCancelledError);
  const next = here.client.synthesize("joe", "the next one");
  assert.equal((await (await here.door.visitor()).next()).text, "the next one");
  next.cancel();
});

test("leaving the loop cancels; after the end there is nothing to cancel", async () => {
  const stream = here.client.synthesize("joe", "Halt!");
  const visitor = await here.door.visitor();
  const { conversation: id } = await visitor.next();
  await visitor.next();
  visitor.header(id);
  visitor.chunk(id, 0, [1]);
  for await (const chunk of stream) {
    assert.equal(chunk.sampleCount, 1);
    break;
  }
  assert.deepEqual(await visitor.next(), { type: "cancel", conversation: id });
  const whole = here.client.say("joe", "Whole.");
  const { conversation: second } = await visitor.next();
  await visitor.next();
  visitor.header(second);
  visitor.trailer(second, 0);
  await whole;
  const third = here.client.converse("joe");
  assert.equal((await visitor.next()).type, "start");
  third.cancel();
});

test("a line that is interrupted ends well, with what had been sent", async () => {
  const stream = here.client.synthesize("joe", "Halt! Who goes there?");
  await assert.rejects(stream.interrupt(), /before the stream's header/);
  const visitor = await here.door.visitor();
  const { conversation: id } = await visitor.next();
  await visitor.next();
  visitor.header(id);
  await stream.header();
  const stopped = stream.interrupt();
  assert.equal((await visitor.next()).type, "interrupt");
  visitor.chunk(id, 0, [1, 2]);
  visitor.receipt(id, 2);
  visitor.trailer(id, 2);
  assert.equal((await stopped).endSample, 2);
  const chunks: Chunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.deepEqual(said(chunks), [1, 2]);
  assert.equal(stream.receipt?.lastWord, "who");
  await assert.rejects(stream.interrupt(), StreamNotFoundError);
});

test("a deadline ends the line here and at the server", async () => {
  const other = here.client.converse("joe");
  const visitor = await here.door.visitor();
  await visitor.next(); // the socket is open, so that all of the line's frames come
  const line = here.client.synthesize("joe", "Halt!", { timeoutMs: 5 }).collect();
  const { conversation: id } = await visitor.next();
  assert.equal((await visitor.next()).type, "end");
  await assert.rejects(line, DeadlineExceededError);
  assert.deepEqual(await visitor.next(), { type: "cancel", conversation: id });
  other.cancel();
});

for (const [what, start, total] of [
  ["a gap between two chunks", 1, 2],
  ["a trailer that counts more", 0, 2],
] as const) {
  test(`${what} means that audio is missing`, async () => {
    const line = here.client.say("joe", "Halt!");
    const visitor = await here.door.visitor();
    const { conversation: id } = await visitor.next();
    visitor.header(id);
    visitor.chunk(id, start, [1]);
    visitor.trailer(id, total);
    await assert.rejects(line, IncompleteStreamError);
  });
}

test("a server that is away is tried four times", async () => {
  await here.door.close();
  await assert.rejects(here.client.say("joe", "Halt!"), UnavailableError);
  assert.deepEqual(here.slept, [100, 200, 400]);
  here.door = await Door.open();
});

test("a frame that is no JSON is a server's fault", async () => {
  const line = here.client.say("joe", "Halt!");
  (await here.door.visitor()).send("hello?");
  await assert.rejects(line, InternalServerError);
});

test("an error that names no conversation is everybody's", async () => {
  const lines = [here.client.say("a", "one"), here.client.say("b", "two")];
  const visitor = await here.door.visitor();
  for (let i = 0; i < 4; i++) await visitor.next();
  visitor.send({ type: "error", error: { code: "INVALID_ARGUMENT", reason: "INVALID_INPUT", message: "no such frame" } });
  for (const line of lines) await assert.rejects(line, InvalidRequestError);
});
