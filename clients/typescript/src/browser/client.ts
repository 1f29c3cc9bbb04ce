/** The client for browsers: a WebSocket for speech, fetch for questions. Nothing else. */

import { Conversation } from "../shared/conversation.js";
import {
  UnavailableError,
  VoxswapError,
  cancelled,
  deadlinePassed,
  invalid,
} from "../shared/errors.js";
import type { SpeechResult } from "../shared/result.js";
import { Attempts, DEFAULT_RETRIES, MEANS, type Means, type RetryPolicy } from "../shared/retry.js";
import { SpeechStream } from "../shared/stream.js";
import type {
  CallOptions,
  CastMember,
  InterruptReceipt,
  SceneOptions,
  SceneOutlook,
  SpeechOptions,
  Voice,
  VoiceFilter,
} from "../shared/values.js";
import { Socket, type WebSocketClass } from "./socket.js";
import { type Json, camelCase, errorOf, given, receipt, requestFields, voice } from "./wire.js";

/** How a client connects, and what its calls take for granted. */
export interface ClientOptions {
  /** The deadline of calls that have none of their own, 60000 ms; `Infinity` is none. */
  readonly timeoutMs?: number;
  readonly retries?: RetryPolicy;
  /** Where there is no global one, as in Node before 22. */
  readonly WebSocket?: WebSocketClass;
  /** For tests. */
  readonly means?: Means;
}

/** What a conversation may ask for. */
export interface ConverseOptions extends SpeechOptions, CallOptions {
  /**
   * Whether the server keeps it for five seconds when the connection breaks; the client then takes
   * it up where it was. What was sent in the moment of the break may be lost.
   */
  readonly resumable?: boolean;
}

/**
 * Speaks to the HTTP door of one voxswap server.
 *
 * Every method that waits for the server rejects with `VoxswapError`. Questions, and lines of which
 * nothing has come, are tried again as `RetryPolicy` says, within the deadline. From a page of
 * another origin the server must allow that origin.
 */
export class Client {
  readonly #base: URL;
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #retries: RetryPolicy;
  readonly #means: Means;

