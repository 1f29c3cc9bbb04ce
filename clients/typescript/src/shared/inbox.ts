/** What arrives by itself, kept until somebody asks for it. */

import type { VoxswapError } from "./errors.js";

/** Gives what was put, in order, then the end or the error. For one reader at a time. */
export class Inbox<T> {
  #items: T[] = [];
  #end: { readonly error: VoxswapError | undefined } | undefined;
  #wake: (() => void) | undefined;

  put(item: T): void {
    if (this.#end !== undefined) return;
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    this.#end ??= { error: undefined };
    this.#wake?.();
  }

  fail(error: VoxswapError): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** The next one; `undefined` after the last. */
  async next(): Promise<T | undefined> {
    while (this.#items.length === 0) {
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#items.shift();
  }
}
