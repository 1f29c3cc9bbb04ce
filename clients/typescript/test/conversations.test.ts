/** Conversations over the WebSocket of `door.ts`, and their resumption. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Chunk, UnavailableError } from "voxswap/browser";
import { Door, Waiting } from "./door.js";
import { connect, visit } from "./visit.js";

const here = visit();

const said = (chunks: readonly Chunk[]) =>
  chunks.flatMap((chunk) => [...new Int16Array(chunk.audio.slice().buffer)]);

test("a conversation: text, flush, an interruption with its receipt, the end", async () => {
  const talk = here.client.converse("joe", { marks: ["viseme"] });
  talk.send("Halt! Who");
  talk.flush();
  const visitor = await here.door.visitor();
  const { conversation: id } = await visitor.next();
  assert.deepEqual(await visitor.next(), { type: "text", text: "Halt! Who", conversation: id });
  assert.deepEqual(await visitor.next(), { type: "flush", conversation: id });
  visitor.header(id);
  visitor.chunk(id, 0, [1, 2]);
  assert.equal((await talk.header()).sampleRateHertz, 1000);
  const parts = talk[Symbol.asyncIterator]();
  const first = (await parts.next()).value as Chunk;
  assert.equal(first.type, "chunk");
  await talk.interrupt();
  assert.deepEqual(await visitor.next(), { type: "interrupt", conversation: id });
  visitor.receipt(id, 2);
  const receipt = (await parts.next()).value;
  assert.deepEqual(receipt, { type: "interrupted", endSample: 2, lastWord: "who", textEnd: 9 });
  talk.send("Never mind.");
  talk.end();
  talk.end();
  assert.equal((await visitor.next()).type, "text");
  assert.deepEqual(await visitor.next(), { type: "end", conversation: id });
  assert.throws(() => talk.send("too late"), /has been ended/);
  visitor.chunk(id, 2, [3]);
  visitor.trailer(id, 3);
  const second = (await parts.next()).value as Chunk;
  assert.equal((await parts.next()).done, true);
  assert.deepEqual(said([first, second]), [1, 2, 3]);
  assert.equal(talk.result([first, second]).trailer.totalSamples, 3);
});

test("fragments are sent as they come; an interruption closes what writes them", async () => {
  const closed = new Waiting<true>();
  const more = new Waiting<true>();
  async function* writing() {
    try {
      yield "One. ";
      await more.next();
      yield "Never said.";
    } finally {
      closed.put(true);
    }
  }
  const talk = here.client.converse("joe");
  talk.speak(writing(), { end: false });
  const visitor = await here.door.visitor();
  await visitor.next();
  assert.equal((await visitor.next()).text, "One. ");
  await talk.interrupt();
  more.put(true);
  await closed.next();
  talk.speak(["Two. ", "Three."]);
  const kinds: unknown[] = [];
  for (let i = 0; i < 4; i++) {
    const frame = await visitor.next();
    kinds.push(frame.text ?? frame.type);
  }
  assert.deepEqual(kinds, ["interrupt", "Two. ", "Three.", "end"]);
});

test("what the fragments throw ends the conversation, and is thrown by the iteration", async () => {
  const talk = here.client.converse("joe");
  const fault = new RangeError("the model fell over");
  talk.speak(
    (function* () {
      yield "One. ";
      throw fault;
    })(),
  );
  await assert.rejects(async () => {
    for await (const _ of talk);
  }, fault);
});

test("a conversation is taken up on a new socket where it was", async () => {
  const broken = new Waiting<number>();
  const sleep = (ms: number) => Promise.resolve(broken.put(ms));
  here.client = connect(here.door, { means: { clock: () => 0, random: () => 1, sleep } });
  const talk = here.client.converse("joe", { resumable: true });
  talk.send("Halt! Who goes there? ");
  const before = await here.door.visitor();
  const start = await before.next();
  assert.equal(start.resumable, true);
  const id = start.conversation;
  await before.next();
  before.header(id);
  before.chunk(id, 0, [1, 2]);
  before.chunk(id, 2, [3]);
  before.receipt(id, 3);
  const parts = talk[Symbol.asyncIterator]();
  const chunks = [(await parts.next()).value as Chunk, (await parts.next()).value as Chunk];
  assert.equal((await parts.next()).value?.type, "interrupted");
  before.drop();
  assert.equal(await broken.next(), 100);
  talk.send("And when?");
  talk.end();

  const after = await here.door.visitor();
  const resume = { type: "resume", stream_id: `stream of ${String(id)}`, sample: 3 };
  assert.deepEqual(await after.next(), { ...resume, conversation: id });
  after.resumed(id, 0); // nothing that was said after the start had come
  assert.equal((await after.next()).text, "Halt! Who goes there? ");
  assert.equal((await after.next()).text, "And when?");
  assert.equal((await after.next()).type, "end");
  after.receipt(id, 3); // what came after the last sample is told again
  after.chunk(id, 3, [4, 5]);
  after.trailer(id, 5);
  for (let next = await parts.next(); !next.done; next = await parts.next()) {
    chunks.push(next.value as Chunk);
  }
  assert.deepEqual(said(chunks), [1, 2, 3, 4, 5]);
});

test("what is not resumable, or has not begun, fails when the connection breaks", async () => {
  const plain = here.client.converse("joe");
  const silent = here.client.converse("joe", { resumable: true });
  const visitor = await here.door.visitor();
  const { conversation: id } = await visitor.next();
  await visitor.next();
  visitor.header(id);
  await plain.header();
  visitor.drop();
  for (const talk of [plain, silent]) {
    await assert.rejects(async () => {
      for await (const _ of talk);
    }, UnavailableError);
    assert.throws(() => talk.send("more"), UnavailableError);
  }
});

test("nobody waits for longer than the server keeps a conversation", async () => {
  let nowMs = 0;
  const means = {
    clock: () => nowMs,
    random: () => 1,
    sleep: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
  here.client = connect(here.door, { means });
  const talk = here.client.converse("joe", { resumable: true });
  talk.send("Halt!");
  const visitor = await here.door.visitor();
  const { conversation: id } = await visitor.next();
  visitor.header(id);
  await talk.header();
  await here.door.close();
  await assert.rejects(async () => {
    for await (const _ of talk);
  }, UnavailableError);
  assert.ok(nowMs > 3000 && nowMs < 5000, `${nowMs}`);
  here.door = await Door.open();
});
