"""The work that `Memory` orders, on threads; and what came of it, by number."""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from voxswap_families.contract import DevicePart
from voxswap_families.errors import DeviceMemoryError
from voxswap_registry.errors import ClosedError
from voxswap_server.memory.actions import (
    Cancelled,
    DeviceRefused,
    Failed,
    Loaded,
    NotLocal,
    Outcome,
    Stage,
)
from voxswap_server.residency.device import Device
from voxswap_server.residency.errors import (
    DeviceRefusedError,
    FootprintError,
    NotLocalError,
)
from voxswap_server.residency.loader import Loader
from voxswap_server.residency.plans import Source
from voxswap_server.residency.refusing import CLOSED, as_told
from voxswap_server.residency.units import human_bytes

_LOGGER = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(eq=False, slots=True)
class _Work:
    """One load or fetch that a thread is at, or is about to be."""

    source: Source
    stop: threading.Event = field(default_factory=threading.Event)
    was_stopped: bool = False  # at any time: then its end tells nothing


class Loads:
    """Carries out `Load`, `Cancel`, `Resume` and `Free`. Confined to one event loop; never blocks.

    How many loads run at a time is decided elsewhere. ``freeing`` is for giving memory back, so
    that no load that hangs holds that up.
    """

    def __init__(
        self,
        loader: Loader,
        executor: Executor,
        freeing: Executor,
        device: Device,
        *,
        on_ended: Callable[[int, Outcome], None],
        on_freed: Callable[[int], None],
        on_measured: Callable[[int], None],
    ) -> None:
        """``on_ended`` is called once for each `begin`, ``on_freed`` for each `free`, and
        ``on_measured`` for each `measure`, with the bytes.
        """
        self._loader = loader
        self._executor = executor
        self._freeing = freeing
        self._device = device
        self._on_ended = on_ended
        self._on_freed = on_freed
        self._on_measured = on_measured
        self._work: dict[int, _Work] = {}
        # What was loaded, and is not being freed. Whoever keeps it keeps its bytes.
        self.loaded: dict[int, DevicePart] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, number: int, stage: Stage, source: Source) -> None:
        """Have a thread load or fetch it."""
        work = self._work[number] = _Work(source)
        self._spawn(self._run(number, stage, work), f"{stage.value} {source.part.key}")

    def cancel(self, number: int) -> None:
        """Have it stop as soon as its thread looks up."""
        work = self._work[number]
        work.was_stopped = True
        work.stop.set()

    def resume(self, number: int) -> None:
        """Have it go on, if its thread has not looked up yet."""
        self._work[number].stop.clear()

    def free(self, number: int) -> None:
        """Drop it, on a thread: unmapping a voice takes milliseconds."""
        self._spawn(self._free(number, [self.loaded.pop(number)]), f"free {number}")

    def measure(self) -> None:
        """See what the device keeps when nothing is there."""
        self._spawn(self._measure(), "measure what is kept")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, number: int, stage: Stage, work: _Work) -> None:
        try:
            outcome = await self._outcome(number, stage, work)
        finally:
            del self._work[number]
        self._on_ended(number, outcome)

    async def _outcome(self, number: int, stage: Stage, work: _Work) -> Outcome:
        loop, source = asyncio.get_running_loop(), work.source
        try:
            if stage is Stage.FETCH:
                fetch = partial(self._loader.fetch, source.voice, source.part, work.stop.is_set)
                await loop.run_in_executor(self._executor, _guarded, fetch)
                return Loaded()
            self.loaded[number] = await loop.run_in_executor(
                self._executor, _load, self._loader, source, work.stop
            )
            return Loaded(self.loaded[number].resident_bytes)
        except asyncio.CancelledError:
            if work.was_stopped:
                return Cancelled()
            return Failed(ClosedError(CLOSED))
        except DeviceMemoryError as error:
            _LOGGER.warning("%s: %s", source.part.key, error.message)
            return DeviceRefused(
                DeviceRefusedError(
                    f"{source.name} needs {human_bytes(source.part.footprint_bytes)}: "
                    f"{error.message}"
                )
            )
        except NotLocalError:
            return NotLocal()
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            # Not the error itself: its frames hold what was loaded so far.
            return (
                Cancelled() if work.was_stopped else Failed(as_told(source.name, "loaded", error))
            )

    async def _free(self, number: int, holder: list[DevicePart]) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._freeing, _drop, holder, self._device)
        finally:
            self._on_freed(number)

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        kept_bytes = await loop.run_in_executor(self._freeing, self._device.kept_bytes)
        self._on_measured(kept_bytes)


def _load(loader: Loader, source: Source, stop: threading.Event) -> DevicePart:
    """On the loading thread; blocks."""
    part = _guarded(lambda: loader.load(source.voice, source.part, stop.is_set))
    if part.resident_bytes > source.part.footprint_bytes:
        raise FootprintError(
            f"{source.name} measures {part.resident_bytes} bytes, and its engine announced "
            f"{source.part.footprint_bytes}; it was dropped again: report this engine"
        )
    return part


def _guarded(work: Callable[[], _T]) -> _T:
    """What is no `Exception` (a panic inside a library) or cannot pass a future becomes one."""
    try:
        return work()
    except BaseException as error:
        # Frames that are through hold what was read so far; a library's error may hold them.
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _drop(holder: list[DevicePart], device: Device) -> None:
    """Drop the last reference, here. Blocks."""
    allocated = holder[0].allocated_bytes
    holder.clear()
    device.give_back(allocated)
