/** Protobuf messages become the client's values here, and the client's options a request. */

import {
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  create,
  toBinary,
} from "@bufbuild/protobuf";
import {
  AudioEncoding,
  CachePolicy,
  type ConverseResponse,
  EmotionFallback,
  Expression,
  LineClass,
  MarkKind,
  Pacing,
  type PrepareResponse,
  type SynthesizeRequest,
  SynthesizeRequestSchema,
  type SynthesizeResponse,
} from "../gen/voxswap/v1/speech_pb.js";
import type * as wire from "../gen/voxswap/v1/speech_pb.js";
import type * as voices from "../gen/voxswap/v1/voices_pb.js";
import { InvalidRequestError, VoxswapError, type Violation } from "../shared/errors.js";
import { wholeSeed } from "../shared/seed.js";
import type * as values from "../shared/values.js";
import { mixtureOf } from "../shared/values.js";

const ENCODINGS: Readonly<Record<values.Encoding, AudioEncoding>> = {
  pcm_s16le: AudioEncoding.PCM_S16LE,
  pcm_f32le: AudioEncoding.PCM_F32LE,
  wav: AudioEncoding.WAV,
  mulaw: AudioEncoding.MULAW,
  alaw: AudioEncoding.ALAW,
  flac: AudioEncoding.FLAC,
  opus_packets: AudioEncoding.OPUS_PACKETS,
  ogg_opus: AudioEncoding.OGG_OPUS,
  mp3: AudioEncoding.MP3,
};
const MARKS: Readonly<Record<values.MarkKind, MarkKind>> = {
  word: MarkKind.WORD,
  phoneme: MarkKind.PHONEME,
  viseme: MarkKind.VISEME,
};
const PACINGS: Readonly<Record<values.Pacing, Pacing>> = {
  realtime: Pacing.REALTIME,
  none: Pacing.NONE,
};
const LINE_CLASSES: Readonly<Record<values.LineClass, LineClass>> = {
  bark: LineClass.BARK,
  dialogue: LineClass.DIALOGUE,
  cinematic: LineClass.CINEMATIC,
};
const FALLBACKS: Readonly<Record<values.EmotionFallback, EmotionFallback>> = {
  none: EmotionFallback.NONE,
  prosody: EmotionFallback.PROSODY,
};
const EXPRESSIONS: Readonly<Record<values.Expression, Expression>> = {
  none: Expression.NONE,
  native: Expression.NATIVE,
  prosody: Expression.PROSODY,
};
const CACHE_POLICIES: Readonly<Record<values.CachePolicy, CachePolicy>> = {
  off: CachePolicy.OFF,
  use: CachePolicy.USE,
};

/**
 * The request.
 *
 * @throws InvalidRequestError which names every value that does not fit. Ranges are the server's
 * to check.
 */
export function speechRequest(
  voice: string,
  text: string,
  options: values.SpeechOptions,
): SynthesizeRequest {
  const faults: Violation[] = [];
  const chosen = <K extends string, N>(
    field: string,
    table: Readonly<Record<K, N>>,
    value: K,
  ): N => {
    if (!Object.hasOwn(table, value)) {
      const known = Object.keys(table).join(", ");
      faults.push({ field, description: `does not take ${String(value)}; use one of ${known}` });
    }
    return table[value];
  };
  const request: MessageInitShape<typeof SynthesizeRequestSchema> = { voice, text };
  const audio: MessageInitShape<typeof wire.AudioFormatSchema> = {};
  const controls: MessageInitShape<typeof wire.ControlsSchema> = {};
  if (options.speaker !== undefined) request.speaker = options.speaker;
  if (options.rate !== undefined) controls.rate = options.rate;
  if (options.pitchSemitones !== undefined) controls.pitchSemitones = options.pitchSemitones;
  if (options.pitchRange !== undefined) controls.pitchRange = options.pitchRange;
  if (options.volumeDb !== undefined) controls.volumeDb = options.volumeDb;
  if (options.pauseScale !== undefined) controls.pauseScale = options.pauseScale;
  if (options.noiseScale !== undefined) controls.noiseScale = options.noiseScale;
  if (options.durationNoiseScale !== undefined) {
    controls.durationNoiseScale = options.durationNoiseScale;
  }
  const emotion: MessageInitShape<typeof wire.EmotionSchema> = {
    mixture: mixtureOf(options.emotion),
    fromText: options.emotion === "auto",
  };
  if (options.intensity !== undefined) emotion.intensity = options.intensity;
  if (options.valence !== undefined) emotion.valence = options.valence;
  if (options.arousal !== undefined) emotion.arousal = options.arousal;
  if (options.fallback) {
    emotion.fallback = chosen("emotion.fallback", FALLBACKS, options.fallback);
  }
  if (options.stylePrompt !== undefined) request.stylePrompt = options.stylePrompt;
  if (options.seed !== undefined) request.seed = wholeSeed(options.seed);
  if (options.sampleRateHertz !== undefined) audio.sampleRateHertz = options.sampleRateHertz;
  if (options.encoding) audio.encoding = chosen("audio.encoding", ENCODINGS, options.encoding);
  if (options.marks) request.marks = options.marks.map((kind) => chosen("marks", MARKS, kind));
  if (options.pacing) request.pacing = chosen("pacing", PACINGS, options.pacing);
  if (options.lineClass) {
    request.lineClass = chosen("line_class", LINE_CLASSES, options.lineClass);
  }
  if (options.startByMs !== undefined) request.startByMs = options.startByMs;
  if (options.sessionId !== undefined) request.sessionId = options.sessionId;
  if (options.cache) request.cachePolicy = chosen("cache_policy", CACHE_POLICIES, options.cache);
  if (faults.length > 0) {
    const told = faults.map((fault) => `${fault.field} ${fault.description}`).join("; ");
    throw new InvalidRequestError(`the request cannot be sent: ${told}`, { violations: faults });
  }
  return fitting(SynthesizeRequestSchema, { ...request, audio, controls, emotion });
}

