/** The client for Node: one channel to one server. */

import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { type ChannelCredentials, Client as GrpcClient, credentials } from "@grpc/grpc-js";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
} from "../gen/grpc/health/v1/health_pb.js";
import {
  InterruptRequestSchema,
  PrepareRequestSchema,
  SpeechService,
} from "../gen/voxswap/v1/speech_pb.js";
import {
  GetVoiceRequestSchema,
  ListVoicesRequestSchema,
  VoiceService,
} from "../gen/voxswap/v1/voices_pb.js";
import { Conversation } from "../shared/conversation.js";
import {
  DeadlineExceededError,
  NotImplementedByServerError,
  UnavailableError,
  VoxswapError,
  cancelled,
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
import { CallSource, TwoWayCall } from "./calls.js";
import * as convert from "./convert.js";
import { bidiStream, serverStream, unary } from "./rpc.js";

/** How a client connects, and what its calls take for granted. */
export interface ClientOptions {
  /** The deadline of calls that have none of their own, 60000 ms; `Infinity` is none. */
  readonly timeoutMs?: number;
  /** Without encryption unless given. */
  readonly credentials?: ChannelCredentials;
  readonly retries?: RetryPolicy;
  /** For tests. */
  readonly means?: Means;
}

const READY_POLL_MS = 100;

const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": 16 << 20,
  "grpc.primary_user_agent": "voxswap-typescript",
  // A peer that is gone is noticed within 80 seconds, and only while a call waits for it.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.keepalive_permit_without_calls": 0,
  // gRPC waits a second after a refused connection and fails every call meanwhile, which is longer
  // than all of our own tries take.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
};

/**
 * Speaks to one voxswap server over one channel.
 *
 * Every method that waits for the server rejects with `VoxswapError`. `signal` cancels a call, and
 * the server stops computing. Unary calls, and lines of which nothing has come, are tried again as
 * `RetryPolicy` says, within the deadline.
 */
export class Client {
  readonly #grpc: GrpcClient;
  readonly #timeoutMs: number;
  readonly #retries: RetryPolicy;
  readonly #means: Means;

  /** @param address `host:port` of the server's gRPC door */
  constructor(
    readonly address: string = "127.0.0.1:50051",
    options: ClientOptions = {},
  ) {
    this.#timeoutMs = options.timeoutMs ?? 60_000;
    this.#retries = options.retries ?? DEFAULT_RETRIES;
    this.#means = options.means ?? MEANS;
    const how = options.credentials ?? credentials.createInsecure();
    this.#grpc = new GrpcClient(address, how, CHANNEL_OPTIONS);
  }

  /** Closes the channel; calls in flight are cancelled. Idempotent. */
  close(): void {
    this.#grpc.close();
  }

