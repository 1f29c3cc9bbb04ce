/** The values that the clients take and give. Plain objects, frozen by their types. */

/** What audio bytes are. All are mono and little-endian. */
export type Encoding =
  | "pcm_s16le"
  | "pcm_f32le"
  | "wav"
  | "mulaw"
  | "alaw"
  | "flac"
  | "opus_packets"
  | "ogg_opus"
  | "mp3";

/** What a timing mark stands for. */
export type MarkKind = "word" | "phoneme" | "viseme";

/** Whether the audio is listened to while it is made, or is for a file. */
export type Pacing = "realtime" | "none";

/** A bark is short and useless when late, a dialogue starts soon, a cinematic line may wait. */
export type LineClass = "bark" | "dialogue" | "cinematic";

/** Whether the server may keep or reuse the audio. */
export type CachePolicy = "off" | "use";

/** What speaks an emotion that a voice does not list: nothing, or rate, pitch and volume. */
export type EmotionFallback = "none" | "prosody";

/** How an emotion is spoken: by the voice's own model, or by rate, pitch and volume alone. */
export type Expression = "none" | "native" | "prosody";

/** One share of a mixture of emotions. */
export interface EmotionWeight {
  readonly emotion: string;
  readonly weight: number;
}

/** The mouth shapes of viseme marks, in the order of OVR LipSync and OpenXR. */
export const VISEMES = [
  ...(["sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR"] as const),
  ...(["aa", "E", "ih", "oh", "ou"] as const),
] as const;

/**
 * A word, phoneme or viseme in time. Samples count from the beginning of the stream.
 * The last viseme is always "sil": the mouth is shut.
 */
export interface Mark {
  readonly kind: MarkKind;
  /** The word as written, the phoneme in IPA, or the viseme's name. */
  readonly text: string;
  readonly startSample: number;
  /** 0 only for a closing "sil" at the very end. */
  readonly durationSamples: number;
  /** Words alone: where the word stands in the text, in Unicode code points (not UTF-16 units). */
  readonly textStart: number;
  /** Words alone: where it ends, exclusive, in code points. */
  readonly textEnd: number;
}

/** What is known when the audio begins. */
export interface Header {
  readonly type: "header";
  /** The version that speaks, `id@version`. */
  readonly voice: string;
  readonly componentDigests: readonly string[];
  /** Samples a second of every count and offset of the stream. */
  readonly sampleRateHertz: number;
  readonly encoding: Encoding;
  /** Exact if the text is one sentence. */
  readonly estimatedSamples: number;
  /** Whether the voice had to be loaded first, which took `swapMs`. */
  readonly cold: boolean;
  readonly queueMs: number;
  readonly swapMs: number;
  readonly cached: boolean;
  /** Samples at the beginning of the decoded audio that are the codec's own: skip them. */
  readonly codecDelaySamples: number;
  /** Names the stream to `interrupt`. A secret: whoever knows it can stop the stream. */
  readonly streamId: string;
  /** How its emotion is spoken; left out by servers that do not tell. */
  readonly expression?: Expression;
  /** What is spoken: each emotion with its share times the intensity. */
  readonly emotions: readonly EmotionWeight[];
}

/** A piece of the audio, without a gap after the one before. */
export interface Chunk {
  readonly type: "chunk";
  /** Bytes in the header's encoding; never empty. */
  readonly audio: Uint8Array;
  readonly startSample: number;
  readonly sampleCount: number;
  /** The marks that begin in this chunk. */
  readonly marks: readonly Mark[];
  /** `opus_packets` only: how many bytes each packet has. See `packetsOf`. */
  readonly packetSizes: readonly number[];
}

/** A symbol that the voice cannot pronounce, and how often it was left out. */
export interface UnknownSymbol {
  readonly symbol: string;
  readonly count: number;
}

/** What is known when the audio is complete. */
export interface Trailer {
  readonly type: "trailer";
  readonly totalSamples: number;
  /** Makes the same line again. 64 bits. */
  readonly seed: bigint;
  readonly computeMs: number;
  /** From the request's arrival to the first chunk, at the server. */
  readonly firstChunkMs: number;
  readonly unknownSymbols: readonly UnknownSymbol[];
  /** How often a chunk was sent after what came before it must have been played. */
  readonly underruns: number;
}

/** What had been sent when a stream was interrupted, which may be ahead of what was heard. */
export interface InterruptReceipt {
  readonly type: "interrupted";
  /** One past the last sample that was sent. */
  readonly endSample: number;
  /** The last word that was sent whole; empty without any. */
  readonly lastWord: string;
  /** Where that word ends in the text, in Unicode code points. */
  readonly textEnd: number;
}

/** One message of a stream of speech. */
export type Part = Header | Chunk | Trailer | InterruptReceipt;

/** A version's share of a bare id's traffic, relative to the sum of all weights. */
export interface TrafficShare {
  readonly version: number;
  readonly weight: number;
}

