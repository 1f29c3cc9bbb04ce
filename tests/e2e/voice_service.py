"""A served registry that others may edit too, and uploads to it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import root_of
from voxswap.v1 import speech_pb2_grpc, voices_pb2, voices_pb2_grpc
from voxswap_client import Client, SpeechResult
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

LINE = "Halt! Who goes there?"
NOTICED_S = 2.0 * 5  # What a machine under load may take on top.
Voice = voices_pb2.Voice
Update = voices_pb2.UpdateVoiceRequest
Register = voices_pb2.RegisterVoiceRequest
Piece = voices_pb2.ComponentBytes
COMMIT = Register(commit=voices_pb2.UploadCommit())


class VoiceServer:
    """A server, its client and stubs, and the registry beneath it, which others may edit too."""

    def __init__(self, thread: ServerThread, registry: Registry, channel: grpc.Channel) -> None:
        self.thread = thread
        self.registry = registry
        self.client = Client(thread.server.address, timeout_s=60)
        self.voices = voices_pb2_grpc.VoiceServiceStub(channel)
        self.speech = speech_pb2_grpc.SpeechServiceStub(channel)

    def publish(self, voice_id: str, model: str = "joe", **changes: Any) -> Manifest:
        """A version made of bytes that are there, which the server knows of at once."""
        manifest = self.registry.resolve(VoiceRef.parse(f"models/{model}"))
        parts = tuple(DraftComponent.stored(c) for c in manifest.components)
        draft = dataclasses.replace(as_draft(manifest, parts), voice_id=voice_id, **changes)
        published = self.registry.publish(draft)
        self.thread.house.catalog.refresh([voice_id])
        return published

    def update(self, voice_id: str, *paths: str, **fields: Any) -> voices_pb2.UpdateVoiceResponse:
        names = Voice.DESCRIPTOR.fields_by_name
        voice = Voice(id=voice_id, **{k: v for k, v in fields.items() if k in names})
        rest = {k: v for k, v in fields.items() if k not in names}
        mask = FieldMask(paths=paths)
        return self.voices.UpdateVoice(Update(voice=voice, update_mask=mask, **rest), timeout=60)

    def label(self, ref: str, *labels: str, **options: Any) -> voices_pb2.UpdateVoiceResponse:
        voice_id, _, version = ref.partition("@")
        return self.update(voice_id, "labels", version=int(version), labels=labels, **options)

    def say(self, voice: str, text: str = LINE) -> SpeechResult:
        return self.client.say(voice, text, seed=7)

    def get(self, voice: str) -> voices_pb2.GetVoiceResponse:
        return self.voices.GetVoice(voices_pb2.GetVoiceRequest(voice=voice), timeout=30)

    def listed(self, **request: Any) -> list[Voice]:
        answer = self.voices.ListVoices(voices_pb2.ListVoicesRequest(**request), timeout=30)
        return list(answer.voices)

    def workdirs(self) -> list[Path]:
        folder = root_of(self.registry) / "tmp"
        return list(folder.iterdir()) if folder.is_dir() else []


def as_draft(manifest: Manifest, components: tuple[DraftComponent, ...]) -> VoiceDraft:
    fields = {f.name: getattr(manifest, f.name) for f in dataclasses.fields(VoiceDraft)}
    return VoiceDraft(**fields | {"components": components})


@contextlib.contextmanager
def serving_voices(location: Path | str, **settings: Any) -> Iterator[VoiceServer]:
    settings = {"registry_poll_s": 0.2} | settings
    with serving(location, **settings) as thread:
        with grpc.insecure_channel(thread.server.address) as channel:
            served = VoiceServer(thread, Registry.open(location), channel)
            with served.client:
                yield served


def upload_of(served: VoiceServer, voice_id: str, model: bytes, **first: Any) -> list[Register]:
    """All messages of an upload of joe under another id and with another model."""
    import hashlib

    joe = served.registry.resolve(VoiceRef("joe"))
    raw = json.loads(joe.to_json())
    del raw["version"]
    raw["voice_id"] = voice_id
    digest = f"sha256:{hashlib.sha256(model).hexdigest()}"
    for component in raw["components"]:
        if component["role"] == "model":
            component |= {"digest": digest, "size_bytes": len(model)}
            component.pop("blake3", None)
    return [
        Register(manifest_json=json.dumps(raw).encode(), **first),
        *(
            Register(component=Piece(digest=digest, offset_bytes=n, data=model[n : n + (1 << 20)]))
            for n in range(0, len(model), 1 << 20)
        ),
        COMMIT,
    ]
