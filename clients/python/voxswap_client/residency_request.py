"""Arguments about residency become requests here, for both clients."""

from __future__ import annotations

from voxswap.v1 import residency_pb2, speech_pb2
from voxswap_client.fields import fitting, invalid
from voxswap_client.residency_types import Cast, CastMember


def set_budget(budget_bytes: int) -> residency_pb2.SetBudgetRequest:
    """Asks for another budget."""
    with fitting("budget_bytes"):
        return residency_pb2.SetBudgetRequest(budget_bytes=budget_bytes)


def prepare(
    cast: Cast, *, by_ms: int | None, dry_run: bool, session_id: str
) -> speech_pb2.PrepareRequest:
    """Asks for the voices of a scene."""
    if isinstance(cast, str):
        raise invalid("cast", f"is the text {cast!r}; give a list of voices")
    with fitting("by_ms"):
        request = speech_pb2.PrepareRequest(by_ms=by_ms, dry_run=dry_run, session_id=session_id)
    for item in cast:
        member = CastMember(item) if isinstance(item, str) else item
        with fitting(f"first_line_ms of {member.voice}"):
            request.cast.add(voice=member.voice, first_line_ms=member.first_line_ms)
    return request


def watch(after: int | None, epoch: int) -> residency_pb2.WatchRequest:
    """Asks for the events after this one; None: from now on."""
    with fitting("after and epoch"):
        return residency_pb2.WatchRequest(after_sequence=after, epoch=epoch)
