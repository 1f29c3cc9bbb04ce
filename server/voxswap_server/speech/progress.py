"""What a stream tells of itself while it is spoken, for whoever keeps books of it."""

from __future__ import annotations

from typing import Any

from voxswap_server.compute.threads import Ran


class Progress:
    """Hears of one stream, on its event loop; this one keeps nothing. Nothing blocks or raises."""

    def weight(self) -> float:
        """How many times longer than usual the steps of a stream without pacing may wait."""
        return 1.0

    def asks(self, characters_left: int, dry_at_s: float | None) -> None:
        """It wants its next window, and has so much text left.

        What was delivered will have been played at ``dry_at_s``; None: nothing was yet.
        """

    def stands(self, *, for_words: bool = False) -> None:
        """A window is there until it is taken; or there is nothing to say until text comes."""

    def cut(self) -> None:
        """What was prepared will not be spoken."""

    def computed(self, ran: Ran[Any], *, is_long: bool) -> None:
        """A work ended; what it was for is told next."""

    def prepared(self, characters: int, audio_s: float) -> None:
        """A segment of so many characters, which has so much audio."""

    def decoded(self, audio_s: float) -> None:
        """A window of audio."""

    def encoded(self, audio_s: float, took_s: float) -> None:
        """So much audio was encoded on the event loop."""
