/** The boundary to gRPC: what its calls give and throw becomes messages and `VoxswapError`s. */

import {
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageShape,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  type CallOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ServiceError,
  Metadata,
  status,
} from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
  StatusSchema,
} from "../gen/google/rpc/status_pb.js";
import { type ErrorFacts, type VoxswapError, serverError } from "../shared/errors.js";

/** One call's answer. `start` is told how to cancel it. */
export function unary<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  remainingMs: number,
  started: (cancel: () => void) => void,
): Promise<MessageShape<O>> {
  return new Promise((resolve, reject) => {
    const [path, write, read] = wire<I, O>(method);
    const options = { ...within(remainingMs) };
    const call = client.makeUnaryRequest(
      path,
      write,
      read,
      request,
      new Metadata(),
      options,
      (error, answer) => (error ? reject(fromServiceError(error)) : resolve(answer!)),
    );
    started(() => call.cancel());
  });
}

/** The answers of a call, pulled one by one. */
export class Answers<M> {
  readonly #messages: AsyncIterator<M>;
  #error: ServiceError | undefined;
  #isOver = false;

  constructor(private readonly call: ClientReadableStream<M> | ClientDuplexStream<never, M>) {
    // A call may fail before anybody reads, and an iterator that begins later does not see that.
    call.on("error", (error) => (this.#error = error as ServiceError));
    call.on("status", () => (this.#isOver = true));
    this.#messages = call[Symbol.asyncIterator]();
  }

  get isOver(): boolean {
    return this.#isOver || this.#error !== undefined;
  }

  get failure(): VoxswapError | undefined {
    return this.#error && fromServiceError(this.#error);
  }

  /** The next one; `undefined` after the last. */
  async next(): Promise<M | undefined> {
    try {
      const { done, value } = await this.#messages.next();
      if (!done) return value;
    } catch (error) {
      this.#error ??= error as ServiceError;
    }
    if (this.failure) throw this.failure;
    return undefined;
  }

  cancel(): void {
    this.call.cancel();
  }
}

/** Begins a call with one message and many answers. */
export function serverStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodServerStreaming<I, O>,
  request: MessageShape<I>,
  remainingMs: number,
): Answers<MessageShape<O>> {
  const [path, write, read] = wire<I, O>(method);
  const options = within(remainingMs);
  return new Answers(
    client.makeServerStreamRequest(path, write, read, request, new Metadata(), options),
  );
}

/** Begins a call with messages both ways. */
export function bidiStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodBiDiStreaming<I, O>,
  remainingMs: number,
): ClientDuplexStream<MessageShape<I>, MessageShape<O>> {
  const [path, write, read] = wire<I, O>(method);
  return client.makeBidiStreamRequest(path, write, read, new Metadata(), within(remainingMs));
}

/** A method's path, and how its messages are written and read. */
function wire<I extends DescMessage, O extends DescMessage>(method: DescMethod) {
  return [
    `/${method.parent.typeName}/${method.name}`,
    (message: MessageShape<I>) => Buffer.from(toBinary(method.input as I, message)),
    (bytes: Buffer) => fromBinary(method.output as O, bytes),
  ] as const;
}

function within(remainingMs: number): CallOptions {
  return Number.isFinite(remainingMs) ? { deadline: Date.now() + remainingMs } : {};
}

// What grpc itself ends calls with, often before a server was reached. Its messages are terse.
const OWN_WORDS: Readonly<Record<string, string>> = {
  DEADLINE_EXCEEDED: "the deadline passed before the answer was complete",
  UNAVAILABLE: "the server cannot be reached, or broke the connection",
  CANCELLED: "the call was cancelled",
};

/** The typed error for what a grpc call gave. Details that cannot be read are passed over. */
export function fromServiceError(error: ServiceError): VoxswapError {
  const code = status[error.code] ?? "UNKNOWN";
  const details = detailsOf(error);
  const own = details.reason ? undefined : OWN_WORDS[code];
  const told = error.details || error.message;
  return serverError(own ? `${own} (${told})` : told, { ...details, code });
}

function detailsOf(error: ServiceError): ErrorFacts {
  const found: { -readonly [K in keyof ErrorFacts]: ErrorFacts[K] } = {};
  try {
    const packed = error.metadata?.get("grpc-status-details-bin")[0];
    if (!(packed instanceof Uint8Array)) return found;
    for (const detail of fromBinary(StatusSchema, packed).details) {
      const info = anyUnpack(detail, ErrorInfoSchema);
      if (info) Object.assign(found, { reason: info.reason, metadata: info.metadata });
      found.violations ??= anyUnpack(detail, BadRequestSchema)?.fieldViolations.map((fault) => ({
        field: fault.field,
        description: fault.description,
      }));
      const delay = anyUnpack(detail, RetryInfoSchema)?.retryDelay;
      if (delay) found.retryAfterMs = Math.max(0, Number(delay.seconds) * 1e3 + delay.nanos / 1e6);
    }
  } catch {
    // The code and the message say enough.
  }
  return found;
}
