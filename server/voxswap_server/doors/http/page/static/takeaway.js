// To take along: a line as a file of any format, and the call that makes it.

import { post } from "./api.js";
import { element } from "./dom.js";
import { SNIPPETS } from "./snippets.js";

/** Formats that are files; raw Opus packets are none, since nothing tells where one ends. */
const FORMATS = {
  wav: "wav",
  mp3: "mp3",
  ogg_opus: "ogg",
  flac: "flac",
  pcm_s16le: "pcm",
  pcm_f32le: "f32",
  mulaw: "ulaw",
  alaw: "alaw",
};

/** @typedef {import("./types.js").Asked} Asked */

/**
 * @param {{format: HTMLSelectElement, download: HTMLButtonElement, languages: HTMLElement,
 *          code: HTMLElement, copy: HTMLButtonElement, status: HTMLElement}} parts
 * @param {() => Asked} asked the line as it stands, with the seed that was heard
 * @param {import("./trouble.js").Trouble} trouble
 * @returns {{refresh: () => void}} `refresh` writes the call anew
 */
export function takeaway(parts, asked, trouble) {
  const { format, download, languages, code, copy, status } = parts;
  for (const name of Object.keys(FORMATS)) format.append(element("option", { text: name }));

  download.addEventListener("click", async () => {
    download.disabled = true;
    status.textContent = "Making the file …";
    const done = await trouble.watch(() => save(asked(), format.value));
    status.textContent = done ? `Saved as ${done}.` : "";
    download.disabled = false;
  });

  let language = "curl";
  const buttons = Object.keys(SNIPPETS).map((name) =>
    element("button", {
      ...{ type: "button", class: "choice", text: name },
      onclick: () => {
        language = name;
        refresh();
      },
    }),
  );
  languages.replaceChildren(...buttons);
  copy.addEventListener("click", async () => {
    const isCopied = await copied(code);
    status.textContent = isCopied ? `Copied the ${language} call.` : "Selected; copy it.";
  });

  function refresh() {
    code.textContent = SNIPPETS[language](asked(), location.origin);
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.textContent === language));
    }
  }
  return { refresh };
}

/**
 * Make the line as a file, at once; its name. Raises `ApiError`.
 * @param {Asked} asked
 * @param {string} format
 */
async function save(asked, format) {
  const response = await post("/v1/speech", { ...asked, format, pacing: "none" });
  const url = URL.createObjectURL(await response.blob());
  const ending = FORMATS[/** @type {keyof typeof FORMATS} */ (format)];
  const name = `${asked.voice.replaceAll(/[^\w.-]+/g, "-")}.${ending}`;
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return name;
}

/**
 * Copy its text, or select it where pages may not copy. @param {HTMLElement} code
 */
async function copied(code) {
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    return true;
  } catch {
    getSelection()?.selectAllChildren(code);
    return false;
  }
}
