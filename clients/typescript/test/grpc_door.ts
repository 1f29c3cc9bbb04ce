/** A gRPC server that does what a test says. */

import { type DescMessage, create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { DescService, Message, MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
  StatusSchema,
} from "#gen/google/rpc/status_pb.js";
import { Health } from "#gen/grpc/health/v1/health_pb.js";
import {
  AudioEncoding,
  type ConverseRequest,
  type ConverseResponse,
  SpeechService,
  type SynthesizeRequest,
  SynthesizeResponseSchema,
  type SynthesizeResponse,
} from "#gen/voxswap/v1/speech_pb.js";
import { VoiceService } from "#gen/voxswap/v1/voices_pb.js";

export type Line = grpc.ServerWritableStream<SynthesizeRequest, SynthesizeResponse>;
export type Talk = grpc.ServerDuplexStream<ConverseRequest, ConverseResponse>;

/** Listens on a port of its own. Methods that a test does not give are UNIMPLEMENTED. */
export class GrpcDoor {
  readonly #server = new grpc.Server();
  address = "";

  static async open(handlers: grpc.UntypedServiceImplementation): Promise<GrpcDoor> {
    const door = new GrpcDoor();
    for (const service of [SpeechService, VoiceService, Health]) {
      door.#server.addService(definition(service), handlers);
    }
    const how = grpc.ServerCredentials.createInsecure();
    const port = await new Promise<number>((resolve, reject) => {
      door.#server.bindAsync("127.0.0.1:0", how, (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    door.address = `127.0.0.1:${port}`;
    return door;
  }

  close(): void {
    this.#server.forceShutdown();
  }
}

function definition(service: DescService): grpc.ServiceDefinition {
  const write =
    (schema: DescMessage) =>
    ({ $typeName: _, ...fields }: Partial<Message>) =>
      Buffer.from(toBinary(schema, create(schema, fields)));
  const methods = service.methods.map((method) => [
    method.localName,
    {
      path: `/${service.typeName}/${method.name}`,
      requestStream:
        method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
      responseStream:
        method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
      requestSerialize: write(method.input),
      requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
      responseSerialize: write(method.output),
      responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
    },
  ]);
  return Object.fromEntries(methods) as grpc.ServiceDefinition;
}

/** An error as the server's status table makes them. */
export function failure(
  code: grpc.status,
  message: string,
  details: { reason?: string; violations?: [string, string][]; retryMs?: number } = {},
): Partial<grpc.ServiceError> {
  const info = create(ErrorInfoSchema, {
    reason: details.reason ?? "",
    domain: "voxswap",
    metadata: { reference: "abcd" },
  });
  const packed = [anyPack(ErrorInfoSchema, info)];
  if (details.violations) {
    const fieldViolations = details.violations.map(([field, description]) => ({
      field,
      description,
    }));
    packed.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  if (details.retryMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(details.retryMs / 1000)),
      nanos: (details.retryMs % 1000) * 1e6,
    };
    packed.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  const status = create(StatusSchema, { code, message, details: packed });
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  return { code, details: message, metadata };
}

type Answer = SynthesizeResponse & ConverseResponse;

function answer(part: MessageInitShape<typeof SynthesizeResponseSchema>["part"]): Answer {
  // Both kinds of stream carry the same parts.
  return create(SynthesizeResponseSchema, { part: part! }) as unknown as Answer;
}

export const header = (encoding = AudioEncoding.PCM_S16LE): Answer =>
  answer({
    case: "header",
    value: {
      voice: "joe@1",
      sampleRateHertz: 1000,
      encoding,
      estimatedSamples: 4n,
      streamId: "the stream",
    },
  });

export const chunk = (start: number, samples: readonly number[]): Answer =>
  answer({
    case: "chunk",
    value: {
      audio: new Uint8Array(Int16Array.from(samples).buffer),
      startSample: BigInt(start),
      sampleCount: BigInt(samples.length),
    },
  });

export const trailer = (samples: number): Answer =>
  answer({ case: "trailer", value: { totalSamples: BigInt(samples), seed: 2n ** 64n - 1n } });

export const receipt = (end: number): Answer =>
  answer({ case: "interrupted", value: { endSample: BigInt(end), lastWord: "who", textEnd: 9 } });
