/** The client of Node against the server of `grpc_door.ts`. The real server: see e2e/. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import {
  CallCancelledError,
  type Chunk,
  Client,
  DeadlineExceededError,
  IncompleteStreamError,
  InvalidRequestError,
  OverloadedError,
  UnavailableError,
  VoiceNotFoundError,
  VoxswapError,
} from "voxswap";
import type { ConverseRequest } from "#gen/voxswap/v1/speech_pb.js";
import { Waiting } from "./door.js";
import {
  GrpcDoor,
  type Line,
  type Talk,
  chunk,
  failure,
  header,
  receipt,
  trailer,
} from "./grpc_door.js";

let door: GrpcDoor | undefined;
let client: Client;
let slept: number[] = [];

async function serve(handlers: object): Promise<void> {
  slept = [];
  door = await GrpcDoor.open(handlers as grpc.UntypedServiceImplementation);
  const sleep = (ms: number) => {
    slept.push(ms);
    return Promise.resolve();
  };
  client = new Client(door.address, { means: { clock: () => 0, random: () => 1, sleep } });
}

afterEach(() => {
  client.close();
  door?.close();
});

test("a line is asked for with what was chosen, and comes whole", async () => {
  const asked = new Waiting<Line["request"]>();
  await serve({
    synthesize(call: Line) {
      asked.put(call.request);
      for (const part of [header(), chunk(0, [1, -2]), chunk(2, [3]), trailer(3)]) call.write(part);
      call.end();
    },
  });
  const result = await client.say("joe", "Halt!", {
    rate: 1.5,
    seed: 7,
    sampleRateHertz: 24000,
    encoding: "mp3",
    marks: ["word", "viseme"],
    lineClass: "bark",
    startByMs: 300,
    cache: "use",
  });
  const request = await asked.next();
  assert.deepEqual(
    [request.voice, request.text, request.seed, request.startByMs, request.marks],
    ["joe", "Halt!", 7n, 300, [1, 3]],
  );
  assert.deepEqual(
    [request.controls?.rate, request.audio?.sampleRateHertz, request.audio?.encoding],
    [1.5, 24000, 9],
  );
  assert.deepEqual([request.pacing, request.lineClass, request.cachePolicy], [2, 1, 2]);
  assert.equal(result.trailer.seed, 2n ** 64n - 1n);
  assert.deepEqual([...new Int16Array(result.audio.buffer)], [1, -2, 3]);
  assert.equal(result.durationS, 0.003);
});

test("what cannot be sent is named, all of it at once", async () => {
  await serve({});
  assert.throws(
    () => client.synthesize("joe", "Halt!", { encoding: "aac" as never, marks: ["wink" as never] }),
    (error: InvalidRequestError) => {
      const fields = error.violations.map((violation) => violation.field);
      assert.deepEqual(fields, ["audio.encoding", "marks"]);
      assert.match(error.message, /pcm_s16le/);
      return error instanceof InvalidRequestError;
    },
  );
  for (const wrong of [{ seed: -1 }, { seed: 2n ** 64n }, { seed: 0.5 }, { startByMs: 0.5 }]) {
    assert.throws(() => client.synthesize("joe", "Halt!", wrong), InvalidRequestError);
  }
  await assert.rejects(client.prepare(["joe"], { byMs: 2 ** 31 }), InvalidRequestError);
});

test("an error has its reason, its fields, and when to come again", async () => {
  await serve({
    synthesize: (call: Line) =>
      call.emit(
        "error",
        failure(grpc.status.RESOURCE_EXHAUSTED, "full", {
          reason: "OVERLOADED",
          violations: [["text", "is long"]],
          retryMs: 1250,
        }),
      ),
  });
  await assert.rejects(client.synthesize("joe", "Halt!").header(), (error: OverloadedError) => {
    assert.ok(error instanceof OverloadedError);
    assert.deepEqual(
      [error.code, error.reason, error.retryAfterMs, error.message],
      ["RESOURCE_EXHAUSTED", "OVERLOADED", 1250, "full"],
    );
    assert.deepEqual(error.violations, [{ field: "text", description: "is long" }]);
    assert.equal(error.metadata.reference, "abcd");
    return true;
  });
  assert.deepEqual(slept, []);
});

test("a line of which nothing came is begun anew; one that broke is not", async () => {
  let calls = 0;
  await serve({
    synthesize(call: Line) {
      calls++;
      if (calls > 1) call.write(header());
      call.emit("error", failure(grpc.status.UNAVAILABLE, "going away"));
    },
  });
  const stream = client.synthesize("joe", "Halt!");
  assert.equal((await stream.header()).voice, "joe@1");
  await assert.rejects(stream.collect(), UnavailableError);
  assert.deepEqual([calls, slept], [2, [100]]);
});

test("aborting the signal, and leaving the loop, end the call at the server", async () => {
  const lines = new Waiting<Line>();
  await serve({
    synthesize(call: Line) {
      lines.put(call);
      call.write(header());
      call.write(chunk(0, [1]));
    },
  });
  const stop = new AbortController();
  const stream = client.synthesize("joe", "Halt!", { signal: stop.signal });
  const first = await lines.next();
  const gone = once(first, "cancelled");
  await stream.header();
  const reading = stream.collect();
  stop.abort("the scene is over");
  await assert.rejects(reading, (error: CallCancelledError) => {
    return error instanceof CallCancelledError && error.cause === "the scene is over";
  });
  await gone;
  for await (const part of client.synthesize("joe", "Halt!")) {
    assert.equal(part.sampleCount, 1);
    break;
  }
  const second = await lines.next();
  if (!second.cancelled) await once(second, "cancelled");
});

test("a deadline is the server's as well", async () => {
  const ended = new Waiting<true>();
  await serve({ synthesize: (call: Line) => call.on("cancelled", () => ended.put(true)) });
  const line = client.say("joe", "Halt!", { timeoutMs: 50 });
  await assert.rejects(line, DeadlineExceededError);
  await ended.next();
});

test("audio that is missing is no line", async () => {
  const bad = [
    [header(), chunk(1, [1])],
    [header(), chunk(0, [1]), trailer(2)],
    [header(), chunk(0, [1])],
    [chunk(0, [1])],
    [],
  ];
  let at = 0;
  await serve({
    synthesize(call: Line) {
      for (const part of bad[at++]!) call.write(part);
      call.end();
    },
  });
  for (const _ of bad) await assert.rejects(client.say("joe", "Halt!"), IncompleteStreamError);
});

test("an encoding that this client does not know is said to be one", async () => {
  await serve({
    synthesize(call: Line) {
      call.write(header(77 as never));
      call.end();
    },
  });
  await assert.rejects(client.say("joe", "Halt!"), (error: VoxswapError) => {
    return error instanceof VoxswapError && /an encoding of the number 77/.test(error.message);
  });
});

test("a conversation: text, an interruption, and one more after the end", async () => {
  const talks = new Waiting<Talk>();
  const interrupted = new Waiting<string>();
  await serve({
    converse: (call: Talk) => talks.put(call),
    interrupt(
      call: { request: { streamId: string } },
      reply: (error: null, answer: object) => void,
    ) {
      interrupted.put(call.request.streamId);
      reply(null, {});
    },
  });
  const talk = client.converse("joe");
  talk.send("Halt!");
  talk.flush();
  const server = await talks.next();
  const came = new Waiting<ConverseRequest["part"] | "the end">();
  server.on("data", (request: ConverseRequest) => came.put(request.part));
  server.on("end", () => came.put("the end"));
  const next = async () => (await came.next()) as ConverseRequest["part"];
  assert.equal((await next()).case, "start");
  assert.deepEqual(await next(), { case: "text", value: "Halt!" });
  assert.equal((await next()).case, "flush");
  await talk.interrupt();
  assert.equal((await next()).case, "interrupt");
  for (const part of [header(), chunk(0, [1, 2]), receipt(2)]) server.write(part);
  const parts = talk[Symbol.asyncIterator]();
  assert.equal((await parts.next()).value?.type, "chunk");
  assert.deepEqual((await parts.next()).value, {
    type: "interrupted",
    endSample: 2,
    lastWord: "who",
    textEnd: 9,
  });
  talk.end();
  assert.equal(await came.next(), "the end");
  await assert.rejects(talk.interrupt(), /without a receipt/);
  assert.equal(await interrupted.next(), "the stream");
  server.write(chunk(2, [3]));
  server.write(trailer(3));
  server.end();
  assert.equal(((await parts.next()).value as Chunk).startSample, 2);
  assert.equal((await parts.next()).done, true);
});

test("what ended a conversation is thrown by whatever is said afterwards", async () => {
  await serve({
    converse: (call: Talk) =>
      call.emit("error", failure(grpc.status.NOT_FOUND, "no voice", { reason: "VOICE_NOT_FOUND" })),
  });
  const talk = client.converse("nobody");
  await assert.rejects(talk.header(), VoiceNotFoundError);
  assert.throws(() => talk.send("hello?"), VoiceNotFoundError);
});

test("a question is asked again, and can be cancelled", async () => {
  let calls = 0;
  const never = new Waiting<grpc.ServerUnaryCall<unknown, unknown>>();
  await serve({
    prepare(call: grpc.ServerUnaryCall<unknown, unknown>, reply: grpc.sendUnaryData<object>) {
      calls++;
      if (calls === 1) reply(failure(grpc.status.UNAVAILABLE, "away", { retryMs: 20 }));
      else if (calls === 2) reply(null, { fits: true });
      else never.put(call);
    },
  });
  const outlook = await client.prepare(["joe", { voice: "amy", firstLineMs: 20 }]);
  assert.deepEqual([outlook.fits, slept], [true, [120]]);
  const stop = new AbortController();
  const asked = client.prepare(["joe"], { signal: stop.signal });
  const call = await never.next();
  const gone = once(call, "cancelled");
  stop.abort();
  await assert.rejects(asked, CallCancelledError);
  await gone;
});

test("a server is ready when it says so, and one without a health service at once", async () => {
  const answers = [2, 1];
  await serve({
    check(_: unknown, reply: grpc.sendUnaryData<object>) {
      reply(null, { status: answers.shift() });
    },
  });
  await client.waitReady();
  assert.deepEqual([answers, slept], [[], [100]]);
  client.close();
  door?.close();
  await serve({});
  await client.waitReady();
});
