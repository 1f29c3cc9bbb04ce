// Conversations over one WebSocket: text out, audio and marks in.

import { ApiError, unreachable } from "./api.js";

/**
 * What becomes of a conversation. Each may be left out.
 * @typedef {{
 *   header?: (header: import("./types.js").Header) => void,
 *   chunk?: (samples: Float32Array, chunk: import("./types.js").Chunk) => void,
 *   interrupted?: (receipt: import("./types.js").Receipt) => void,
 *   trailer?: (trailer: import("./types.js").Trailer) => void,
 *   error?: (error: ApiError) => void,
 * }} Ears
 */

/** The socket, opened when it is needed and again when it was closed. */
export class Conversations {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Promise<WebSocket> | null} */
  #opening = null;
  /** @type {Map<string, Ears>} */
  #ears = new Map();
  /** @type {{conversation: string} & import("./types.js").Chunk | null} */
  #announced = null;
  #count = 0;

  /** Open the socket, unless it is. Raises `ApiError`. */
  ready() {
    if (this.#socket?.readyState === WebSocket.OPEN) return Promise.resolve(this.#socket);
    this.#opening ??= this.#open().finally(() => (this.#opening = null));
    return this.#opening;
  }

  /**
   * Say all of a line at once; its name, for `interrupt`. Ears hear of everything that follows,
   * errors included.
   * @param {import("./types.js").Asked} asked
   * @param {Ears} ears
   */
  say(asked, ears) {
    const name = `line-${++this.#count}`;
    this.#ears.set(name, ears);
    const start = {
      ...asked,
      type: "start",
      conversation: name,
      audio: { encoding: "pcm_f32le" },
      marks: ["word", "viseme"],
    };
    const begin = (/** @type {WebSocket} */ socket) => {
      if (!this.#ears.has(name)) return;
      socket.send(JSON.stringify(start));
      socket.send(JSON.stringify({ type: "end", conversation: name }));
    };
    if (this.#socket?.readyState === WebSocket.OPEN) begin(this.#socket);
    else this.ready().then(begin, (error) => this.#end(name, "error", error));
    return name;
  }

  /** Whether anything is still to come of a conversation. @param {string} name */
  isOpen(name) {
    return this.#ears.has(name);
  }

  /** Stop it; the receipt comes to its ears. @param {string} name */
  interrupt(name) {
    this.#send({ type: "interrupt", conversation: name });
  }

  /** Let go of it; nothing more comes. @param {string} name */
  cancel(name) {
    if (this.#ears.delete(name)) this.#send({ type: "cancel", conversation: name });
  }

  /** @param {object} frame */
  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  /** @returns {Promise<WebSocket>} */
  #open() {
    const address = new URL("/v1/converse", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.#take(JSON.parse(data));
      else this.#takeAudio(data);
    };
    return new Promise((resolve, reject) => {
      socket.onopen = () => {
        this.#socket = socket;
        resolve(socket);
      };
      socket.onclose = () => {
        reject(unreachable());
        if (this.#socket !== socket) return;
        this.#socket = this.#announced = null;
        for (const name of [...this.#ears.keys()]) this.#end(name, "error", unreachable());
      };
    });
  }

  /** @param {any} frame */
  #take(frame) {
    if (frame.type === "chunk") {
      this.#announced = frame;
    } else if (frame.type === "error") {
      const name = frame.conversation ?? this.#ears.keys().next().value;
      this.#end(name, "error", new ApiError(frame.error));
    } else if (frame.type === "trailer") {
      this.#end(frame.conversation, "trailer", frame);
    } else if (frame.type === "header" || frame.type === "interrupted") {
      this.#hear(frame.conversation, frame.type, frame);
    }
  }

  /** @param {ArrayBuffer} data */
  #takeAudio(data) {
    const chunk = this.#announced;
    this.#announced = null;
    if (chunk) this.#ears.get(chunk.conversation)?.chunk?.(new Float32Array(data), chunk);
  }

  /**
   * @param {string} name
   * @param {keyof Ears} what
   * @param {any} told
   */
  #hear(name, what, told) {
    this.#ears.get(name)?.[what]?.(told, told);
  }

  /**
   * @param {string} name
   * @param {keyof Ears} what
   * @param {any} told
   */
  #end(name, what, told) {
    const ears = this.#ears.get(name);
    this.#ears.delete(name);
    ears?.[what]?.(told, told);
  }
}
