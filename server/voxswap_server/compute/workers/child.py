"""The inside of a worker process: it starts, shuts itself in, and answers request after request.

Run by `worker` in an interpreter without site-packages, so everything that is imported here costs
the start: the standard library alone. The program is a module with

    prepare(arguments: str, only_read: Callable[[str], None]) -> tuple[bytes, Handler]

which gets ready and gives its greeting and what answers a request. It calls ``only_read`` with the
one folder that it still needs, once its shared libraries are open and before any thread is begun.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final

from voxswap_server.compute.workers.confinement import drop_system_calls, limit_resources, only_read

Handler = Callable[[bytes], bytes]

OUT_OF_MEMORY: Final = 12  # exit codes
FAILED: Final = 70

HEADER: Final = struct.Struct("!?I")  # whether all is well, and the bytes that follow
# Ends a worker that computes without end when nobody is left to end it.
_ALARM_S: Final = 10


def main() -> None:
    """Serve the socket whose descriptor is the first argument, until its other end closes."""
    descriptor, parent, program, arguments, memory_bytes = sys.argv[1:]
    # Ctrl-C and a service manager's SIGTERM go to every process of a group, and streams that are
    # still to end need us. We end with our socket.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    with socket.socket(fileno=int(descriptor)) as channel:
        limit_resources(int(memory_bytes), parent=int(parent))
        try:
            greeting, handle = importlib.import_module(program).prepare(arguments, only_read)
            drop_system_calls()
        except Exception as error:  # noqa: BLE001 - told to the parent, whose log has it
            channel.sendall(framed(str(error).encode("utf-8", "replace"), well=False))
            return
        channel.sendall(framed(greeting))
        while (request := _received(channel)) is not None:
            signal.alarm(_ALARM_S)
            channel.sendall(framed(_answered(handle, request)))
            signal.alarm(0)


def _answered(handle: Handler, request: bytes) -> bytes:
    try:
        return handle(request)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception:  # noqa: BLE001 - what is in memory now is nobody's guess
        os._exit(FAILED)


def framed(data: bytes, *, well: bool = True) -> bytes:
    """``data`` as it goes over the socket."""
    return HEADER.pack(well, len(data)) + data


def _received(channel: socket.socket) -> bytes | None:
    """The next request; None if the server is gone."""
    header = _exactly(channel, HEADER.size)
    if header is None:
        return None
    _, size = HEADER.unpack(header)
    return _exactly(channel, size)


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        block = channel.recv(size - len(data))
        if not block:
            return None
        data += block
    return bytes(data)
