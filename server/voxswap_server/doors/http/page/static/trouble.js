// What went wrong, in the server's words, with the field that it names marked where it is.

import { ApiError } from "./api.js";
import { element } from "./dom.js";

/** Where errors of one form are told. Fields are elements with `data-field`. */
export class Trouble {
  /**
   * @param {HTMLElement} root of role alert
   * @param {HTMLElement} form whose fields are marked
   */
  constructor(root, form) {
    this.root = root;
    this.form = form;
  }

  /** Nothing is wrong any more. */
  clear() {
    this.root.replaceChildren();
    for (const field of this.form.querySelectorAll("[aria-invalid]")) {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
    }
  }

  /** @param {unknown} error */
  show(error) {
    this.clear();
    if (!(error instanceof ApiError)) {
      this.root.append(element("p", { text: String(error) }));
      throw error;
    }
    const lines = error.violations.map(({ field, description }, place) => {
      const id = `${this.root.id}-${place}`;
      this.#mark(field, id);
      const name = element("code", { text: field });
      return element("li", { id }, name, ` ${description}`);
    });
    this.root.append(
      element("span", { class: "badge bad", text: error.reason }),
      lines.length ? element("ul", {}, ...lines) : element("p", { text: error.message }),
    );
  }

  /**
   * Do it, and show what goes wrong.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T | undefined>}
   */
  async watch(work) {
    try {
      const done = await work();
      this.clear();
      return done;
    } catch (error) {
      this.show(error);
      return undefined;
    }
  }

  /**
   * @param {string} field
   * @param {string} id of what is said about it
   */
  #mark(field, id) {
    const found = this.form.querySelector(`[data-field="${CSS.escape(field)}"]`);
    found?.setAttribute("aria-invalid", "true");
    found?.setAttribute("aria-describedby", id);
  }
}