/** One version of a voice. `problem` says why it cannot be used, and is empty if it can. */
export interface Voice {
  readonly id: string;
  readonly version: number;
  readonly displayName: string;
  /** BCP 47, such as "en-US". */
  readonly language: string;
  readonly languages: readonly string[];
  readonly engine: string;
  readonly sampleRateHertz: number;
  readonly speakers: readonly string[];
  readonly licence: string;
  /** The controls that it carries out, such as "rate". */
  readonly controls: readonly string[];
  readonly emotions: readonly string[];
  /** The best that it can do for an emotion; left out by servers that do not tell. */
  readonly expression?: Expression;
  /** Whether it takes a style in words. */
  readonly stylePrompts: boolean;
  /** Whether it takes a style that was read off a recording. */
  readonly readsStyle: boolean;
  readonly tags: readonly string[];
  readonly gender: string;
  /** Labels that name this version, such as "stable". */
  readonly labels: readonly string[];
  readonly traffic: readonly TrafficShare[];
  readonly problem: string;
}

/** Which voices to list. Whatever is left out takes all. */
export interface VoiceFilter {
  /** Ids that begin with this, such as "npc/village/". */
  readonly prefix?: string;
  /** "en" takes "en-US" too. */
  readonly language?: string;
  readonly engine?: string;
  /** A voice must have all of them. */
  readonly tags?: readonly string[];
  readonly gender?: string;
  /** Voices a page, 1 to 1000; the server's own is 100. */
  readonly pageSize?: number;
}

/** A voice of a scene; `firstLineMs` is when it speaks first, in milliseconds from now. */
export interface CastMember {
  readonly voice: string;
  readonly firstLineMs?: number;
}

/** When a scene begins, and whether to load anything. */
export interface SceneOptions {
  /** In milliseconds from now, 0 to 3600000; left out: as soon as can be. */
  readonly byMs?: number;
  /** Answer only; load nothing. */
  readonly dryRun?: boolean;
  /** That of the scene's lines: bare voices resolve as theirs will. */
  readonly sessionId?: string;
}

/** What becomes of one voice of a scene. */
export interface CastOutlook {
  readonly voice: string;
  readonly estimatedMs: number;
  readonly inTime: boolean;
  readonly fits: boolean;
}

/** What becomes of a scene. */
export interface SceneOutlook {
  readonly fits: boolean;
  readonly estimatedMs: number;
  readonly wouldEvict: readonly string[];
  readonly cast: readonly CastOutlook[];
}

/** What a line may ask for besides voice and text. Whatever is left out is the voice's default. */
export interface SpeechOptions {
  /** A name that the voice lists. */
  readonly speaker?: string;
  /** Speaking rate as a factor, 0.25 to 4: 2 is twice as fast. */
  readonly rate?: number;
  /** -12 to 12; 12 is an octave up. */
  readonly pitchSemitones?: number;
  /** How far the pitch moves, as a factor: 0 (monotonous) to 2. */
  readonly pitchRange?: number;
  /** -40 to 12 dB. */
  readonly volumeDb?: number;
  /** Length of pauses as a factor, 0 to 4. */
  readonly pauseScale?: number;
  /** A name, several with their shares, or "auto" for what each sentence says. */
  readonly emotion?: string | Readonly<Record<string, number>>;
  /** How strong the emotion is, 0 (neutral) to 2. */
  readonly intensity?: number;
  /** -1 to 1, with `arousal`, in place of `emotion`. */
  readonly valence?: number;
  readonly arousal?: number;
  readonly fallback?: EmotionFallback;
  /** A style in words, for voices that take one. */
  readonly stylePrompt?: string;
  /** Standard deviation of the prior's noise, 0 to 2 (VITS: noise_scale). */
  readonly noiseScale?: number;
  /** Standard deviation of the durations' noise, 0 to 2 (VITS: noise_w). */
  readonly durationNoiseScale?: number;
  /** Makes a line repeatable: a whole number below 2**64, as a bigint above 2**53. */
  readonly seed?: bigint | number;
  /** Resamples, 8000 to 48000. */
  readonly sampleRateHertz?: number;
  readonly encoding?: Encoding;
  readonly marks?: readonly MarkKind[];
  /** "none" is for a line that nobody hears while it is made: it waits if the server is full. */
  readonly pacing?: Pacing;
  readonly lineClass?: LineClass;
  /** The latest useful start, 1 to 600000 ms after arrival: `TooLateError` if it cannot be. */
  readonly startByMs?: number;
  /** A conversation: within it a bare voice keeps resolving to one version. */
  readonly sessionId?: string;
  readonly cache?: CachePolicy;
}

/** The shares of `SpeechOptions.emotion`; none for "auto". */
export function mixtureOf(emotion: SpeechOptions["emotion"]): EmotionWeight[] {
  if (emotion === undefined || emotion === "auto") return [];
  const shares = typeof emotion === "string" ? { [emotion]: 1 } : emotion;
  return Object.entries(shares).map(([name, weight]) => ({ emotion: name, weight }));
}

/** What every call may be given. */
export interface CallOptions {
  /** Aborting it cancels the call, and the server stops computing: `CallCancelledError`. */
  readonly signal?: AbortSignal;
  /** The deadline of the call with all of its tries; `Infinity` is none. */
  readonly timeoutMs?: number;
}
