// A text field that suggests ids of voices as one types.

import { voices } from "./api.js";
import { element, settled } from "./dom.js";

/**
 * @param {HTMLInputElement} input
 * @param {HTMLDataListElement} list of which other fields may make use too
 */
export function suggestVoices(input, list) {
  const ask = async () => {
    try {
      const { voices: found } = await voices(input.value.split("@")[0]);
      list.replaceChildren(...found.map(({ id }) => element("option", { value: id })));
    } catch {
      list.replaceChildren(); // what is typed is judged when it is sent
    }
  };
  input.setAttribute("list", list.id);
  input.addEventListener("focus", ask);
  input.addEventListener("input", settled(ask, 150));
}
