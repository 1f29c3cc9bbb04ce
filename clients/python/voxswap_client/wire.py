"""Message classes of foreign protocols, built at run time in a descriptor pool of their own.

The clients read google.rpc details and call the health service, but need neither
googleapis-common-protos nor grpcio-health-checking for it. Only field numbers and types are on the
wire, not names: so these messages live in a private pool, under a package name of ours, and cannot
clash with the real ones if somebody imports those too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
}


class Field(NamedTuple):
    """One field. ``kind`` is a scalar's name or a message of the same schema."""

    number: int
    kind: str
    repeated: bool = False


def message_classes(package: str, schema: Mapping[str, Mapping[str, Field]]) -> dict[str, Any]:
    """Classes for the messages of ``schema``, by name, in a new private pool."""
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message_name, fields in schema.items():
        message = file.message_type.add(name=message_name)
        for name, field in fields.items():
            entry = message.field.add(name=name, number=field.number)
            entry.label = (
                FieldDescriptorProto.LABEL_REPEATED
                if field.repeated
                else FieldDescriptorProto.LABEL_OPTIONAL
            )
            if field.kind in _SCALARS:
                entry.type = _SCALARS[field.kind]
            else:
                entry.type = FieldDescriptorProto.TYPE_MESSAGE
                entry.type_name = f".{package}.{field.kind}"
    pool = DescriptorPool()
    pool.Add(file)
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in schema
    }
