"""Uploads that end in every way but one: without their client's word that they are whole.

The same seed gives the same ends. Nothing here knows the server; whoever calls looks at what was
published and what was left.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import grpc

from voxswap.v1 import voices_pb2, voices_pb2_grpc

Request = voices_pb2.RegisterVoiceRequest

# Half a close is the only one that a server could take for the end of a whole upload. The others
# are cancelled by a frame, by the connection's end, by its reset, and by the clock.
ENDS = ("half-close", "cancel", "close", "reset", "deadline")
_PAUSES_S = (0.0, 0.0, 0.003, 0.02)
_DEADLINES_S = (0.005, 0.05, 0.2)
_PIECE_BYTES = 64 << 10
_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Way:
    """How one upload ends: so many of its messages are sent, then a pause, then ``end``."""

    end: str
    messages: int
    pause_s: float
    deadline_s: float


def upload_of(
    manifest_json: bytes, voice_id: str, role: str, data: bytes, *, label: str = ""
) -> list[Request]:
    """A whole upload of ``manifest_json`` under another id, its ``role`` with other bytes."""
    import hashlib

    raw = json.loads(manifest_json)
    raw.pop("version", None)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    for component in raw["components"]:
        if component["role"] == role:
            component |= {"digest": digest, "size_bytes": len(data)}
            component.pop("blake3", None)
    pieces = (
        voices_pb2.ComponentBytes(digest=digest, offset_bytes=n, data=data[n : n + _PIECE_BYTES])
        for n in range(0, len(data), _PIECE_BYTES)
    )
    return [
        Request(manifest_json=json.dumps(raw | {"voice_id": voice_id}).encode(), label=label),
        *(Request(component=piece) for piece in pieces),
        Request(commit=voices_pb2.UploadCommit()),
    ]


def ways(seed: int, n_messages: int) -> Iterator[Way]:
    """Ends without end, at each boundary of an upload of so many messages, its commit the last.

    Who closes half never sends the commit; the others may, and go before they close their side.
    """
    rng = random.Random(seed)
    for end, boundary in itertools.cycle(itertools.product(ENDS, range(n_messages + 1))):
        if end == "half-close" and boundary == n_messages:
            continue
        yield Way(end, boundary, rng.choice(_PAUSES_S), rng.choice(_DEADLINES_S))


async def end(
    address: str, uploads: Sequence[Sequence[Request]], seed: int, *, at_once: int = 8
) -> Counter[tuple[str, str]]:
    """End each of ``uploads`` in a way of its own; how often each way had which status code."""
    ended: Counter[tuple[str, str]] = Counter()
    attacks = iter(zip(uploads, ways(seed, len(uploads[0])), strict=False))

    async def work() -> None:
        for upload, way in attacks:
            ended[way.end, await _end(address, upload[: way.messages], way)] += 1

    await asyncio.gather(*(work() for _ in range(at_once)))
    return ended


async def _end(address: str, sent: Sequence[Request], way: Way) -> str:
    async with contextlib.AsyncExitStack() as stack:
        wire = await stack.enter_async_context(_relayed(address))
        # A channel of its own: other uploads' connections are not this one's to end.
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.insecure_channel(wire.address, options)
        await stack.enter_async_context(channel)
        timeout_s = way.deadline_s if way.end == "deadline" else _WAIT_S
        call = voices_pb2_grpc.VoiceServiceStub(channel).RegisterVoice(timeout=timeout_s)
        # The server may be the first to end it.
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            await call.wait_for_connection()
            for message in sent:
                await call.write(message)
            await asyncio.sleep(way.pause_s)
            match way.end:
                case "half-close":
                    await call.done_writing()
                case "cancel":
                    call.cancel()
                case "close":
                    await channel.close()
                case "reset":
                    wire.reset()
        return (await call.code()).name


class _Wire:
    """A connection to the server that can be cut as by a network."""

    def __init__(self) -> None:
        self.address = ""
        self.ends: list[asyncio.StreamWriter] = []

    def reset(self) -> None:
        """TCP's own reset, to both sides, in place of any farewell."""
        for writer in self.ends:
            connection = writer.get_extra_info("socket")
            if connection is not None and not writer.is_closing():
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()


@contextlib.asynccontextmanager
async def _relayed(address: str) -> AsyncIterator[_Wire]:
    wire, host, port = _Wire(), *address.rsplit(":", 1)
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        wire.ends += (writer, back)
        pumps.update(asyncio.create_task(pump(*ends)) for ends in ((reader, back), (there, writer)))

    relay = await asyncio.start_server(accept, "127.0.0.1", 0)
    wire.address = "{}:{}".format(*relay.sockets[0].getsockname()[:2])
    try:
        yield wire
    finally:
        relay.close()
        for writer in wire.ends:
            writer.close()
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
