/**
 * The voxswap client for browsers, without dependencies.
 *
 * ```ts
 * import { Client, decodePcm } from "voxswap/browser";
 *
 * const client = new Client("http://127.0.0.1:8080");
 * for await (const chunk of client.synthesize("joe", "Halt!", { encoding: "pcm_f32le" })) {
 *   play(decodePcm(chunk.audio, "pcm_f32le"));
 * }
 * ```
 *
 * @packageDocumentation
 */

export { Client, type ClientOptions, type ConverseOptions } from "./client.js";
export { RESUME_WITHIN_MS, type WebSocketClass } from "./socket.js";
export * from "../shared/index.js";
