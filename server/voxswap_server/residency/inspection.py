"""Files that are mapped, and whether they are still what they were when they were hashed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from voxswap_families.contract import MappedPart
from voxswap_registry.storage.verified import WatchedFile


class Inspection:
    """Looks at files of parts, on ``executor``. Confined to one event loop; never blocks.

    Who asks while a file is being hashed waits for the same. ``on_changed`` is called, with the
    number, for a part whose file is not what it should be.
    """

    def __init__(
        self,
        loaded: Mapping[int, object],
        executor: Executor,
        on_changed: Callable[[int], None],
    ) -> None:
        self._loaded = loaded
        self._executor = executor
        self._on_changed = on_changed
        self._under_way: dict[int, asyncio.Task[bool]] = {}

    async def look(self) -> None:
        """At every file; what was changed is hashed."""
        files = {n: file for n, part in self._loaded.items() if (file := _mapped_file(part))}

        def moved() -> list[int]:
            """Blocks, as disks do."""
            return [number for number, file in files.items() if not file.is_unchanged()]

        for number in await asyncio.get_running_loop().run_in_executor(self._executor, moved):
            await self.is_sound(number)

    async def is_sound(self, number: int) -> bool:
        """Whether the file of a part is what it should be; hashes it if it was changed."""
        task = self._under_way.get(number)
        if task is None:
            work = self._inspect(number)
            task = asyncio.get_running_loop().create_task(work, name=f"inspect {number}")
            self._under_way[number] = task
            task.add_done_callback(lambda _: self._under_way.pop(number))
        return await asyncio.shield(task)

    async def _inspect(self, number: int) -> bool:
        # The file alone: the part may leave meanwhile, and must not be kept here.
        if (file := _mapped_file(self._loaded.get(number))) is None:
            return True
        loop = asyncio.get_running_loop()
        if await loop.run_in_executor(self._executor, file.verify):
            return True
        self._on_changed(number)
        return False


def _mapped_file(part: object) -> WatchedFile | None:
    """The file whose pages a part is."""
    return part.file if isinstance(part, MappedPart) else None
