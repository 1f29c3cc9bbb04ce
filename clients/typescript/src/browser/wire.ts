/** JSON of the server's HTTP door: names in snake_case there, in camelCase here. */

import {
  type ErrorFacts,
  type Violation,
  type VoxswapError,
  serverError,
} from "../shared/errors.js";
import { wholeSeed } from "../shared/seed.js";
import {
  type Chunk,
  type Header,
  type InterruptReceipt,
  type SpeechOptions,
  type Trailer,
  type Voice,
  mixtureOf,
} from "../shared/values.js";

/** What JSON gives. */
export type Json = { readonly [name: string]: unknown };

/** Every name in camelCase, at any depth. */
export function camelCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCase);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      camelCase(inner),
    ]),
  );
}

/** The fields of a request, but for voice and text. */
export function requestFields(options: SpeechOptions): Json {
  const { encoding, sampleRateHertz: rateHertz } = options;
  const mixture = mixtureOf(options.emotion);
  return given({
    speaker: options.speaker,
    // A number of JSON has 53 bits for sure, and a seed 64.
    seed: options.seed === undefined ? undefined : wholeSeed(options.seed).toString(),
    audio: group({ encoding, sample_rate_hertz: rateHertz }),
    controls: group({
      rate: options.rate,
      pitch_semitones: options.pitchSemitones,
      pitch_range: options.pitchRange,
      volume_db: options.volumeDb,
      pause_scale: options.pauseScale,
      noise_scale: options.noiseScale,
      duration_noise_scale: options.durationNoiseScale,
    }),
    emotion: group({
      mixture: mixture.length > 0 ? mixture : undefined,
      from_text: options.emotion === "auto" ? true : undefined,
      intensity: options.intensity,
      valence: options.valence,
      arousal: options.arousal,
      fallback: options.fallback,
    }),
    style_prompt: options.stylePrompt,
    marks: options.marks,
    line_class: options.lineClass,
    start_by_ms: options.startByMs,
    session_id: options.sessionId,
    cache_policy: options.cache,
    pacing: options.pacing,
  });
}

/** Without what is `undefined`. */
export function given(fields: Json): Json {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function group(fields: Json): Json | undefined {
  const some = given(fields);
  return Object.keys(some).length > 0 ? some : undefined;
}

export function header(frame: Json): Header {
  const told = camelCase(frame) as Header;
  const { codecDelaySamples = 0, emotions = [] } = told;
  return { ...told, codecDelaySamples, emotions };
}

export function chunk(frame: Json, audio: Uint8Array): Chunk {
  const { startSample, sampleCount, marks, packetSizes } = camelCase(frame) as Partial<Chunk>;
  return {
    type: "chunk",
    audio,
    startSample: startSample ?? 0,
    sampleCount: sampleCount ?? 0,
    marks: (marks ?? []).map((mark) => ({ ...NO_TEXT, ...mark })),
    packetSizes: packetSizes ?? [],
  };
}

const NO_TEXT = { textStart: 0, textEnd: 0 };

export function trailer(frame: Json): Trailer {
  const told = camelCase(frame) as Trailer;
  return { ...told, seed: BigInt(told.seed), unknownSymbols: told.unknownSymbols ?? [] };
}

export function receipt(frame: Json): InterruptReceipt {
  return { ...(camelCase(frame) as InterruptReceipt), type: "interrupted" };
}

/** One version of a voice. Of one with a problem, little is told. */
export function voice(told: unknown): Voice {
  const found = camelCase(told) as Omit<Partial<Voice>, "controls"> & {
    readonly controls?: readonly { readonly name: string }[];
  };
  const { id = "", version = 0, displayName = "", language = "", languages = [] } = found;
  const { engine = "", sampleRateHertz = 0, speakers = [], licence = "", emotions = [] } = found;
  const { tags = [], gender = "", labels = [], traffic = [], problem = "" } = found;
  const controls = (found.controls ?? []).map((control) => control.name);
  return {
    ...{ id, version, displayName, language, languages, engine, sampleRateHertz, speakers },
    ...{ licence, controls, emotions, tags, gender, labels, traffic, problem },
    ...(found.expression === undefined ? {} : { expression: found.expression }),
    stylePrompts: found.stylePrompts ?? false,
    readsStyle: found.readsStyle ?? false,
  };
}

/**
 * The typed error for `{"code", "reason", "message", "violations", "retry_after_ms"}`.
 *
 * @param status of the HTTP answer, if there was one
 */
export function errorOf(told: unknown, status?: number): VoxswapError {
  const error = (typeof told === "object" && told !== null ? told : {}) as {
    readonly reason?: string;
    readonly code?: string;
    readonly message?: string;
    readonly metadata?: Readonly<Record<string, string>>;
    readonly violations?: readonly Violation[];
    readonly retry_after_ms?: number;
  };
  const facts: ErrorFacts = {
    code: error.code ?? CODE_BY_STATUS[status ?? 0],
    reason: error.reason,
    metadata: error.metadata,
    violations: error.violations,
    retryAfterMs: error.retry_after_ms,
  };
  return serverError(error.message ?? `the server answered ${status ?? "with an error"}`, facts);
}

// What stands between a client and the server answers in a way of its own.
const CODE_BY_STATUS: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  404: "NOT_FOUND",
  405: "UNIMPLEMENTED",
  413: "INVALID_ARGUMENT",
  415: "INVALID_ARGUMENT",
  422: "INVALID_ARGUMENT",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  501: "UNIMPLEMENTED",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};
