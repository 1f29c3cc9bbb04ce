/** gRPC calls as the sources of lines and conversations. */

import { type MessageInitShape, create } from "@bufbuild/protobuf";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import {
  type ConverseRequest,
  ConverseRequestSchema,
  type ConverseResponse,
  FlushSchema,
  InterruptSchema,
  type SynthesizeRequest,
  type SynthesizeResponse,
} from "../gen/voxswap/v1/speech_pb.js";
import type { Exchange, Said } from "../shared/conversation.js";
import type { VoxswapError } from "../shared/errors.js";
import type { Source } from "../shared/stream.js";
import type { InterruptReceipt, Part } from "../shared/values.js";
import { part } from "./convert.js";
import { Answers } from "./rpc.js";

type Interrupt = (streamId: string) => Promise<InterruptReceipt>;

/** A call of Synthesize, or the answers of one of Converse. */
export class CallSource implements Source {
  constructor(
    protected readonly answers: Answers<SynthesizeResponse> | Answers<ConverseResponse>,
    readonly interrupt: Interrupt,
  ) {}

  async receive(): Promise<Part | undefined> {
    for (;;) {
      const message = await this.answers.next();
      if (message === undefined) return undefined;
      const known = part(message);
      if (known) return known;
    }
  }

  cancel(): void {
    this.answers.cancel();
  }
}

/** A call of Converse. */
export class TwoWayCall extends CallSource implements Exchange {
  readonly #call: ClientDuplexStream<ConverseRequest, ConverseResponse>;

  constructor(
    call: ClientDuplexStream<ConverseRequest, ConverseResponse>,
    start: SynthesizeRequest,
    interrupt: Interrupt,
  ) {
    super(new Answers(call as ClientDuplexStream<never, ConverseResponse>), interrupt);
    this.#call = call;
    call.write(create(ConverseRequestSchema, { part: { case: "start", value: start } }));
  }

  get isOver(): boolean {
    return this.answers.isOver;
  }

  get failure(): VoxswapError | undefined {
    return this.answers.failure;
  }

  send(said: Said): void {
    this.#call.write(create(ConverseRequestSchema, { part: wire(said) }));
  }

  end(): void {
    this.#call.end();
  }
}

function wire(said: Said): NonNullable<MessageInitShape<typeof ConverseRequestSchema>["part"]> {
  switch (said.type) {
    case "text":
      return { case: "text", value: said.text };
    case "flush":
      return { case: "flush", value: create(FlushSchema) };
    case "interrupt":
      return { case: "interrupt", value: create(InterruptSchema) };
  }
}
