"""espeak-ng as its workers ran it if a call had no bound: the texts that kill it, kill it."""

from __future__ import annotations

from collections.abc import Callable

from voxswap_server.text.espeak import worker as espeak_worker


def prepare(
    arguments: str, only_read: Callable[[str], None]
) -> tuple[bytes, Callable[[bytes], bytes]]:
    """As `espeak_worker` does it."""
    vars(espeak_worker)["LONGEST_CALL"] = 10_000
    return espeak_worker.prepare(arguments, only_read)
