/** What the browser's client asks by fetch. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CallCancelledError,
  DeadlineExceededError,
  InvalidRequestError,
  OverloadedError,
  UnavailableError,
  VoiceNotFoundError,
} from "voxswap/browser";
import { Door } from "./door.js";
import { visit } from "./visit.js";

const here = visit();

function answers(...bodies: readonly (readonly [number, unknown])[]): void {
  const left = [...bodies];
  here.door.answer = (_, response) => {
    const [status, body] = left.shift()!;
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  };
}

test("a line by plain HTTP is an answer whose body is the audio", async () => {
  here.door.answer = (_, response) =>
    response.writeHead(200, { "Content-Type": "audio/mpeg" }).end("mp3");
  const answer = await here.client.speech("joe", "Halt!", {
    encoding: "mp3",
    marks: ["word"],
    seed: 7,
  });
  assert.equal(await answer.text(), "mp3");
  const body = { voice: "joe", text: "Halt!", seed: "7", audio: { encoding: "mp3" } };
  assert.deepEqual(here.door.asked, [{ method: "POST", url: "/v1/speech", body }]);
});

test("voices come a page at a time, as they are read", async () => {
  const voice = { id: "npc/a", version: 2, display_name: "A", sample_rate_hertz: 22050 };
  answers(
    [200, { voices: [voice], next_page_token: "p 2" }],
    [200, { voices: [{ ...voice, id: "npc/b" }], next_page_token: "" }],
  );
  const found: string[] = [];
  const filter = { prefix: "npc/", tags: ["x", "y&z"], search: "smith", pageSize: 1 };
  for await (const each of here.client.voices(filter)) {
    assert.equal(each.displayName, "A");
    assert.equal(each.sampleRateHertz, 22050);
    found.push(each.id);
    assert.equal(here.door.asked.length, found.length);
  }
  assert.deepEqual(found, ["npc/a", "npc/b"]);
  const asked = "/v1/voices?prefix=npc%2F&search=smith&tag=x&tag=y%26z&page_size=1";
  assert.deepEqual(
    here.door.asked.map((request) => request.url),
    [asked, `${asked}&page_token=p+2`],
  );
});

test("one voice is asked for by any name that it has", async () => {
  const control = { name: "rate", least: 0.25, most: 4, neutral: 1 };
  answers([200, { id: "npc/a", version: 2, speakers: ["ann"], controls: [control] }]);
  const found = await here.client.voice("npc/a@stable");
  assert.deepEqual(
    [found.id, found.version, found.speakers, found.controls, found.tags],
    ["npc/a", 2, ["ann"], ["rate"], []],
  );
  assert.equal(here.door.asked[0]?.url, "/v1/voices/npc/a%40stable");
  await assert.rejects(here.client.voice("npc/../../residents"), InvalidRequestError);
});

test("a stream is interrupted by its id", async () => {
  answers([200, { end_sample: 9, last_word: "who", text_end: 3 }]);
  const receipt = await here.client.interrupt("a secret");
  assert.deepEqual(receipt, { type: "interrupted", endSample: 9, lastWord: "who", textEnd: 3 });
  const asked = { method: "POST", url: "/v1/interrupt", body: { stream_id: "a secret" } };
  assert.deepEqual(here.door.asked, [asked]);
});

test("a scene is prepared", async () => {
  const member = { voice: "joe@1", estimated_ms: 80, in_time: true, fits: true };
  answers([200, { fits: true, estimated_ms: 80, would_evict: ["a@1"], cast: [member] }]);
  const cast = ["joe", { voice: "amy", firstLineMs: 3000 }];
  const outlook = await here.client.prepare(cast, { byMs: 500, dryRun: true });
  assert.deepEqual(outlook, {
    fits: true,
    estimatedMs: 80,
    wouldEvict: ["a@1"],
    cast: [{ voice: "joe@1", estimatedMs: 80, inTime: true, fits: true }],
  });
  assert.deepEqual(here.door.asked[0]?.body, {
    cast: [{ voice: "joe" }, { voice: "amy", first_line_ms: 3000 }],
    by_ms: 500,
    dry_run: true,
  });
});

test("errors are typed by their reason, or else by the status", async () => {
  for (const [status, error, kind] of [
    [404, { reason: "VOICE_NOT_FOUND", message: "no voice joe" }, VoiceNotFoundError],
    [
      400,
      { reason: "INVALID_INPUT", violations: [{ field: "by_ms", description: "is below 0" }] },
      InvalidRequestError,
    ],
    [429, { reason: "OVERLOADED", message: "full" }, OverloadedError],
    [400, undefined, InvalidRequestError],
  ] as const) {
    answers([status, { error }]);
    await assert.rejects(here.client.prepare(["joe"]), (thrown: InvalidRequestError) => {
      assert.ok(thrown instanceof kind, thrown.name);
      assert.equal(thrown.reason, error?.reason ?? "");
      return true;
    });
  }
});

test("what passes is asked again", async () => {
  const away = { error: { reason: "SHUTTING_DOWN", message: "bye", retry_after_ms: 20 } };
  answers([503, away], [200, { voices: [] }]);
  for await (const _ of here.client.voices()) assert.fail();
  assert.deepEqual(here.slept, [120]);
});

test("a signal, a deadline and an absent server have errors of their own", async () => {
  here.door.answer = () => {}; // never
  const stop = new AbortController();
  const asked = here.client.prepare(["joe"], { signal: stop.signal });
  stop.abort("no");
  await assert.rejects(
    asked,
    (error: Error) => error instanceof CallCancelledError && error.cause === "no",
  );
  await assert.rejects(here.client.prepare(["joe"], { timeoutMs: 1 }), DeadlineExceededError);
  await here.door.close();
  await assert.rejects(here.client.prepare(["joe"]), UnavailableError);
  here.door = await Door.open();
});

test("faults are found before anything is sent", async () => {
  assert.throws(() => here.client.synthesize("joe", "Halt!", { seed: 0.5 }), InvalidRequestError);
  await assert.rejects(here.client.prepare("joe" as never), InvalidRequestError);
  assert.deepEqual(here.door.asked, []);
});
