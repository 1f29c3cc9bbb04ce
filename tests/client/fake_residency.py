"""ResidencyService and Prepare as a fake, by the rules of residency.proto and speech.proto."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import grpc

from tests.client import statuses
from voxswap.v1 import residency_pb2, residency_pb2_grpc, speech_pb2

EPOCH = 1_900_000_000_000_000
KINDS = residency_pb2.ResidencyEventKind


def event(sequence: int, kind: str = "LOADED", **fields: Any) -> residency_pb2.WatchResponse:
    """One event of the default run of the server."""
    kind_number = KINDS.Value(f"RESIDENCY_EVENT_KIND_{kind}")
    values: dict[str, Any] = {"epoch": EPOCH, "voices": ["npc/smith@3"]}
    return residency_pb2.WatchResponse(sequence=sequence, kind=kind_number, **(values | fields))


class FakeResidency(residency_pb2_grpc.ResidencyServiceServicer):
    """``residents`` are in memory or failed; ``loadable`` are sizes of voices that are not.

    ``stands_for`` are versions by label or bare id.

    ``events`` are those that are kept, of the run ``epoch``; a watch that has told them all waits
    until its client ends it. ``watching`` is set once one waits, ``unwatched`` once it has ended.
    """

    event = staticmethod(event)

    def __init__(self) -> None:
        self.residents: list[residency_pb2.Resident] = []
        self.components: list[residency_pb2.ResidentComponent] = []
        self.ledgers: list[residency_pb2.Ledger] = []
        self.loadable: dict[str, int] = {}
        self.stands_for: dict[str, str] = {}
        self.explanation = residency_pb2.ExplainResponse()
        self.scene = speech_pb2.PrepareResponse()
        self.events: list[residency_pb2.WatchResponse] = []
        self.epoch = EPOCH
        self.watching = threading.Event()
        self.unwatched = threading.Event()

    # What the services of the fake share.

    script: deque[Any]

    def _unary(self, request: Any, context: Any) -> None:
        """Note the request, and do what the script says."""
        raise NotImplementedError

    def _note(self, request: Any, context: Any) -> None:
        """Note the request."""
        raise NotImplementedError

    def ListResidents(self, request: Any, context: Any) -> residency_pb2.ListResidentsResponse:  # noqa: N802
        self._unary(request, context)
        return residency_pb2.ListResidentsResponse(
            residents=self.residents,
            components=self.components,
            ledgers=self.ledgers,
            last_sequence=self._last,
            epoch=self.epoch,
        )

    def Load(self, request: Any, context: Any) -> residency_pb2.LoadResponse:  # noqa: N802
        self._unary(request, context)
        return residency_pb2.LoadResponse(resident=self._loaded(request.voice, context))

    def Unload(self, request: Any, context: Any) -> residency_pb2.UnloadResponse:  # noqa: N802
        self._unary(request, context)
        found = self._known(request.voice, context)
        if found is None:
            return residency_pb2.UnloadResponse()
        if found.pinned or found.leases:
            why = "pinned; unpin it first" if found.pinned else "speaking; wait for its streams"
            message = f"{request.voice} is {why}"
            code = grpc.StatusCode.FAILED_PRECONDITION
            statuses.abort(context, code, message, statuses.reason("VOICE_IN_USE"))
        self.residents.remove(found)
        self.loadable[found.voices[0]] = found.size_bytes
        return residency_pb2.UnloadResponse(freed_bytes=found.size_bytes - found.shared_bytes)

    def Pin(self, request: Any, context: Any) -> residency_pb2.PinResponse:  # noqa: N802
        self._unary(request, context)
        found = self._loaded(request.voice, context)
        found.pinned = True
        return residency_pb2.PinResponse(resident=found)

    def Unpin(self, request: Any, context: Any) -> residency_pb2.UnpinResponse:  # noqa: N802
        self._unary(request, context)
        found = self._known(request.voice, context)
        if found is not None:
            found.pinned = False
        return residency_pb2.UnpinResponse(resident=found)

    def Explain(self, request: Any, context: Any) -> residency_pb2.ExplainResponse:  # noqa: N802
        self._unary(request, context)
        self._known(request.voice, context)
        return self.explanation

    def SetBudget(self, request: Any, context: Any) -> residency_pb2.SetBudgetResponse:  # noqa: N802
        self._unary(request, context)
        (ledger,) = self.ledgers
        used = ledger.budget_bytes - ledger.free_bytes
        ledger.target_bytes = request.budget_bytes
        ledger.budget_bytes = max(used, request.budget_bytes)
        ledger.free_bytes = ledger.budget_bytes - used
        return residency_pb2.SetBudgetResponse(ledger=ledger)

    def Prepare(self, request: Any, context: Any) -> speech_pb2.PrepareResponse:  # noqa: N802
        self._unary(request, context)
        return self.scene

    def Watch(self, request: Any, context: Any) -> Iterator[residency_pb2.WatchResponse]:  # noqa: N802
        self._note(request, context)
        if self.script:
            yield from self.script.popleft()(request, context)
            return
        ended = threading.Event()

        def on_end() -> None:
            ended.set()
            self.unwatched.set()

        # Before the first event: a generator whose call has ended is not resumed.
        if not context.add_callback(on_end):
            on_end()
        resumed = request.HasField("after_sequence")
        after = request.after_sequence if resumed else self._last
        if resumed and (
            (request.epoch and request.epoch != self.epoch) or not self._first - 1 <= after
        ):
            code, lost = grpc.StatusCode.OUT_OF_RANGE, statuses.reason("EVENTS_LOST")
            statuses.abort(context, code, f"events after {after} are no longer kept", lost)
        yield from [told for told in self.events if told.sequence > after]
        self.watching.set()
        # Longer than any test waits for `unwatched`, so that only the client can be what sets it.
        ended.wait(30)

    @property
    def _first(self) -> int:
        return self.events[0].sequence if self.events else 1

    @property
    def _last(self) -> int:
        return self.events[-1].sequence if self.events else 0

    def _known(self, voice: str, context: Any) -> residency_pb2.Resident | None:
        voice = self.stands_for.get(voice, voice)
        found = next((r for r in self.residents if voice in r.voices), None)
        if found is None and voice not in self.loadable:
            message, why = f"no voice {voice!r} is registered", statuses.reason("VOICE_NOT_FOUND")
            statuses.abort(context, grpc.StatusCode.NOT_FOUND, message, why)
        return found

    def _loaded(self, voice: str, context: Any) -> residency_pb2.Resident:
        found = self._known(voice, context)
        if found is None:
            voice = self.stands_for.get(voice, voice)
            found = residency_pb2.Resident(
                voices=[voice],
                state=residency_pb2.RESIDENT_STATE_RESIDENT,
                size_bytes=self.loadable.pop(voice),
                load_ms=412.4,
                uses=1,
            )
            self.residents.insert(0, found)
        return found
