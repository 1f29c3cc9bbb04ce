"""Messages of voices are built once for as long as they say the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.fakes.manifests import make_manifest
from voxswap_registry.kept import held_bytes
from voxswap_registry.manifest import Manifest
from voxswap_registry.state import VoiceRecord, VoiceState
from voxswap_server.doors.grpc.kept_messages import KeptMessages
from voxswap_server.doors.grpc.translate import voices as voice_messages


def test_a_message_is_built_anew_only_where_it_would_say_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = []
    original = voice_messages.voice

    def voice(manifest: Manifest, record: VoiceRecord) -> Any:
        built.append(manifest.ref)
        return original(manifest, record)

    monkeypatch.setattr(voice_messages, "voice", voice)
    kept, record = KeptMessages(), VoiceRecord("a", (1,), VoiceState())
    first = kept.voice(make_manifest("a"), record)
    # Parsed anew, after a change of any voice, and equal.
    assert kept.voice(make_manifest("a"), dataclasses.replace(record)) is first
    assert built == ["a@1"]
    renamed = dataclasses.replace(record, state=VoiceState(display_name="Ann"))
    assert kept.voice(make_manifest("a"), renamed).display_name == "Ann"
    assert built == ["a@1", "a@1"]


def test_no_more_bytes_are_kept_than_is_said_and_manifests_count() -> None:
    def ask(kept: KeptMessages, n: int) -> None:
        kept.voice(make_manifest(f"voice/{n}"), VoiceRecord(f"voice/{n}", (1,), VoiceState()))

    one = KeptMessages()
    ask(one, 0)
    assert one.size_bytes > held_bytes(make_manifest("voice/0"))
    kept = KeptMessages(most_bytes=3 * one.size_bytes)
    for n in range(9):
        ask(kept, n)
    assert len(kept._kept) == 3
    assert kept.size_bytes == 3 * one.size_bytes
