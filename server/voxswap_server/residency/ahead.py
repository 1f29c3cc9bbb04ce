"""Loading ahead of need: a list at the start, what was resident before, the cast of a scene.

Nobody listens yet: what is loaded here takes memory that is free or long idle, and steps back when
a player waits (`memory.plans.Rank`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from voxswap_registry.errors import ClosedError, VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_server.residency.errors import MemoryBusyError, ScenesBusyError
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.outlook import CastMember, Forecast, forecast

_LOGGER = logging.getLogger(__name__)

# In the order of need, so that what is due first is there first.
_SIDE_BY_SIDE = 2
_MOST_SCENES = 32
# A scene's voices are kept for so long after their first line is due, as far as that goes.
_KEPT_AFTER_DUE_S = 30.0
# Where nothing says when it is due.
_PATIENCE_S = 30.0

# Sums of times are rounded.
_CLOCK_S = 0.001

Resolve = Callable[[str], Manifest]


class Ahead:
    """Loads voices before they are asked for. Confined to the manager's event loop.

    What it loads it does not hold: an idle voice is an idle voice. Failures are logged; whoever
    asks for the voice later will be told.
    """

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager
        self._scenes: set[asyncio.Task[None]] = set()

    async def preload(self, refs: Iterable[str], resolve: Resolve) -> int:
        """Load ``refs`` in this order, as far as they fit; how many could be loaded."""
        return await self._load_list(refs, resolve, "preload")

    async def warm_start(self, refs: Iterable[str], resolve: Resolve) -> int:
        """Load ``refs`` as far as memory is free; how many were loaded. Evicts nothing."""
        return await self._load_list(refs, resolve, "warm start", only_free=True)

    async def _load_list(
        self, refs: Iterable[str], resolve: Resolve, what: str, *, only_free: bool = False
    ) -> int:
        loaded = 0
        for ref in refs:
            try:
                manifest = resolve(ref)
                if only_free and self._manager.find(manifest) is not None:
                    continue
                if only_free and not self._has_room_for(manifest):
                    break
                with await self._manager.acquire(manifest, timeout_s=_PATIENCE_S, ahead=True):
                    loaded += 1
            except ClosedError:
                break
            except VoxswapError as error:
                # Of the last time's, some were deleted since, or are not to be had now.
                _LOGGER.log(logging.INFO if only_free else logging.WARNING, "%s: %s", what, error)
            except Exception:
                _LOGGER.exception("%s: %s", what, ref)
        return loaded

    def _has_room_for(self, manifest: Manifest) -> bool:
        """Whether nothing would have to leave for it, and nobody waits for memory."""
        memory, plan = self._manager.memory, self._manager.loader.plan(manifest)
        prospect = memory.prospect(self._manager.needs(plan))
        return not memory.line and prospect.why is None and prospect.victims == ()

    async def prepare(self, cast: Sequence[CastMember], *, dry_run: bool = False) -> Forecast:
        """Begin to load ``cast`` in order of need, and say at once what that does.

        Voices beyond what fits are left out: they would push out those that are needed sooner.
        Raises `ScenesBusyError` if too many scenes are being prepared.
        """
        # A version that was named in two ways counts once, with its first line.
        firsts: dict[str, CastMember] = {}
        for member in sorted(cast, key=lambda member: member.due_s or 0.0):
            firsts.setdefault(member.manifest.ref, member)
        order = list(firsts.values())
        outlook = await forecast(self._manager, order)
        if not dry_run:
            if len(self._scenes) >= _MOST_SCENES:
                raise ScenesBusyError(
                    f"{len(self._scenes)} scenes are being prepared, the most at a time; try again"
                )
            fitting = [m for m, found in zip(order, outlook.cast, strict=True) if found.fits]
            for member in fitting:
                # Loading one must not push out another that is here already.
                kept_s = (member.due_s or 0.0) + _KEPT_AFTER_DUE_S
                self._manager.protect(member.manifest, kept_s)
            work = self._load_cast(fitting)
            task = asyncio.get_running_loop().create_task(work, name="prepare a scene")
            self._scenes.add(task)
            task.add_done_callback(self._scenes.discard)
        return outlook

    async def settled(self) -> None:
        """Wait until no scene is being prepared."""
        while self._scenes:
            await asyncio.wait(self._scenes)

    async def close(self) -> None:
        """Give up all scenes."""
        for task in self._scenes:
            task.cancel()
        await self.settled()

    async def _load_cast(self, cast: Sequence[CastMember]) -> None:
        began = self._manager.clock()
        waiting = iter(cast)

        async def work() -> None:
            for member in waiting:
                due_s = (member.due_s or 0.0) - (self._manager.clock() - began)
                await self._load_member(member, max(0.0, due_s))

        workers = [asyncio.ensure_future(work()) for _ in range(_SIDE_BY_SIDE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()

    async def _load_member(self, member: CastMember, due_s: float) -> None:
        """Wait for memory until it is due: the manager lets nobody wait for so long at a time."""
        until_s = self._manager.clock() + max(due_s, _PATIENCE_S)
        try:
            while True:
                left_s = until_s - self._manager.clock()
                try:
                    lease = await self._manager.acquire(
                        member.manifest, timeout_s=max(0.0, left_s), ahead=True
                    )
                except MemoryBusyError:
                    if self._manager.clock() >= until_s - _CLOCK_S:
                        raise
                    continue
                with lease:
                    self._manager.protect(member.manifest, due_s + _KEPT_AFTER_DUE_S)
                return
        except VoxswapError as error:
            _LOGGER.warning("prepare: %s", error)
        except Exception:
            _LOGGER.exception("prepare: %s", member.manifest.ref)
