"""Messages of voices that were built already: large ones take milliseconds of the event loop."""

from __future__ import annotations

import threading

from voxswap.v1 import voices_pb2
from voxswap_registry.kept import Kept, held_bytes
from voxswap_registry.manifest import Manifest
from voxswap_registry.state import VoiceRecord
from voxswap_server.doors.grpc.translate import voices as messages

_MOST_BYTES = 8 << 20


class KeptMessages:
    """The latest used messages, ``most_bytes`` of them with what they were built of. Thread-safe.

    A message is good for as long as manifest and record are equal to those that it was built of,
    whatever else changes in the registry.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._lock = threading.Lock()
        self._kept: Kept[tuple[Manifest, VoiceRecord, voices_pb2.Voice]] = Kept(most_bytes)

    @property
    def size_bytes(self) -> int:
        """Of all that is kept."""
        return self._kept.size_bytes

    def voice(self, manifest: Manifest, record: VoiceRecord) -> voices_pb2.Voice:
        """As `voice_messages.voice`. Nobody may change what it gives."""
        with self._lock:
            kept = self._kept.get(manifest.ref)
            if kept is not None and kept[:2] == (manifest, record):
                return kept[2]
        message = messages.voice(manifest, record)
        # A manifest may be a thousand times as large as the message that is built of it.
        size_bytes = held_bytes(manifest) + held_bytes(record) + message.ByteSize()
        with self._lock:
            self._kept.put(manifest.ref, (manifest, record, message), size_bytes)
        return message
