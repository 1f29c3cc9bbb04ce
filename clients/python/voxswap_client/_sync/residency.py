# Generated from _async/residency.py by scripts/gen-client: change that one.
"""The blocking client's methods about what is in the server's memory."""

from __future__ import annotations

import math

from voxswap.v1 import residency_pb2, speech_pb2
from voxswap_client import convert
from voxswap_client._sync.connection import Connection
from voxswap_client._sync.watch import ResidencyWatch
from voxswap_client.fields import fitting, invalid
from voxswap_client.residency_types import (
    Cast,
    CastMember,
    Explanation,
    Ledger,
    ResidencySnapshot,
    Resident,
    SceneOutlook,
)
from voxswap_client.retry import Repeat
from voxswap_client.watching import WatchProgress


class Residency(Connection):
    """Shows, steers and watches residency. Thread-safe; its watches are not.

    ``voice`` is ``id``, ``id@version`` or ``id@label``; `VoiceNotFoundError` if there is none.
    """

    def residents(self, *, timeout_s: float | None = None) -> ResidencySnapshot:
        """What is in memory, the most recently used first, and the books of each device."""
        request = residency_pb2.ListResidentsRequest()
        answer = self._unary(self._residency.ListResidents, request, timeout_s)
        return convert.value(ResidencySnapshot, answer)

    def load(self, voice: str, *, timeout_s: float | None = None) -> Resident:
        """Make a voice resident; it may be evicted again as soon as memory is short.

        Tries again at once what failed a moment ago. Raises `ResourceExhaustedError` if there is no
        memory for it.
        """
        request = residency_pb2.LoadRequest(voice=voice)
        answer = self._unary(self._residency.Load, request, timeout_s)
        return convert.value(Resident, answer.resident)

    def unload(self, voice: str, *, timeout_s: float | None = None) -> int:
        """Evict a voice; bytes that this freed: 0 if it was not resident, or others use all it had.

        Raises `VoiceInUseError` while it speaks, is being loaded or is pinned. Tried again only if
        the server asks for it.
        """
        request = residency_pb2.UnloadRequest(voice=voice)
        answer = self._unary(self._residency.Unload, request, timeout_s, Repeat.IF_ASKED)
        return answer.freed_bytes

    def pin(self, voice: str, *, timeout_s: float | None = None) -> Resident:
        """Make a voice resident and keep it so until `unpin`, its deletion, or the server's end.

        What is pinned is the version that ``voice`` stands for now. Raises as `load` does.
        """
        request = residency_pb2.PinRequest(voice=voice)
        answer = self._unary(self._residency.Pin, request, timeout_s)
        return convert.value(Resident, answer.resident)

    def unpin(self, voice: str, *, timeout_s: float | None = None) -> Resident | None:
        """Let a pinned voice be evicted again. None if it is not resident."""
        request = residency_pb2.UnpinRequest(voice=voice)
        answer = self._unary(self._residency.Unpin, request, timeout_s)
        return convert.value(Resident, answer.resident) if answer.HasField("resident") else None

    def explain(self, voice: str, *, timeout_s: float | None = None) -> Explanation:
        """What loading a voice would do, without doing it."""
        request = residency_pb2.ExplainRequest(voice=voice)
        answer = self._unary(self._residency.Explain, request, timeout_s)
        return convert.value(Explanation, answer)

    def set_budget(self, budget_bytes: int, *, timeout_s: float | None = None) -> Ledger:
        """Change the memory budget, 1 MiB or more, until the server stops; the books after that.

        A smaller one is reached as streams end: see `Ledger.target_bytes`. Tried again only if the
        server asks for it.
        """
        with fitting("budget_bytes"):
            request = residency_pb2.SetBudgetRequest(budget_bytes=budget_bytes)
        answer = self._unary(self._residency.SetBudget, request, timeout_s, Repeat.IF_ASKED)
        return convert.value(Ledger, answer.ledger)

    def prepare(
        self,
        cast: Cast,
        *,
        by_ms: int | None = None,
        dry_run: bool = False,
        session_id: str = "",
        timeout_s: float | None = None,
    ) -> SceneOutlook:
        """Begin to load the voices of a scene; returns at once.

        ``cast`` has 1 to 256 voices, or `CastMember` for one with a time of its own. ``by_ms`` is
        when the scene begins, in milliseconds from now, 0 to 3600000; None: as soon as can be.
        Voices beyond what fits are not loaded. With ``dry_run`` nothing is. ``session_id`` is that
        of the scene's lines: bare voices resolve as theirs will.
        """
        if isinstance(cast, str):
            raise invalid("cast", f"is the text {cast!r}; give a list of voices")
        with fitting("by_ms"):
            request = speech_pb2.PrepareRequest(by_ms=by_ms, dry_run=dry_run, session_id=session_id)
        for item in cast:
            member = CastMember(item) if isinstance(item, str) else item
            with fitting(f"first_line_ms of {member.voice}"):
                request.cast.add(voice=member.voice, first_line_ms=member.first_line_ms)
        answer = self._unary(self._speech.Prepare, request, timeout_s)
        return convert.value(SceneOutlook, answer)

    def watch(self, *, after: int | None = None, epoch: int = 0) -> ResidencyWatch:
        """Begin to watch loads, failures and evictions; returns at once. There is no deadline.

        ``after`` is the sequence of the last event that is known, and ``epoch`` that event's: what
        came since comes first. To know what is in memory without a gap, list and watch from there::

            seen = client.residents()
            with client.watch(after=seen.last_sequence, epoch=seen.epoch) as events:

        `EventsLostError`: the server was started anew, or no longer keeps the next event; begin
        again with the list. 0 without an epoch begins with the oldest that the server has kept.
        None begins now, and until its first event comes there is nothing that a broken connection
        could resume from.
        """
        attempts = self._attempts(math.inf)
        return ResidencyWatch(
            self._residency.Watch,
            WatchProgress(attempts, clock=self._clock, after=after, epoch=epoch),
            sleep=self._sleep,
        )
