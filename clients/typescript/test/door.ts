/** A server of the WebSocket door that does what a test says, frame by frame; and its HTTP. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

export type Frame = Record<string, unknown>;

/** One connection: frames that came, in order, and frames to send. */
export class Visitor {
  readonly frames = new Waiting<Frame>();

  constructor(private readonly socket: WebSocket) {
    socket.on("message", (data, isBinary) => {
      if (isBinary) throw new Error("a client sends text frames only");
      this.frames.put(JSON.parse(String(data)) as Frame);
    });
  }

  next(): Promise<Frame> {
    return this.frames.next();
  }

  send(frame: Frame | string): void {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  header(conversation: unknown, more: Frame = {}): void {
    this.send({
      type: "header",
      conversation,
      voice: "joe@1",
      component_digests: ["sha256:00"],
      sample_rate_hertz: 1000,
      encoding: "pcm_s16le",
      estimated_samples: 4,
      cold: false,
      queue_ms: 0.5,
      swap_ms: 0,
      cached: false,
      codec_delay_samples: 0,
      stream_id: `stream of ${String(conversation)}`,
      ...more,
    });
  }

  /** Samples as pcm_s16le. */
  chunk(conversation: unknown, start: number, samples: readonly number[], more: Frame = {}): void {
    const audio = Buffer.from(Int16Array.from(samples).buffer);
    const counts = { start_sample: start, sample_count: samples.length, marks: [] };
    const frame = { type: "chunk", conversation, ...counts, size_bytes: audio.length, ...more };
    this.send(frame);
    this.socket.send(audio);
  }

  trailer(conversation: unknown, samples: number): void {
    this.send({
      type: "trailer",
      conversation,
      total_samples: samples,
      seed: "18446744073709551615",
      compute_ms: 2,
      first_chunk_ms: 1,
      unknown_symbols: [],
      underruns: 0,
    });
  }

  resumed(conversation: unknown, framesTaken: number): void {
    this.send({ type: "resumed", conversation, frames_taken: framesTaken });
  }

  receipt(conversation: unknown, end: number): void {
    const told = { end_sample: end, last_word: "who", text_end: 9 };
    this.send({ type: "interrupted", conversation, ...told });
  }

  error(conversation: unknown, error: Frame): void {
    this.send({ type: "error", conversation, error });
  }

  /** Breaks the connection as a network does: without a word. */
  drop(): void {
    this.socket.terminate();
  }
}

/** Listens on a port of its own. */
export class Door {
  readonly visitors = new Waiting<Visitor>();
  readonly asked: { method: string; url: string; body: unknown }[] = [];
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => {
    response.writeHead(500).end();
  };

  private constructor(
    private readonly http: Server,
    private readonly sockets: WebSocketServer,
  ) {}

  static async open(): Promise<Door> {
    const http = createServer();
    const door = new Door(http, new WebSocketServer({ server: http, path: "/v1/converse" }));
    door.sockets.on("connection", (socket) => door.visitors.put(new Visitor(socket)));
    http.on("request", (request: IncomingMessage, response) => {
      const pieces: Buffer[] = [];
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", () => {
        const text = Buffer.concat(pieces).toString();
        const body: unknown = text ? JSON.parse(text) : undefined;
        door.asked.push({ method: request.method ?? "", url: request.url ?? "", body });
        door.answer(request, response);
      });
    });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    return door;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  visitor(): Promise<Visitor> {
    return this.visitors.next();
  }

  async close(): Promise<void> {
    for (const socket of this.sockets.clients) socket.terminate();
    this.http.closeAllConnections();
    this.http.close();
    await once(this.http, "close");
  }
}

/** Items for who asks for them, whoever comes first. */
export class Waiting<T> {
  readonly #items: T[] = [];
  readonly #asking: ((item: T) => void)[] = [];

  put(item: T): void {
    const take = this.#asking.shift();
    if (take) take(item);
    else this.#items.push(item);
  }

  next(): Promise<T> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#asking.push(resolve));
  }
}
