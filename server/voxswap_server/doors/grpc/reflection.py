"""Reflection under both of its names: v1, which tools ask for first today, and v1alpha."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

V1ALPHA = reflection.SERVICE_NAME
V1 = V1ALPHA.replace("v1alpha", "v1")


def add_reflection(
    server: grpc.aio.Server,
    services: Sequence[str],
    *,
    renamed: Iterable[tuple[FileDescriptor, str, str]] = (),
) -> None:
    """Let ``server`` tell of ``services`` and of reflection itself.

    ``renamed`` are files whose package goes over the wire under another name: which, and what it
    is here and there.

    grpcio-reflection has v1alpha alone. v1 is that very protocol, field by field, under the name
    that it got when it was settled; so v1alpha's code serves both.
    """
    ours = (reflection_pb2.DESCRIPTOR, "grpc.reflection.v1alpha", "grpc.reflection.v1")
    pool: Any = _Known([ours, *renamed])
    servicer = aio.ReflectionServicer((*services, V1, V1ALPHA), pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (V1, V1ALPHA):
        server.add_registered_method_handlers(name, {"ServerReflectionInfo": handler})


class _Known:
    """What this process knows of messages, and files that have other names on the wire.

    Those have a pool of their own: others of this process may bring the very names.
    """

    def __init__(self, renamed: Iterable[tuple[FileDescriptor, str, str]]) -> None:
        self._process = descriptor_pool.Default()
        self._renamed = descriptor_pool.DescriptorPool()
        for file, here, there in renamed:
            proto = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(proto)
            proto.ClearField("options")  # of code that would be generated
            text = text_format.MessageToString(proto)
            for found, put in ((here, there), (here.replace(".", "/"), there.replace(".", "/"))):
                text = text.replace(found, put)
            self._renamed.Add(text_format.Parse(text, descriptor_pb2.FileDescriptorProto()))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)

    def FindFileByName(self, name: str) -> FileDescriptor:  # noqa: N802 - as pools have it
        """A file. Raises KeyError."""
        try:
            return self._renamed.FindFileByName(name)
        except KeyError:
            return self._process.FindFileByName(name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802
        """The file that defines ``symbol``. Raises KeyError."""
        try:
            return self._renamed.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._process.FindFileContainingSymbol(symbol)
