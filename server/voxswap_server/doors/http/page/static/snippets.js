// The same call in other languages; what was typed is quoted as each of them quotes.

/** @typedef {import("./types.js").Asked} Asked */

/** @type {Record<string, (asked: Asked, origin: string) => string>} */
export const SNIPPETS = { curl, Python: python, TypeScript: typescript };

/**
 * @param {Asked} asked
 * @param {string} origin
 */
export function curl(asked, origin) {
  const body = JSON.stringify({ ...asked, format: "wav" }).replaceAll("'", "'\\''");
  return `curl --fail-with-body '${origin}/v1/speech' \\
  -H 'Content-Type: application/json' \\
  -d '${body}' \\
  -o line.wav
`;
}

/**
 * @param {Asked} asked
 * @param {string} origin
 */
export function python(asked, origin) {
  return `import json
import shutil
import urllib.request

line = ${literal({ ...asked, format: "wav" })}
request = urllib.request.Request(
    "${origin}/v1/speech",
    json.dumps(line).encode(),
    {"Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as audio, open("line.wav", "wb") as file:
    shutil.copyfileobj(audio, file)  # as it is made
`;
}

/**
 * @param {Asked} asked
 * @param {string} origin
 */
export function typescript(asked, origin) {
  return `import { writeFile } from "node:fs/promises";

const line = ${literal({ ...asked, format: "wav" })};
const response: Response = await fetch("${origin}/v1/speech", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(line),
});
if (!response.ok) throw new Error(await response.text());
await writeFile("line.wav", new Uint8Array(await response.arrayBuffer()));
`;
}

/**
 * An object as both Python and TypeScript write it: there is nothing in it but texts, numbers,
 * lists and objects.
 * @param {object} value
 */
function literal(value) {
  return JSON.stringify(value, null, 4);
}
