"""Messages that no client of ours would send, for every method, and a driver that counts answers.

The same seed gives the same calls. Nothing here knows the server: methods and messages are taken
from the descriptors, so a new method or field is attacked from its first day on.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from voxswap.riva.v1 import riva_tts_pb2
from voxswap.v1 import recordings_pb2, residency_pb2, speech_pb2, voices_pb2

_FILES = (
    *(speech_pb2, voices_pb2, residency_pb2, recordings_pb2),
    *(riva_tts_pb2, health_pb2, reflection_pb2),
)
_TEXTS = (
    *(
        "joe",
        "joe",
        "joe",
        "Hi.",
        "Hi.",
        "",
        "joe@1",
        "joe@stable",
        "joe@0",
        "nobody",
        "a" * 129,
        "../joe",
        "voices/joe",
    ),
    *("Hi.", "\x00", "\n\t", "\u202e\ufeff", "𝕵𝖔𝖊 👩‍👩‍👧 声", "9" * 400, "%s%n{}", "é" * 40_000),
    *("voxswap.v1.SpeechService", "voxswap/v1/speech.proto", "voices/" + "x" * 20_000),
)
_WHOLE = (0, 1, -1, 2, 7, 48_000, 1 << 20, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1, -(1 << 63))
_REAL = (0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1.8e308, 0.25, 4.0)
_TENANTS = ("", "studio", "x" * 65, "x" * 4000, "a, b", "~!")
_MOST_ANSWERS, _MOST_WAIT_S = 6, 3.0
_DEEP = 100
# What grpc's asyncio client says if the server's status comes while it still writes: then it does
# not know the status, and asks again.
_RACE, _CLIENTS_OWN, _TRIES = "Internal error from Core", "(the client's own)", 8

# A method that changes what others need; it is only sent what names something else.
_DESTRUCTIVE = ("DeleteVoice", "UpdateVoice", "RollBackLabel", "RegisterVoice", "Unload")
_LEAST_BUDGET_BYTES, _FAIR_BUDGET_BYTES = 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Call:
    """One call: where to, the bytes of its messages, and what goes with them."""

    path: bytes
    messages: tuple[bytes, ...]
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    timeout_s: float = 5.0
    closes: bool = True  # its side of the call, after the last message


@dataclass(slots=True)
class Tally:
    """How calls ended: by method and status code; and what was said with the worst of them."""

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[tuple[Call, str, str]] = field(default_factory=list)

    def of(self, *names: str) -> int:
        """How many ended with one of these codes."""
        return sum(n for (_, code), n in self.codes.items() if code in names)


def methods() -> list[tuple[str, MethodDescriptor]]:
    """Paths and descriptors of all methods; reflection is there under both of its names.

    Riva's package has another name on the wire than here.
    """
    found = []
    for file in _FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            name = service.full_name.replace("voxswap.riva.v1", "nvidia.riva.tts")
            names = {name, name.replace("reflection.v1alpha", "reflection.v1")}
            found += [(f"/{name}/{m.name}", m) for name in sorted(names) for m in service.methods]
    return found


def calls(seed: int, *, spare: frozenset[str] = frozenset({"joe"})) -> Iterator[Call]:
    """Calls without end, method after method. Voices in ``spare`` are not changed or deleted."""
    rng = random.Random(seed)
    for path, method in itertools.cycle(methods()):
        n = rng.choice((1, 1, 2, 3, 5)) if method.client_streaming else 1
        if rng.random() < 0.03:
            n = rng.choice((0, 2))
        made = (_message(rng, method.input_type) for _ in range(n))
        sent = tuple(m for m in made if _is_harmless(method, m, spare))
        yield Call(
            _strange_path(rng) if rng.random() < 0.01 else path.encode(),
            sent,
            (("voxswap-tenant", rng.choice(_TENANTS)),) if rng.random() < 0.1 else (),
            rng.choice((0.001, 0.02, 1e6, 1e9)) if rng.random() < 0.1 else 5.0,
            closes=rng.random() < 0.9,
        )


async def send(address: str, attacks: Iterable[Call], *, at_once: int = 16) -> Tally:
    """Send them all, ``at_once`` at a time, and count how they end."""
    tally, waiting = Tally(), iter(attacks)
    async with grpc.aio.insecure_channel(address) as channel:

        async def work() -> None:
            for call in waiting:
                for _ in range(_TRIES):
                    code, details = await _ended(channel, call)
                    if code != _CLIENTS_OWN:
                        break
                tally.codes[call.path.decode(errors="replace"), code] += 1
                if code in ("UNKNOWN", "INTERNAL"):
                    tally.faults.append((call, code, details))

        await asyncio.gather(*(work() for _ in range(at_once)))
    return tally


async def _ended(channel: grpc.aio.Channel, call: Call) -> tuple[str, str]:
    done = asyncio.Event()

    async def messages() -> AsyncIterator[bytes]:
        for message in call.messages:
            yield message
        if not call.closes:
            await done.wait()

    # Streams both ways: on the wire, one message is a stream of one.
    open_call: Any = channel.stream_stream
    running: Any = open_call(call.path)(messages(), timeout=call.timeout_s, metadata=call.metadata)
    try:
        async with asyncio.timeout(_MOST_WAIT_S):
            for _ in range(_MOST_ANSWERS):
                if await running.read() is grpc.aio.EOF:
                    break
    except (TimeoutError, grpc.aio.AioRpcError, asyncio.CancelledError):
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
    finally:
        done.set()
        running.cancel()
    details = await running.details() or ""
    return _CLIENTS_OWN if details == _RACE else (await running.code()).name, details


def _message(rng: random.Random, kind: Descriptor) -> bytes:
    sound = filled(rng, kind).SerializeToString()
    twist = rng.choice(_TWISTS)
    return twist(rng, sound)


def filled(rng: random.Random, kind: Descriptor, depth: int = 0) -> Message:
    """A message whose fields have values at or beyond the edge of what they may have."""
    message = message_factory.GetMessageClass(kind)()
    for spec in kind.fields:
        if rng.random() < 0.5 or depth > 4:
            continue
        if spec.is_repeated:
            _fill_repeated(rng, message, spec, depth)
        elif spec.message_type is not None:
            getattr(message, spec.name).CopyFrom(filled(rng, spec.message_type, depth + 1))
        else:
            setattr(message, spec.name, _value(rng, spec))
    return message


def _fill_repeated(rng: random.Random, message: Message, spec: FieldDescriptor, depth: int) -> None:
    n = rng.choice((1, 2, 33, 300))
    target = getattr(message, spec.name)
    if spec.message_type is None:
        target.extend([_value(rng, spec) for _ in range(n)])
    elif spec.message_type.GetOptions().map_entry:
        if spec.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
            target.update({rng.choice(_TEXTS): rng.choice(_TEXTS) for _ in range(n)})
    else:
        target.extend([filled(rng, spec.message_type, depth + 1) for _ in range(min(n, 33))])


def _value(rng: random.Random, spec: FieldDescriptor) -> Any:
    match spec.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if spec.type == FieldDescriptor.TYPE_BYTES:
            return rng.choice((b"", b"{}", b"\xff\xfe", b'{"voice_id": "joe"}', rng.randbytes(99)))
        case FieldDescriptor.CPPTYPE_STRING:
            return rng.choice(_TEXTS)
        case FieldDescriptor.CPPTYPE_BOOL:
            return rng.random() < 0.5
        case FieldDescriptor.CPPTYPE_FLOAT:
            return struct.unpack("<f", struct.pack("<f", rng.choice(_REAL[:-4])))[0]
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return rng.choice(_REAL)
        case FieldDescriptor.CPPTYPE_ENUM:
            return rng.choice((0, 1, 2, 3, 99, -1, (1 << 31) - 1))
    low, high = _RANGES[spec.cpp_type]
    return rng.choice([number for number in _WHOLE if low <= number <= high])


_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}


def _as_it_is(rng: random.Random, data: bytes) -> bytes:
    return data


def _flipped(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))] if data else b"\x0a"


def _noise(rng: random.Random, data: bytes) -> bytes:
    return rng.randbytes(rng.choice((1, 2, 6, 64)))


def _no_utf_8(rng: random.Random, data: bytes) -> bytes:
    return bytes([rng.choice((0x0A, 0x12, 0x1A, 0x22)), 3, 0xC3, 0x28, 0xFF])


def _deep(rng: random.Random, data: bytes) -> bytes:
    """One field in itself, again and again."""
    for _ in range(_DEEP * rng.choice((1, 2))):
        data = bytes([rng.choice((0x0A, 0x12)), len(data) % 128]) + data[-127:]
    return data


def _twice(rng: random.Random, data: bytes) -> bytes:
    return data + data[::-1] if rng.random() < 0.5 else data * 2


_TWISTS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_as_it_is, _as_it_is, _as_it_is, _flipped, _flipped, _cut, _noise, _no_utf_8, _deep, _twice),
)


def _strange_path(rng: random.Random) -> bytes:
    return rng.choice(
        (
            *(b"/", b"x", b"/voxswap.v1.SpeechService/", b"/voxswap.v1.SpeechService/Sing"),
            *(b"/\xff\xfe", b"/voxswap.v1.SpeechService/Synthesize\xc3", b"/" + b"a" * 4000),
        )
    )


def _is_harmless(method: MethodDescriptor, data: bytes, spare: frozenset[str]) -> bool:
    """Whether the server is of use to others afterwards."""
    try:
        message: Any = message_factory.GetMessageClass(method.input_type).FromString(data)
    except DecodeError:
        return True
    if method.name == "SetBudget":
        low, fair = _LEAST_BUDGET_BYTES, _FAIR_BUDGET_BYTES
        return not low <= message.budget_bytes < fair
    if method.name in _DESTRUCTIVE:
        return not any(name.encode() in data for name in spare)
    return True
