/** One WebSocket to `/v1/converse`, shared by any number of conversations, and made anew. */

import { InternalServerError, UnavailableError, type VoxswapError } from "../shared/errors.js";
import type { Means } from "../shared/retry.js";
import { Talk } from "./talk.js";
import { type Json, errorOf, given } from "./wire.js";

/** How long the server keeps a conversation whose connection broke, in milliseconds. */
export const RESUME_WITHIN_MS = 5000;

const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 1000;

/** The constructor of a WebSocket: the browser's, or that of a library. */
export type WebSocketClass = new (url: string) => WebSocket;

/**
 * Opened by the first conversation. When it breaks, conversations that are resumable and have begun
 * are taken up on a new one within five seconds; all others fail with `UnavailableError`.
 */
export class Socket {
  readonly #url: string;
  readonly #make: WebSocketClass;
  readonly #means: Means;
  readonly #talks = new Map<string, Talk>();
  #socket: WebSocket | undefined;
  #isOpen = false;
  /** Frames for a socket that is not open yet. */
  #waiting: Json[] = [];
  /** A chunk whose bytes are the next binary frame. */
  #chunk: Json | undefined;
  #lastId = 0;
  /** Until when conversations may be taken up; `undefined` while nothing is broken. */
  #resumeUntilMs: number | undefined;
  #backoffMs = FIRST_BACKOFF_MS;
  #closed = false;

  constructor(url: string, make: WebSocketClass, means: Means) {
    this.#url = url;
    this.#make = make;
    this.#means = means;
  }

  /** Begins a conversation; `start` are the fields of its first frame. */
  begin(start: Json, resumable: boolean, timeoutMs: number): Talk {
    const id = `c${++this.#lastId}`;
    const talk = new Talk(id, resumable, timeoutMs, (frame, ends) => {
      if (ends) this.#forget(id);
      // What ends while nothing is connected, the server ends by itself.
      if (frame && (this.#isOpen || !ends)) this.#send({ ...frame, conversation: id });
    });
    if (this.#closed) {
      talk.fail(new UnavailableError("the client has been closed", { code: "UNAVAILABLE" }));
      return talk;
    }
    this.#talks.set(id, talk);
    const asked = given({ resumable: resumable || undefined });
    this.#send({ type: "start", conversation: id, ...start, ...asked });
    return talk;
  }

  /** Ends all conversations, and the socket. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const talk of [...this.#talks.values()]) talk.cancel();
    this.#socket?.close(1000);
  }

  #send(frame: Json): void {
    if (this.#isOpen) this.#socket?.send(JSON.stringify(frame));
    else {
      this.#waiting.push(frame);
      if (this.#socket === undefined && this.#resumeUntilMs === undefined) this.#open();
    }
  }

  #open(): void {
    const socket = new this.#make(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.#take(event.data);
    // An error is always followed by a close, and browsers tell pages no more. The package ws wants
    // somebody to listen all the same.
    socket.onerror = () => {};
    socket.onclose = (event) => {
      if (this.#socket === socket) this.#broke(event.code, event.reason);
    };
  }

  #opened(): void {
    this.#isOpen = true;
    this.#backoffMs = FIRST_BACKOFF_MS;
    if (this.#resumeUntilMs !== undefined) {
      this.#resumeUntilMs = undefined;
      for (const talk of this.#talks.values()) {
        if (!talk.isResumable) continue;
        // It says again what the server has not had, this included.
        this.#waiting = this.#waiting.filter((frame) => frame.conversation !== talk.id);
        this.#send({ ...talk.resume(), conversation: talk.id });
      }
    }
    const frames = this.#waiting;
    this.#waiting = [];
    for (const frame of frames) this.#send(frame);
  }

  #broke(code: number, reason: string): void {
    this.#socket = undefined;
    this.#isOpen = false;
    this.#chunk = undefined;
    const why = reason ? `${code}: ${reason}` : `code ${code}`;
    const error = new UnavailableError(
      `the connection to ${this.#url} cannot be made, or broke (${why})`,
      { code: "UNAVAILABLE" },
    );
    // 1008: the server did not like a frame, and would not like it a second time.
    if (code === 1008) this.#failAll(error, () => true);
    this.#failAll(error, (talk) => !talk.isResumable);
    if (this.#talks.size === 0) {
      this.#resumeUntilMs = undefined;
      return;
    }
    const nowMs = this.#means.clock();
    this.#resumeUntilMs ??= nowMs + RESUME_WITHIN_MS;
    const delayMs = this.#means.random() * this.#backoffMs;
    this.#backoffMs = Math.min(MAX_BACKOFF_MS, this.#backoffMs * 2);
    if (nowMs + delayMs >= this.#resumeUntilMs) {
      this.#resumeUntilMs = undefined;
      this.#failAll(error, () => true);
      return;
    }
    void this.#means.sleep(delayMs).then(() => {
      if (this.#talks.size > 0) this.#open();
      else this.#resumeUntilMs = undefined;
    });
  }

  #failAll(error: VoxswapError, which: (talk: Talk) => boolean): void {
    for (const talk of [...this.#talks.values()]) {
      if (!which(talk)) continue;
      talk.fail(error);
    }
  }

  #forget(id: string): void {
    this.#talks.delete(id);
    this.#waiting = this.#waiting.filter((frame) => frame.conversation !== id);
  }

  #take(data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      const chunk = this.#chunk;
      this.#chunk = undefined;
      if (chunk) this.#talks.get(String(chunk.conversation))?.chunk(chunk, new Uint8Array(data));
      return;
    }
    const frame = parsed(data);
    if (frame === undefined) {
      const told = "the server sent a frame that is no JSON; is it a voxswap server?";
      this.#failAll(new InternalServerError(told), () => true);
      return;
    }
    const { conversation, ...rest } = frame;
    if (frame.type === "chunk") this.#chunk = frame;
    else if (conversation !== undefined) this.#talks.get(String(conversation))?.take(rest);
    else if (frame.type === "error") {
      this.#failAll(errorOf(frame.error), () => true);
    }
  }
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
