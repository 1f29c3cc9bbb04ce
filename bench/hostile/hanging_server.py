"""``python -m bench.hostile.hanging_server HANG FLAGS…``: a server in which one thing hangs.

The fault is put into the server's libraries from outside: nothing of this is in the product.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

_FOR_EVER_S = 3_600
_serves = threading.Event()


class Hang(enum.StrEnum):
    """What hangs, from when the server serves."""

    NOTHING = "nothing"
    STEP = "step"  # of compute: Python waits
    NATIVE = "native"  # a step in a library, which lets the interpreter go on
    INTERPRETER = "interpreter"  # a step in a library, which does not
    STORE = "store"  # reading blobs
    WATCH = "watch"  # looking for news in the store
    LOAD = "load"  # a loading thread
    FREE = "free"  # giving memory back
    SAVE = "save"  # remembering residents, on a disk that hangs
    LOOP = "loop"  # the event loop, once the server is told to stop
    CLOSE = "close"  # the catalog's end, with the interpreter


def wait() -> None:
    """For ever."""
    threading.Event().wait(_FOR_EVER_S)


def sleep_in_a_library(*, lets_others: bool) -> None:
    """For ever, in C, with the interpreter's lock or without it."""
    libc = ctypes.CDLL(None) if lets_others else ctypes.PyDLL(None)
    while libc.sleep(_FOR_EVER_S):  # a signal ends a sleep
        pass


def before(owner: Any, name: str, hang: Callable[[], None]) -> None:
    """Let ``owner.name`` hang when it is called."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        if _serves.is_set():
            hang()
        return original(*arguments, **options)

    setattr(owner, name, call)


def inject(hang: Hang) -> None:
    """Put the fault in."""
    from voxswap_families.vits.native_voice import NativeVitsUtterance
    from voxswap_families.vits.voice import VitsUtterance
    from voxswap_families.work import Work
    from voxswap_registry.catalog.catalog import Catalog
    from voxswap_registry.catalog.watcher import CatalogWatcher
    from voxswap_registry.components import Components
    from voxswap_server.app import command, way_down
    from voxswap_server.residency import popularity
    from voxswap_server.residency.device import HostDevice
    from voxswap_server.residency.loader import VoiceLoader

    greeting = command._greeting

    def greet(*arguments: Any) -> str:
        said = greeting(*arguments)
        _serves.set()
        return said

    command._greeting = greet  # type: ignore[assignment]

    def decode_with(step: Callable[[], None]) -> None:
        def hanging(original: Callable[..., Work[Any]]) -> Callable[..., Work[Any]]:
            def decode(utterance: object, first_frame: int, last_frame: int) -> Work[Any]:
                hangs = _serves.is_set()
                return Work.of(step) if hangs else original(utterance, first_frame, last_frame)

            return decode

        for kind in (VitsUtterance, NativeVitsUtterance):
            kind.decode = hanging(kind.decode)  # type: ignore[method-assign]

    match hang:
        case Hang.NOTHING:
            pass
        case Hang.STEP:
            decode_with(wait)
        case Hang.NATIVE:
            decode_with(lambda: sleep_in_a_library(lets_others=True))
        case Hang.INTERPRETER:
            decode_with(lambda: sleep_in_a_library(lets_others=False))
        case Hang.STORE:
            before(Components, "check_present", wait)
            before(Components, "hold", wait)
        case Hang.WATCH:
            before(CatalogWatcher, "_refresh", wait)
        case Hang.LOAD:
            before(VoiceLoader, "load", wait)
        case Hang.FREE:
            before(HostDevice, "give_back", wait)
        case Hang.SAVE:
            before(popularity, "save", wait)
        case Hang.LOOP:
            before(way_down.WayDown, "begin", wait)
        case Hang.CLOSE:
            before(Catalog, "close", lambda: sleep_in_a_library(lets_others=False))


if __name__ == "__main__":
    inject(Hang(sys.argv[1]))
    from voxswap_server.app.command import main

    sys.exit(main(sys.argv[2:]))
