"""Loads of parts: on threads, some at a time, each with a limit and a second try."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from voxswap_registry.errors import VoxswapError
from voxswap_server.engines.errors import DeviceMemoryError
from voxswap_server.residency.errors import (
    ClosedError,
    DeviceRefusedError,
    FootprintError,
    LoadFailedError,
    LoadStuckError,
)
from voxswap_server.residency.loader import Loader
from voxswap_server.residency.plans import PartPlan, VoicePlan
from voxswap_server.residency.records import LoadedPart, Part, State
from voxswap_server.residency.units import human_bytes

_LOGGER = logging.getLogger(__name__)


class LoadOwner(Protocol):
    """Who has parts loaded, and hears what becomes of them. All on the event loop."""

    def load_stuck(self, part: Part, error: LoadStuckError) -> None:
        """It takes longer than a load may; whether it ever ends is not known."""
        ...

    def load_ended(self, part: Part, outcome: LoadedPart | VoxswapError) -> None:
        """No thread works on it any more. Called once for each load that began."""
        ...

    async def make_room(self, part: Part) -> None:
        """Free as much of the device as ``part`` takes, whatever the ledger says."""
        ...

    def figures(self) -> str:
        """How ledger and device stand."""
        ...


class Loads:
    """Runs loads for one owner. Confined to one event loop; never blocks.

    At most ``slots`` run at a time, first come first served. One that takes longer than
    ``timeout_s`` gives its slot up and keeps its thread, so ``executor`` should have some to spare.
    """

    def __init__(
        self,
        loader: Loader,
        executor: Executor,
        owner: LoadOwner,
        *,
        slots: int,
        timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._loader = loader
        self._executor = executor
        self._owner = owner
        self._slots = slots
        self._timeout_s = timeout_s
        self._clock = clock
        self._waiting: deque[Part] = deque()
        self._slots_taken = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, part: Part) -> None:
        """Load ``part`` when a slot is free, and `start` was called."""
        self._waiting.append(part)

    def take_back(self, part: Part) -> bool:
        """Whether its load had not begun; then it never does."""
        if part not in self._waiting:
            return False
        self._waiting.remove(part)
        return True

    def start(self) -> None:
        """Begin as many loads as there are slots."""
        while self._waiting and self._slots_taken < self._slots:
            part = self._waiting.popleft()
            part.has_slot = True
            part.started_s = self._clock()
            self._slots_taken += 1
            task = asyncio.get_running_loop().create_task(
                self._load(part), name=f"load {part.plan.key}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stuck_error(self, part: Part) -> LoadStuckError:
        """What those learn who want a part whose load hangs."""
        return LoadStuckError(
            f"the {part.plan.role} of {part.voice.manifest.ref} was not loaded within "
            f"{self._timeout_s:g} s, the most that load_timeout_s allows, and its load has not "
            "ended yet; look at the disk or the store"
        )

    async def _load(self, part: Part) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._timeout_s, self.declare_stuck, part)
        outcome: LoadedPart | VoxswapError
        try:
            outcome = await self._loaded(part)
        except asyncio.CancelledError:
            outcome = ClosedError("the server is shutting down; ask another one")
        except Exception as caught:  # noqa: BLE001 - told to every claim
            # Not the error itself: its frames hold what was loaded so far.
            outcome = _told(part, caught)
        finally:
            timer.cancel()
            self._free_slot(part)
        self._owner.load_ended(part, outcome)

    async def _loaded(self, part: Part) -> LoadedPart:
        """The loaded part. If the device refuses, something makes room, and it is tried again."""
        try:
            loaded = await self._on_thread(part)
        except DeviceMemoryError as error:
            message = error.message  # not the error: whoever keeps log records keeps its frames
            _LOGGER.warning("%s: %s; evicting and trying again", part.plan.key, message)
            await self._owner.make_room(part)
            try:
                loaded = await self._on_thread(part)
            except DeviceMemoryError as again:
                raise DeviceRefusedError(
                    f"the {part.plan.role} of {part.voice.manifest.ref} needs "
                    f"{human_bytes(part.plan.footprint_bytes)}: {again.message}. "
                    f"{self._owner.figures()}; "
                    "lower memory_budget, or end what else is there"
                ) from again
        if loaded.resident_bytes > part.plan.footprint_bytes:
            raise FootprintError(
                f"the {part.plan.role} of {part.voice.manifest.ref} measures "
                f"{loaded.resident_bytes} bytes, and its engine announced "
                f"{part.plan.footprint_bytes}; it was dropped again: report this engine"
            )
        return loaded

    async def _on_thread(self, part: Part) -> LoadedPart:
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, _guarded, self._loader, part.voice, part.plan, part.cancelled.is_set
        )

    def declare_stuck(self, part: Part) -> None:
        """Its time is up: its slot is free again, and nobody waits for its thread."""
        part.is_stuck = True
        self._free_slot(part)
        self._owner.load_stuck(part, self.stuck_error(part))

    def _free_slot(self, part: Part) -> None:
        if part.has_slot:
            part.has_slot = False
            self._slots_taken -= 1
            self.start()


def _told(part: Part, error: Exception) -> VoxswapError:
    """What whoever waits is told."""
    if isinstance(error, VoxswapError):
        return error.copy()
    if part.state is State.LOADING:
        _LOGGER.error("%s: unforeseen", part.plan.key, exc_info=error)
    return LoadFailedError(
        f"the {part.plan.role} of {part.voice.manifest.ref} could not be loaded, for a reason "
        f"that nobody foresaw ({type(error).__name__}); the server's log has it"
    )


def _guarded(
    loader: Loader, voice: VoicePlan, part: PartPlan, cancelled: Callable[[], bool]
) -> LoadedPart:
    """Load. On the loading thread; blocks.

    What is no `Exception` (a panic inside a library) or cannot pass through a future becomes one.
    """
    try:
        return loader.load(voice, part, cancelled)
    except BaseException as error:
        # Frames that are through hold what was read so far; a library's error may hold them.
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
