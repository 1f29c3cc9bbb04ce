// What the server's JSON looks like, for editors and type checkers; nothing runs here.

/**
 * @typedef {{field: string, description: string}} Violation
 * @typedef {{name: string, least: number, most: number, neutral: number | null}} Control
 * @typedef {{
 *   id: string, version: number, display_name?: string, language?: string, engine?: string,
 *   sample_rate_hertz?: number, speakers?: string[], controls?: Control[], emotions?: string[],
 *   expression?: "none" | "native" | "prosody", prosody?: string[], style_prompts?: boolean,
 *   tags?: string[], gender?: string, labels?: string[], versions: number[], problem: string,
 * }} Voice
 * @typedef {{
 *   voice: string, text: string, speaker?: string, seed?: string,
 *   controls?: Record<string, number>, emotion?: object, style_prompt?: string,
 *   line_class?: string,
 *   start_by_ms?: number, session_id?: string,
 * }} Asked  a line, as `POST /v1/speech` and `start` take it
 * @typedef {{
 *   kind: "word" | "viseme" | "phoneme", text: string, start_sample: number,
 *   duration_samples: number, text_start?: number, text_end?: number,
 * }} Mark
 * @typedef {{
 *   voice: string, sample_rate_hertz: number, estimated_samples: number, cold: boolean,
 *   queue_ms: number, swap_ms: number, cached: boolean, stream_id: string,
 *   expression?: string, emotions?: {emotion: string, weight: number}[],
 * }} Header
 * @typedef {{start_sample: number, sample_count: number, marks: Mark[]}} Chunk
 * @typedef {{
 *   total_samples: number, seed: string, compute_ms: number, first_chunk_ms: number,
 *   underruns: number,
 * }} Trailer
 * @typedef {{end_sample: number, last_word: string, text_end: number}} Receipt
 * @typedef {{
 *   voices: string[], state: string, size_bytes: number, shared_bytes: number, leases: number,
 *   waiting: number, uses: number, pinned: boolean, last_use_time: string | null,
 *   load_ms: number, error: string,
 * }} Resident
 * @typedef {{
 *   device: string, tier: string, budget_bytes: number, target_bytes: number, free_bytes: number,
 *   reserved_bytes: number, workspace_bytes: number, for_streams_bytes: number,
 *   resident_bytes: number, evicting_bytes: number,
 * }} Ledger
 * @typedef {{residents: Resident[], ledgers: Ledger[], last_sequence: number}} Overview
 * @typedef {{
 *   sequence: number, epoch: string, event_time: string, kind: string, voices: string[], reason: string,
 *   duration_ms: number, size_bytes: number, role: string,
 * }} ResidencyEvent
 */

export {};
