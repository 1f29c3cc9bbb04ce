/**
 * The one error tree of the clients.
 *
 * ```text
 * VoxswapError                     code                  what it says
 * ├── InvalidRequestError          INVALID_ARGUMENT      `violations` names each field at fault
 * ├── VoiceNotFoundError           NOT_FOUND             no such voice, or no such version of it
 * ├── NotImplementedByServerError  UNIMPLEMENTED         this server does not carry that out yet
 * ├── ResourceExhaustedError       RESOURCE_EXHAUSTED    no memory for the voice, or server full
 * │   └── OverloadedError          (OVERLOADED)          more to compute than can be in time
 * ├── FailedPreconditionError      FAILED_PRECONDITION   something must be there or done first
 * ├── DataLossError                DATA_LOSS             a voice's component is missing or damaged
 * ├── StreamNotFoundError          (STREAM_NOT_FOUND)    nothing to interrupt, or no longer
 * ├── DeadlineExceededError        DEADLINE_EXCEEDED     the deadline passed first
 * │   ├── TooLateError             (TOO_LATE)            the line cannot start by its time
 * │   └── ConversationIdleError    (CONVERSATION_IDLE)   nothing was said for too long
 * ├── UnavailableError             UNAVAILABLE           no server, or the connection broke
 * ├── CallCancelledError           CANCELLED             somebody cancelled the call
 * ├── InternalServerError          INTERNAL, UNKNOWN     the server failed; its log knows more
 * └── IncompleteStreamError        (none)                audio is missing from the stream
 * ```
 *
 * The server's reason, in brackets, goes before the code.
 */

/** One fault of a request: the field's path, and what is wrong with it. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** What an error says beside its message. */
export interface ErrorFacts {
  readonly code?: string | undefined;
  readonly reason?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly violations?: readonly Violation[] | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** Base of every error that the clients throw on purpose. */
export class VoxswapError extends Error {
  /** The name of the gRPC status code; empty where the client itself found the fault. */
  readonly code: string;
  /** The server's reason: stable, made for programs to match on. May be empty. */
  readonly reason: string;
  /** What the server says beside it, such as `estimated_start_ms` of TOO_LATE. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Every field at fault; empty unless the request is. */
  readonly violations: readonly Violation[];
  /** How long the server asks to wait before the next try, in milliseconds, if it said so. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.code = facts.code ?? "";
    this.reason = facts.reason ?? "";
    this.metadata = facts.metadata ?? {};
    this.violations = facts.violations ?? [];
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/** A field of the request is at fault; `violations` names every one of them at once. */
export class InvalidRequestError extends VoxswapError {}

/** No such voice or version. Another one is never taken in its place. */
export class VoiceNotFoundError extends VoxswapError {}

/** A method or field that this server does not carry out yet. */
export class NotImplementedByServerError extends VoxswapError {}

/** The voice does not fit the memory budget, or the server is full; see `retryAfterMs`. */
export class ResourceExhaustedError extends VoxswapError {}

/**
 * The server has as much to compute as it can in time; `retryAfterMs` says when it may not.
 * A line that nobody listens to (`pacing: "none"`) is tried again by the client itself.
 */
export class OverloadedError extends ResourceExhaustedError {}

/** Something must be installed or done first; the message says what. */
export class FailedPreconditionError extends VoxswapError {}

/** A component of the voice is missing on the server, or differs from its digest. */
export class DataLossError extends VoxswapError {}

/** No stream has this id, or no longer: what was to be interrupted has ended. */
export class StreamNotFoundError extends VoxswapError {}

/** The deadline passed; the server has stopped computing. */
export class DeadlineExceededError extends VoxswapError {}

/** The line cannot start, or did not start, within its `startByMs`. Never tried again. */
export class TooLateError extends DeadlineExceededError {}

/** A conversation was silent for longer than the server waits; `end` it when all is said. */
export class ConversationIdleError extends DeadlineExceededError {}

/** The server cannot be reached, is shutting down, or the connection broke. */
export class UnavailableError extends VoxswapError {}

/** The call was cancelled: `cause` is the reason of the AbortSignal, if that did it. */
export class CallCancelledError extends VoxswapError {}

/** The server failed; the message has a reference for its log. */
export class InternalServerError extends VoxswapError {}

/**
 * The stream ended well for the transport, and yet audio is missing from it: there was no header
 * first, a gap between two chunks, or no trailer that agrees with them.
 */
export class IncompleteStreamError extends VoxswapError {}

type ErrorClass = new (message: string, facts?: ErrorFacts) => VoxswapError;

const BY_CODE: Readonly<Record<string, ErrorClass>> = {
  INVALID_ARGUMENT: InvalidRequestError,
  NOT_FOUND: VoiceNotFoundError,
  UNIMPLEMENTED: NotImplementedByServerError,
  RESOURCE_EXHAUSTED: ResourceExhaustedError,
  FAILED_PRECONDITION: FailedPreconditionError,
  DATA_LOSS: DataLossError,
  DEADLINE_EXCEEDED: DeadlineExceededError,
  UNAVAILABLE: UnavailableError,
  CANCELLED: CallCancelledError,
  INTERNAL: InternalServerError,
  UNKNOWN: InternalServerError,
};

const BY_REASON: Readonly<Record<string, ErrorClass>> = {
  OVERLOADED: OverloadedError,
  TOO_LATE: TooLateError,
  CONVERSATION_IDLE: ConversationIdleError,
  STREAM_NOT_FOUND: StreamNotFoundError,
};

/** The typed error for what a server said. Its reason goes before its code. */
export function serverError(message: string, facts: ErrorFacts): VoxswapError {
  const code = facts.code ?? "";
  const kind = BY_REASON[facts.reason ?? ""] ?? BY_CODE[code] ?? VoxswapError;
  return new kind(message || `the call ended with ${code || "an error"}`, facts);
}

/** The error for a call that was cancelled on this side. */
export function cancelled(cause?: unknown): CallCancelledError {
  return new CallCancelledError("the call was cancelled", { code: "CANCELLED", cause });
}

/** The error for a call whose time is over. */
export function deadlinePassed(): DeadlineExceededError {
  return new DeadlineExceededError("the deadline passed before the answer was complete", {
    code: "DEADLINE_EXCEEDED",
  });
}

/** The error for one field that cannot be sent. */
export function invalid(field: string, description: string): InvalidRequestError {
  return new InvalidRequestError(`the request cannot be sent: ${field} ${description}`, {
    violations: [{ field, description }],
  });
}
