"""The journal: which voice changed, one create-only object after the other.

Whoever changes a voice writes the next entry afterwards. A reader that knows the last number asks
for the next one alone, which costs one small read a second on any store, and then looks at the
voices that were named. An entry that was never written because its writer died is made up for by
the next full look at the store.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from voxswap_registry.errors import InvalidInputError, RegistryBusyError, RegistryError
from voxswap_registry.layout import JOURNAL, journal_key, journal_number
from voxswap_registry.names import check_voice_id
from voxswap_registry.storage.objects import Objects

_LOGGER = logging.getLogger(__name__)
_MAX_ENTRY_BYTES = 4096
_TRIES = 1000
_READ_AT_ONCE = 200
KEPT_ENTRIES = 1000


class Journal:
    """The journal of a store. Thread-safe; all methods block.

    It remembers the last number that it has seen: where to go on, never what is true.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._seen = 0

    def head(self) -> int:
        """The number of the newest entry; 0 if there is none."""
        if self._seen and self._objects.head(journal_key(self._seen)) is None:
            self._seen = 0  # The registry was made anew: its numbers begin again.
        after = journal_key(self._seen) if self._seen else ""
        for key in self._objects.keys(JOURNAL, after=after):
            self._seen = max(self._seen, journal_number(key) or 0)
        return self._seen

    def reaches_back_to(self, number: int) -> bool:
        """Whether `since` tells all that changed after entry ``number``: it is still there."""
        return number > 0 and self._objects.head(journal_key(number)) is not None

    def append(self, voice_id: str) -> int:
        """Write that ``voice_id`` has changed; returns the entry's number.

        Raises `RegistryBusyError` if others are always faster.
        """
        data = json.dumps({"voice": voice_id}).encode()
        number = self.head()
        for _ in range(_TRIES):
            number += 1
            if self._objects.create(journal_key(number), data):
                self._seen = max(self._seen, number)
                if number % (KEPT_ENTRIES // 2) == 0:
                    self.trim()
                return number
        raise RegistryBusyError(
            f"{_TRIES} others wrote into the registry's journal first; try again"
        )

    def note(self, voice_id: str) -> None:
        """`append`, after a change that counts whether or not this succeeds.

        Without the entry, servers notice the change at their next full look.
        """
        try:
            self.append(voice_id)
        except (RegistryError, RegistryBusyError) as error:
            _LOGGER.warning("%s has changed, and the journal does not say so: %s", voice_id, error)

    def since(self, number: int) -> tuple[int, set[str]]:
        """The voices that changed after entry ``number``, and the number of the last one read.

        A few hundred entries at a time: whoever writes faster than this reads must not hold it up.
        """
        voices: set[str] = set()
        last = number + _READ_AT_ONCE
        while number < last:
            data = self._objects.read(journal_key(number + 1), limit_bytes=_MAX_ENTRY_BYTES)
            if data is None:
                self._seen = max(self._seen, number)
                return number, voices
            number += 1
            try:
                voices.add(check_voice_id(str(json.loads(data)["voice"])))
            except (ValueError, RecursionError, TypeError, KeyError, InvalidInputError):
                continue  # Torn or foreign: the next full look finds what it meant.
        return number, voices

    def trim(self, *, tick: Callable[[], object] = lambda: None) -> int:
        """Delete all but the newest entries; returns how many. ``tick`` is called before each."""
        numbers = sorted(journal_number(key) or 0 for key in self._objects.keys(JOURNAL))
        old = [number for number in numbers[:-KEPT_ENTRIES] if number]
        for number in old:
            tick()
            self._objects.delete(journal_key(number))
        return len(old)