/**
 * A message that can be written.
 *
 * @throws InvalidRequestError for a value that does not fit its field
 */
export function fitting<D extends DescMessage>(
  schema: D,
  fields: MessageInitShape<D>,
): MessageShape<D> {
  const message = create(schema, fields);
  try {
    toBinary(schema, message);
  } catch (error) {
    const told = `the request cannot be sent: ${(error as Error).message}`;
    throw new InvalidRequestError(told, { cause: error });
  }
  return message;
}

/** One message of a stream; `undefined` for a part of a kind that this client does not know. */
export function part(message: SynthesizeResponse | ConverseResponse): values.Part | undefined {
  const { part: said } = message;
  switch (said.case) {
    case "header":
      return header(said.value);
    case "chunk":
      return chunk(said.value);
    case "trailer":
      return trailer(said.value);
    case "interrupted":
      return receipt(said.value);
    case undefined:
      return undefined;
  }
}

function header(from: wire.Header): values.Header {
  return {
    type: "header",
    voice: from.voice,
    componentDigests: from.componentDigests,
    sampleRateHertz: from.sampleRateHertz,
    encoding: name("an encoding", ENCODINGS, from.encoding),
    estimatedSamples: Number(from.estimatedSamples),
    cold: from.cold,
    queueMs: from.queueMs,
    swapMs: from.swapMs,
    cached: from.cached,
    codecDelaySamples: from.codecDelaySamples,
    streamId: from.streamId,
    ...expression(from.expression),
    emotions: from.emotions.map(({ emotion, weight }) => ({ emotion, weight })),
  };
}

function chunk(from: wire.AudioChunk): values.Chunk {
  return {
    type: "chunk",
    audio: from.audio,
    startSample: Number(from.startSample),
    sampleCount: Number(from.sampleCount),
    marks: from.marks.map((mark) => ({
      kind: name("a mark", MARKS, mark.kind),
      text: mark.text,
      startSample: Number(mark.startSample),
      durationSamples: Number(mark.durationSamples),
      textStart: mark.textStart,
      textEnd: mark.textEnd,
    })),
    packetSizes: from.packetSizes,
  };
}

function trailer(from: wire.Trailer): values.Trailer {
  return {
    type: "trailer",
    totalSamples: Number(from.totalSamples),
    seed: from.seed,
    computeMs: from.computeMs,
    firstChunkMs: from.firstChunkMs,
    unknownSymbols: from.unknownSymbols.map(({ symbol, count }) => ({ symbol, count })),
    underruns: from.underruns,
  };
}

/** What had been sent. */
export function receipt(from: wire.InterruptReceipt): values.InterruptReceipt {
  return {
    type: "interrupted",
    endSample: Number(from.endSample),
    lastWord: from.lastWord,
    textEnd: from.textEnd,
  };
}

/** One version of a voice. */
export function voice(from: voices.Voice): values.Voice {
  return {
    id: from.id,
    version: from.version,
    displayName: from.displayName,
    language: from.language,
    languages: from.languages,
    engine: from.engine,
    sampleRateHertz: from.sampleRateHertz,
    speakers: [...from.speakers].sort((a, b) => a.index - b.index).map((each) => each.name),
    licence: from.licence,
    controls: from.controls,
    emotions: from.emotions,
    ...expression(from.expression),
    stylePrompts: from.stylePrompts,
    readsStyle: from.readsStyle,
    tags: from.tags,
    gender: from.gender,
    labels: from.labels,
    traffic: from.traffic.map(({ version, weight }) => ({ version, weight })),
    problem: from.problem,
  };
}

function expression(from: Expression): { expression?: values.Expression } {
  if (from === Expression.UNSPECIFIED) return {};
  return { expression: name("a kind of expression", EXPRESSIONS, from) };
}

/** What becomes of a scene. */
export function outlook(from: PrepareResponse): values.SceneOutlook {
  return {
    fits: from.fits,
    estimatedMs: from.estimatedMs,
    wouldEvict: from.wouldEvict,
    cast: from.cast.map(({ voice, estimatedMs, inTime, fits }) => ({
      voice,
      estimatedMs,
      inTime,
      fits,
    })),
  };
}

function name<K extends string>(
  what: string,
  table: Readonly<Record<K, number>>,
  value: number,
): K {
  for (const key in table) if (table[key] === value) return key;
  throw new VoxswapError(
    `the server answered with ${what} of the number ${value}, which this client does not know; ` +
      "install the client of the server's version",
  );
}
