# Generated from _async/recordings.py by scripts/gen-client: change that one.
"""The blocking client's methods about recordings."""

from __future__ import annotations

from voxswap.v1 import recordings_pb2
from voxswap_client import convert
from voxswap_client._sync.connection import Connection
from voxswap_client.fields import fitting
from voxswap_client.recording_types import ReadStyle


class Recordings(Connection):
    """Reads styles off recordings. Thread-safe."""

    def read_style(
        self,
        voice: str,
        audio: bytes,
        *,
        raw_sample_rate_hertz: int | None = None,
        session_id: str = "",
        timeout_s: float | None = None,
    ) -> ReadStyle:
        """How a recording is spoken, as a style for ``voice``: for `synthesize`'s ``style``.

        ``audio`` is a file of one speaker, 3 to 10 seconds of WAV, FLAC, MP3 or Ogg; with a
        ``raw_sample_rate_hertz``, mono signed 16-bit samples. Raises `UnusableClipError` for one
        that is of no use, whose ``metadata["fault"]`` says why.
        """
        with fitting():
            request = recordings_pb2.ReadStyleRequest(
                voice=voice,
                audio=audio,
                raw_sample_rate_hertz=raw_sample_rate_hertz,
                session_id=session_id,
            )
        answer = self._unary(self._recordings.ReadStyle, request, timeout_s)
        return convert.value(ReadStyle, answer)
