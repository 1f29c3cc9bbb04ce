// voxswap over HTTP: questions, answers, and errors that name their fields.

/** @typedef {import("./types.js").Voice} Voice */

/** What a server answered instead; `violations` name the fields at fault. */
export class ApiError extends Error {
  /**
   * @param {{reason?: string, message?: string, retry_after_ms?: number,
   *          violations?: import("./types.js").Violation[]}} told
   */
  constructor(told) {
    super(told.message || "the server did not say what went wrong");
    this.reason = told.reason || "ERROR";
    this.violations = told.violations ?? [];
    this.retryAfterMs = told.retry_after_ms;
  }
}

/** The error of a server that is not there. */
export function unreachable() {
  return new ApiError({
    reason: "UNREACHABLE",
    message: "The server cannot be reached. Is it still running? Then try again.",
  });
}

/**
 * Ask, and take the answer as it is. Raises `ApiError`.
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function ask(path, init) {
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (response.ok) return response;
  let told = {};
  try {
    told = (await response.json()).error;
  } catch {
    told = { message: `the server answered ${response.status}, and not in JSON` };
  }
  throw new ApiError(told);
}

/**
 * Post JSON; the answer as it is. Raises `ApiError`.
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} [signal]
 */
export function post(path, body, signal) {
  return ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

/**
 * Post JSON, get JSON. Raises `ApiError`.
 * @param {string} path
 * @param {object} body
 */
export async function tell(path, body) {
  return (await post(path, body)).json();
}

/**
 * Get JSON; empty parameters are left out. Raises `ApiError`.
 * @param {string} path
 * @param {Record<string, string | number>} [query]
 * @param {AbortSignal} [signal]
 */
export async function get(path, query = {}, signal) {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  const asked = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return (await ask(given.length ? `${path}?${asked}` : path, { signal })).json();
}

/**
 * A page of voices. Raises `ApiError`.
 * @param {string} search
 * @param {string} pageToken of the page before, or empty
 * @param {AbortSignal} [signal]
 * @returns {Promise<{voices: Voice[], next_page_token: string}>}
 */
export function voices(search, pageToken = "", signal) {
  const query = { search: search.trim(), page_size: 50, page_token: pageToken };
  return get("/v1/voices", query, signal);
}
