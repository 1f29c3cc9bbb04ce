"""Messages of voices that were built already: large ones take milliseconds of the event loop."""

from __future__ import annotations

import threading
from collections import OrderedDict

from voxswap.v1 import voices_pb2
from voxswap_registry.manifest import Manifest
from voxswap_registry.state import VoiceRecord
from voxswap_server.rpc import voice_messages as messages

_MOST_BYTES = 8 << 20


class KeptMessages:
    """The latest used messages, ``most_bytes`` of them on the wire. Thread-safe.

    A message is good for as long as manifest and record are equal to those that it was built of,
    whatever else changes in the registry.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._kept: OrderedDict[str, tuple[Manifest, VoiceRecord, voices_pb2.Voice, int]] = (
            OrderedDict()
        )

    def voice(self, manifest: Manifest, record: VoiceRecord) -> voices_pb2.Voice:
        """As `voice_messages.voice`. Nobody may change what it gives."""
        with self._lock:
            kept = self._kept.get(manifest.ref)
            if kept is not None and kept[:2] == (manifest, record):
                self._kept.move_to_end(manifest.ref)
                return kept[2]
        message = messages.voice(manifest, record)
        size = message.ByteSize()
        with self._lock:
            self._drop(manifest.ref)
            self._kept[manifest.ref] = manifest, record, message, size
            self._bytes += size
            while self._bytes > self._most_bytes:
                self._drop(next(iter(self._kept)))
        return message

    def _drop(self, ref: str) -> None:
        kept = self._kept.pop(ref, None)
        if kept is not None:
            self._bytes -= kept[3]
