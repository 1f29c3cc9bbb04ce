/** What both entries export. */

export { decodePcm, packetsOf } from "./audio.js";
export { Conversation, type Fragments } from "./conversation.js";
export * from "./errors.js";
export { SpeechResult } from "./result.js";
export type { RetryPolicy } from "./retry.js";
export { SpeechStream } from "./stream.js";
export { inSeconds, markAt, type TimedMark } from "./timing.js";
export * from "./values.js";
