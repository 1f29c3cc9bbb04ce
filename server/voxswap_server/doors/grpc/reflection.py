"""Reflection under both of its names: v1, which tools ask for first today, and v1alpha."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

V1ALPHA = reflection.SERVICE_NAME
V1 = V1ALPHA.replace("v1alpha", "v1")


def add_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Let ``server`` tell of ``services`` and of reflection itself.

    grpcio-reflection has v1alpha alone. v1 is that very protocol, field by field, under the name
    that it got when it was settled; so v1alpha's code serves both.
    """
    servicer = aio.ReflectionServicer((*services, V1, V1ALPHA), _pool())
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (V1, V1ALPHA):
        server.add_registered_method_handlers(name, {"ServerReflectionInfo": handler})


def _pool() -> descriptor_pool.DescriptorPool:
    """What this process knows of messages, and v1 of reflection, so that it can tell of itself."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileContainingSymbol(V1)
    except KeyError:
        text = text_format.MessageToString(_file_of(reflection_pb2.DESCRIPTOR))
        renamed = text.replace("v1alpha", "v1")
        pool.Add(text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto()))
    return pool


def _file_of(descriptor: FileDescriptor) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto()
    descriptor.CopyToProto(file)
    return file
