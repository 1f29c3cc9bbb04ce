"""Requests as the benchmarks make them: raw messages, since no client decodes audio here."""

from __future__ import annotations

from collections.abc import Collection

import grpc

from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_client.channel import OPTIONS

_SCHEDULING = ("pacing", "line_class", "start_by_ms")
# Each client is a machine of its own, so none may share another's connection.
CHANNEL_OPTIONS = (*OPTIONS, ("grpc.use_local_subchannel_pool", 1))


def speech_request(
    voice: str,
    text: str,
    *,
    seed: int,
    paced: bool,
    line_class: str | None = None,
    start_by_ms: int | None = None,
    leave_out: Collection[str] = (),
) -> speech_pb2.SynthesizeRequest:
    """A line whose audio is not cached. ``leave_out`` are fields that the server refuses."""
    request = speech_pb2.SynthesizeRequest(
        voice=voice,
        text=text,
        seed=seed,
        cache_policy=speech_pb2.CACHE_POLICY_OFF,
        pacing=speech_pb2.PACING_REALTIME if paced else speech_pb2.PACING_NONE,
        start_by_ms=start_by_ms,
    )
    if line_class is not None:
        request.line_class = speech_pb2.LineClass.Value(f"LINE_CLASS_{line_class.upper()}")
    for field in leave_out:
        request.ClearField(field)  # type: ignore[arg-type]
    return request


def refused_fields(stub: speech_pb2_grpc.SpeechServiceStub, voice: str) -> list[str]:
    """Scheduling fields that the server does not carry out yet: its figures are then without."""
    refused = []
    for field in _SCHEDULING:
        others = [other for other in _SCHEDULING if other != field]
        request = speech_request(
            *(voice, "Ready?"),
            seed=0,
            paced=False,
            line_class="dialogue",
            start_by_ms=60_000,
            leave_out=others,
        )
        try:
            list(stub.Synthesize(request, timeout=60))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            refused.append(field)
    return refused