  /**
   * Begins to speak; returns at once: `for await (const chunk of client.synthesize(…))`.
   *
   * The deadline holds for the stream's last chunk, so give one that plays as it reads enough time.
   *
   * @param voice `id`, `id@version` or `id@label`
   * @throws InvalidRequestError if an option is none
   */
  synthesize(voice: string, text: string, options: SpeechOptions & CallOptions = {}): SpeechStream {
    const request = convert.speechRequest(voice, text, options);
    const mayWait = options.pacing === "none" && options.startByMs === undefined;
    return new SpeechStream(
      (remainingMs) =>
        new CallSource(
          serverStream(this.#grpc, SpeechService.method.synthesize, request, remainingMs),
          (streamId) => this.interrupt(streamId),
        ),
      this.#attempts(options, mayWait),
      this.#means,
      { goesOn: false, signal: options.signal },
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

  /**
   * Begins to speak a text that is still being written; returns at once. There is no deadline
   * unless it is given one, but the server ends a conversation in which nothing is said for a
   * minute.
   */
  converse(voice: string, options: SpeechOptions & CallOptions = {}): Conversation {
    const request = convert.speechRequest(voice, "", options);
    return new Conversation(
      () =>
        new TwoWayCall(
          bidiStream(this.#grpc, SpeechService.method.converse, options.timeoutMs ?? Infinity),
          request,
          (streamId) => this.interrupt(streamId),
        ),
      this.#means,
      options.signal,
    );
  }

  /**
   * Stops a stream by its `header.streamId`; what of it had been sent.
   *
   * Rejects with `StreamNotFoundError` if there is no such stream, or no longer.
   */
  async interrupt(streamId: string, options: CallOptions = {}): Promise<InterruptReceipt> {
    const request = convert.fitting(InterruptRequestSchema, { streamId });
    // The stream that was stopped may be gone when an unanswered call is made again.
    const attempts = this.#attempts(options, false, true);
    const method = SpeechService.method.interrupt;
    const answer = await this.#unary(method, request, options.signal, attempts);
    if (!answer.receipt) throw new VoxswapError("the server answered without a receipt");
    return convert.receipt(answer.receipt);
  }

  /**
   * Begins to load the voices of a scene; returns at once what that does. `cast` has 1 to 256
   * voices. Those beyond what fits are not loaded.
   */
  async prepare(
    cast: readonly (string | CastMember)[],
    options: SceneOptions & CallOptions = {},
  ): Promise<SceneOutlook> {
    if (!Array.isArray(cast)) throw invalid("cast", "is no list of voices");
    const request = convert.fitting(PrepareRequestSchema, {
      cast: cast.map((member) => (typeof member === "string" ? { voice: member } : member)),
      dryRun: options.dryRun ?? false,
      sessionId: options.sessionId ?? "",
      ...(options.byMs === undefined ? {} : { byMs: options.byMs }),
    });
    return convert.outlook(await this.#call(SpeechService.method.prepare, request, options));
  }

  /** Voices by id, each at its newest version. Asks for a page at a time, as they are read. */
  async *voices(filter: VoiceFilter & CallOptions = {}): AsyncGenerator<Voice, void, undefined> {
    const { signal, timeoutMs, tags = [], ...asked } = filter;
    for (let pageToken = ""; ;) {
      const request = convert.fitting(ListVoicesRequestSchema, {
        ...asked,
        tags: [...tags],
        pageToken,
      });
      const page = await this.#call(VoiceService.method.listVoices, request, filter);
      for (const each of page.voices) yield convert.voice(each);
      pageToken = page.nextPageToken;
      if (!pageToken) return;
    }
  }

  /** One voice: `id`, `id@version` or `id@label`. Rejects with `VoiceNotFoundError`. */
  async voice(ref: string, options: CallOptions = {}): Promise<Voice> {
    const request = convert.fitting(GetVoiceRequestSchema, { voice: ref });
    const answer = await this.#call(VoiceService.method.getVoice, request, options);
    if (!answer.voice) throw new VoxswapError("the server answered without a voice");
    return convert.voice(answer.voice);
  }

  /**
   * Waits until the server is there and its health service says that it serves.
   *
   * Rejects with `DeadlineExceededError` if that takes longer than `timeoutMs`, 30000 unless given.
   */
  async waitReady(options: CallOptions = {}): Promise<void> {
    const timeoutMs = options.timeoutMs ?? 30_000;
    const attempts = new Attempts(this.#retries, this.#means, timeoutMs);
    for (;;) {
      try {
        const request = convert.fitting(HealthCheckRequestSchema, {});
        const answer = await this.#once(Health.method.check, request, options.signal, attempts);
        if (answer.status === HealthCheckResponse_ServingStatus.SERVING) return;
      } catch (error) {
        // It answers, and has no such service.
        if (error instanceof NotImplementedByServerError) return;
        const passes = error instanceof UnavailableError || error instanceof DeadlineExceededError;
        if (!passes) throw error; // waiting does not mend it
      }
      if (attempts.remainingMs() <= READY_POLL_MS) {
        throw new DeadlineExceededError(
          `${this.address} is not ready after ${timeoutMs} ms; check the address, and that ` +
            "`voxswap serve` runs there",
          { code: "DEADLINE_EXCEEDED" },
        );
      }
      await this.#means.sleep(READY_POLL_MS, options.signal);
    }
  }

  #attempts(options: CallOptions, mayWait = false, ifAsked = false): Attempts {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    return new Attempts(this.#retries, this.#means, timeoutMs, mayWait, ifAsked);
  }

  #call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    return this.#unary(method, request, options.signal, this.#attempts(options));
  }

  async #unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    signal: AbortSignal | undefined,
    attempts: Attempts,
  ): Promise<MessageShape<O>> {
    for (;;) {
      try {
        return await this.#once(method, request, signal, attempts);
      } catch (error) {
        const delayMs = error instanceof VoxswapError ? attempts.delayMs(error) : undefined;
        if (delayMs === undefined) throw error;
        await this.#means.sleep(delayMs, signal);
      }
    }
  }

  async #once<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    signal: AbortSignal | undefined,
    attempts: Attempts,
  ): Promise<MessageShape<O>> {
    if (signal?.aborted) throw cancelled(signal.reason);
    let cancel = (): void => {};
    const stop = (): void => cancel();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      return await unary(this.#grpc, method, request, attempts.next(), (how) => (cancel = how));
    } catch (error) {
      throw signal?.aborted ? cancelled(signal.reason) : error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }
}