  /** @param base the server's address, such as `http://127.0.0.1:8080`; left out, the page's own */
  constructor(base: string | URL = location.origin, options: ClientOptions = {}) {
    this.#base = new URL(base);
    this.#timeoutMs = options.timeoutMs ?? 60_000;
    this.#retries = options.retries ?? DEFAULT_RETRIES;
    this.#means = options.means ?? MEANS;
    const url = new URL("/v1/converse", this.#base);
    url.protocol = url.protocol.replace("http", "ws");
    this.#socket = new Socket(url.href, options.WebSocket ?? WebSocket, this.#means);
  }

  /** Ends every conversation, and the socket. Idempotent. */
  close(): void {
    this.#socket.close();
  }

  /**
   * Begins to speak; returns at once: `for await (const chunk of client.synthesize(…))`.
   *
   * Ask for `encoding: "pcm_f32le"` to give each chunk to Web Audio by `decodePcm`.
   *
   * @param voice `id`, `id@version` or `id@label`
   * @throws InvalidRequestError if an option cannot be sent
   */
  synthesize(voice: string, text: string, options: SpeechOptions & CallOptions = {}): SpeechStream {
    const start = { voice, text, ...requestFields(options) };
    const mayWait = options.pacing === "none" && options.startByMs === undefined;
    return new SpeechStream(
      (remainingMs) => {
        const talk = this.#socket.begin(start, false, remainingMs);
        talk.end();
        return talk;
      },
      this.#attempts(options, mayWait),
      this.#means,
      { goesOn: true, signal: options.signal },
    );
  }

  /**
   * Speaks a line and returns it whole. Nobody listens while it is made: `pacing` is "none" unless
   * another one is given.
   */
  async say(
    voice: string,
    text: string,
    options: SpeechOptions & CallOptions = {},
  ): Promise<SpeechResult> {
    return this.synthesize(voice, text, { pacing: "none", ...options }).collect();
  }

  /** Begins to speak a text that is still being written; without a deadline unless given one. */
  converse(voice: string, options: ConverseOptions = {}): Conversation {
    const start = { voice, text: "", ...requestFields(options) };
    const timeoutMs = options.timeoutMs ?? Infinity;
    return new Conversation(
      () => this.#socket.begin(start, options.resumable ?? false, timeoutMs),
      this.#means,
      options.signal,
    );
  }

  /**
   * A line by plain HTTP: its `body` is the audio as it is made, and `blob()` something for an
   * `<audio>` element. The answer is good; anything else rejects with `VoxswapError`.
   */
  async speech(
    voice: string,
    text: string,
    options: SpeechOptions & CallOptions = {},
  ): Promise<Response> {
    const { marks: _, ...plain } = options; // bytes alone carry no marks
    const body = { voice, text, ...requestFields(plain) };
    return this.#fetch("/v1/speech", body, options, (answer) => answer);
  }

  /** Begins to load the voices of a scene; returns at once what that does. */
  async prepare(
    cast: readonly (string | CastMember)[],
    options: SceneOptions & CallOptions = {},
  ): Promise<SceneOutlook> {
    if (!Array.isArray(cast)) throw invalid("cast", "is no list of voices");
    const members = cast.map((each) =>
      typeof each === "string"
        ? { voice: each }
        : given({ voice: each.voice, first_line_ms: each.firstLineMs }),
    );
    const body = given({
      cast: members,
      by_ms: options.byMs,
      dry_run: options.dryRun,
      session_id: options.sessionId,
    });
    return camelCase(await this.#json("/v1/prepare", body, options)) as SceneOutlook;
  }

  /** Voices by id, each at its newest version. Asks for a page at a time, as they are read. */
  async *voices(
    filter: VoiceFilter & CallOptions & { readonly search?: string } = {},
  ): AsyncGenerator<Voice, void, undefined> {
    const query = new URLSearchParams();
    for (const name of ["prefix", "language", "engine", "gender", "search"] as const) {
      if (filter[name]) query.set(name, filter[name]);
    }
    for (const tag of filter.tags ?? []) query.append("tag", tag);
    if (filter.pageSize) query.set("page_size", String(filter.pageSize));
    for (;;) {
      const path = `/v1/voices?${query.toString()}`;
      const page = (await this.#json(path, undefined, filter)) as VoicePage;
      for (const told of page.voices) yield voice(told);
      if (!page.next_page_token) return;
      query.set("page_token", page.next_page_token);
    }
  }

  /** One voice: `id`, `id@version` or `id@label`. Rejects with `VoiceNotFoundError`. */
  async voice(ref: string, options: CallOptions = {}): Promise<Voice> {
    const names = ref.split("/");
    // A URL has no such names: it would be that of something else.
    if (names.some((name) => [".", "..", ""].includes(name))) {
      throw invalid("voice", `is no id of a voice: ${ref}`);
    }
    const path = `/v1/voices/${names.map(encodeURIComponent).join("/")}`;
    return voice(await this.#json(path, undefined, options));
  }

  /**
   * Stops a stream by its `header.streamId`, of any client; what of it had been sent.
   *
   * Rejects with `StreamNotFoundError` if there is no such stream, or no longer.
   */
  async interrupt(streamId: string, options: CallOptions = {}): Promise<InterruptReceipt> {
    // The stream that was stopped may be gone when an unanswered call is made again.
    const attempts = this.#attempts(options, false, true);
    const body = { stream_id: streamId };
    const told = await this.#fetch("/v1/interrupt", body, options, toJson, attempts);
    return receipt(told as Json);
  }

  #attempts(options: CallOptions, mayWait = false, ifAsked = false): Attempts {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    return new Attempts(this.#retries, this.#means, timeoutMs, mayWait, ifAsked);
  }

  #json(path: string, body: Json | undefined, options: CallOptions): Promise<unknown> {
    return this.#fetch(path, body, options, toJson);
  }

  async #fetch<T>(
    path: string,
    body: Json | undefined,
    options: CallOptions,
    read: (answer: Response) => T | Promise<T>,
    attempts = this.#attempts(options),
  ): Promise<T> {
    for (;;) {
      try {
        return await this.#fetchOnce(path, body, options.signal, attempts.next(), read);
      } catch (error) {
        const delayMs = error instanceof VoxswapError ? attempts.delayMs(error) : undefined;
        if (delayMs === undefined) throw error;
        await this.#means.sleep(delayMs, options.signal);
      }
    }
  }

  /** Signal and deadline hold for the answer's body as well. */
  async #fetchOnce<T>(
    path: string,
    body: Json | undefined,
    signal: AbortSignal | undefined,
    remainingMs: number,
    read: (answer: Response) => T | Promise<T>,
  ): Promise<T> {
    const wholeMs = Math.ceil(remainingMs); // a fraction is not taken, nor what has over 31 bits
    const deadline = wholeMs < 2 ** 31 ? AbortSignal.timeout(wholeMs) : undefined;
    const request: RequestInit = {
      signal: AbortSignal.any([signal, deadline].filter((each) => each !== undefined)),
    };
    if (body) {
      request.method = "POST";
      request.headers = { "Content-Type": "application/json" };
      request.body = JSON.stringify(body);
    }
    try {
      const answer = await fetch(new URL(path, this.#base), request);
      if (answer.ok) return await read(answer);
      const told = (await answer.json().catch(() => ({}))) as { readonly error?: unknown };
      throw errorOf(told.error, answer.status);
    } catch (error) {
      if (error instanceof VoxswapError) throw error;
      if (signal?.aborted) throw cancelled(signal.reason);
      if (deadline?.aborted) throw deadlinePassed();
      const told = `${this.#base.href} cannot be reached`;
      throw new UnavailableError(told, { code: "UNAVAILABLE", cause: error });
    }
  }
}

interface VoicePage {
  readonly voices: readonly unknown[];
  readonly next_page_token?: string;
}

function toJson(answer: Response): Promise<unknown> {
  return answer.json() as Promise<unknown>;
}
