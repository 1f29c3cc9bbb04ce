"""RecordingService: a clip in, what can be read off it out."""

from __future__ import annotations

from voxswap.v1 import recordings_pb2, recordings_pb2_grpc
from voxswap_server.doors.grpc.calls import mapped
from voxswap_server.doors.grpc.status import Context
from voxswap_server.doors.grpc.translate import recordings as translate
from voxswap_server.speech.recordings import Recordings


class RecordingServicer(recordings_pb2_grpc.RecordingServiceServicer):
    """Translates, both ways. Holds no state."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings

    @mapped
    async def ReadStyle(  # noqa: N802
        self, request: recordings_pb2.ReadStyleRequest, context: Context
    ) -> recordings_pb2.ReadStyleResponse:
        """How a clip is spoken, as a style for a voice."""
        asked = translate.style_asked(request)
        return translate.style_read(await self._recordings.read_style(asked))
