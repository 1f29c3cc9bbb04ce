"""Calls that no gRPC library would make: raw HTTP/2, with headers and frames of any bytes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import Iterable, Iterator

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _WINDOW = 0, 1, 3, 4, 6, 8
_END_STREAM, _END_HEADERS = 1, 4
_SERVICES = ("voxswap.v1.SpeechService/Synthesize", "voxswap.v1.SpeechService/Converse",
             "voxswap.v1.VoiceService/RegisterVoice", "voxswap.v1.VoiceService/GetVoice",
             "voxswap.v1.ResidencyService/ListResidents", "grpc.health.v1.Health/Check",
             "grpc.reflection.v1.ServerReflection/ServerReflectionInfo")  # fmt: skip
_PATHS = (b"/\xff\xfe", b"", b"/", b"x", b"/grpc.health.v1.Health/Check\xc3", b"/" + b"a" * 3000)
_BYTES = (b"", b"\xff\xfe\x80", "声".encode(), b"a\x00b\r\n", b"\xed\xa0\x80", b"v" * 3000, b"-1")
_TIMEOUTS = (b"soon", b"-5S", b"99999999H", b"99999999999999S", b"0n", b"1n", b"")
_READ_S, _QUIET_S = 1.0, 0.1


def connections(seed: int) -> Iterator[bytes]:
    """What to write to a fresh connection, without end."""
    rng = random.Random(seed)
    while True:
        calls = (_call(rng, 1 + 2 * n) for n in range(rng.choice((1, 1, 3))))
        yield _PREFACE + _frame(_SETTINGS, 0, 0, b"") + b"".join(calls)


async def send(address: str, attacks: Iterable[bytes], *, at_once: int = 16) -> int:
    """Write each to a connection of its own; how many there were."""
    waiting, n = iter(attacks), 0
    host, _, port = address.rpartition(":")

    async def work() -> None:
        nonlocal n
        for data in waiting:
            n += 1
            reader, writer = await asyncio.open_connection(host, int(port))
            with contextlib.suppress(OSError, TimeoutError):
                writer.write(data)
                await writer.drain()
                async with asyncio.timeout(_READ_S):
                    while await asyncio.wait_for(reader.read(1 << 16), _QUIET_S):
                        pass
            writer.transport.abort()

    await asyncio.gather(*(work() for _ in range(at_once)))
    return n


def _call(rng: random.Random, stream: int) -> bytes:
    path = rng.choice(_PATHS) if rng.random() < 0.2 else f"/{rng.choice(_SERVICES)}".encode()
    headers = [
        (b":method", b"GET" if rng.random() < 0.03 else b"POST"),
        *((b":scheme", b"http"), (b":path", path), (b":authority", b"localhost")),
        (b"te", b"trailers"),
        (b"content-type", rng.choice((b"application/grpc",) * 9 + (b"text/html",))),
    ]
    if rng.random() < 0.5:
        keys = (b"voxswap-tenant", b"x-odd", b"x-odd-bin", b"user-agent", b"x-\xff")
        headers.append((rng.choice(keys), rng.choice(_BYTES)))
    if rng.random() < 0.2:
        headers.append((b"grpc-timeout", rng.choice(_TIMEOUTS)))
    if rng.random() < 0.2:
        headers.append((b"grpc-encoding", rng.choice((b"gzip", b"zip", b"identity"))))
    block = b"".join(map(_literal, *zip(*headers, strict=True)))
    body = _body(rng)
    ends = _END_STREAM if rng.random() < 0.8 else 0
    frames = [_frame(_HEADERS, _END_HEADERS, stream, block), _frame(_DATA, ends, stream, body)]
    if rng.random() < 0.1:
        kind = rng.choice((_RST_STREAM, _PING, _WINDOW, 99))
        frames.append(_frame(kind, 0, stream, rng.randbytes(rng.choice((4, 8)))))
    return b"".join(frames)


def _body(rng: random.Random) -> bytes:
    """One message, or what is none: too short, too long, compressed with nothing."""
    data = rng.choice((b"", b"\x0a\x03joe", rng.randbytes(20)))
    flag = rng.choice((0, 0, 0, 0, 1, 7))
    size = rng.choice((len(data),) * 6 + (len(data) + 7, 1 << 31))
    return struct.pack(">BI", flag, size) + data if rng.random() < 0.95 else b"\x00\x00"


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113, section 4.1."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header without indexing and without Huffman's code; RFC 7541, section 6.2.2."""
    return b"\x00" + _length(len(name)) + name + _length(len(value)) + value


def _length(n: int) -> bytes:
    """RFC 7541, section 5.1, with a prefix of seven bits."""
    if n < 127:
        return bytes([n])
    rest, n = [127], n - 127
    while n >= 128:
        rest.append(n % 128 + 128)
        n //= 128
    return bytes([*rest, n])
