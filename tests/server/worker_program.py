"""A program for worker processes that does to itself whatever a test asks for."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path


def prepare(
    arguments: str, only_read: Callable[[str], None]
) -> tuple[bytes, Callable[[bytes], bytes]]:
    """``arguments`` is a folder to be shut into, or "fail: why"."""
    if arguments.startswith("fail:"):
        raise RuntimeError(arguments)
    only_read(arguments)
    return b"ready", _handle


def _handle(request: bytes) -> bytes:
    command, _, rest = request.partition(b" ")
    return _COMMANDS[command.decode()](rest.decode())


def _crash(_: str) -> bytes:
    ctypes.string_at(0)
    return b"not reached"


def _spin(_: str) -> bytes:
    while True:
        pass


def _sleep(seconds: str) -> bytes:
    time.sleep(float(seconds))
    return b"awake"


def _take(size: str) -> bytes:
    return b"%d" % len(bytearray(int(size)))


def _die_by(number: str) -> bytes:
    signal.raise_signal(int(number))
    return b"alive"


def _leave(code: str) -> bytes:
    os._exit(int(code))


def _tried(call: Callable[[], object]) -> bytes:
    try:
        call()
    except OSError as error:
        return b"refused: " + os.strerror(error.errno or 0).encode()
    return b"done"


def _look(_: str) -> bytes:
    return repr((sorted(os.environ), signal.getsignal(signal.SIGTERM))).encode()


_COMMANDS: dict[str, Callable[[str], bytes]] = {
    "echo": lambda text: text.encode(),
    "pid": lambda _: b"%d" % os.getpid(),
    "crash": _crash,
    "spin": _spin,
    "sleep": _sleep,
    "take": _take,
    "die": _die_by,
    "leave": _leave,
    "look": _look,
    "fault": lambda _: b"%d" % (1 // 0),
    "flood": lambda _: b"x" * (5 << 20),
    "socket": lambda _: _tried(socket.socket),
    "fork": lambda _: _tried(os.fork),
    "run": lambda path: _tried(lambda: os.execv(path, [path])),  # noqa: S606
    "read": lambda path: _tried(Path(path).read_bytes),
    "write": lambda path: _tried(lambda: Path(path).write_bytes(b"x")),
    "kill": lambda pid: _tried(lambda: os.kill(int(pid), signal.SIGKILL)),
}
