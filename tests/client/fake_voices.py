"""VoiceService as a fake: voices in a list, labels and history by the rules of voices.proto."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import grpc

from tests.client import statuses
from voxswap.v1 import voices_pb2, voices_pb2_grpc
from voxswap_client.upload import components_of

WHEN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
MAX_PIECE_BYTES = 1 << 20


class FakeVoices(voices_pb2_grpc.VoiceServiceServicer):
    """The catalog. ``voices`` hold labels and traffic themselves; ``moves`` is where labels were.

    ``stored`` are components by digest, ``revisions`` and ``changes`` by
    voice id. ``before_update`` runs before an update is looked at: what others do meanwhile. One
    that ``knows_forms`` not is a server from before there were any.
    """

    def __init__(self) -> None:
        self.voices: list[voices_pb2.Voice] = []
        self.stored: dict[str, bytes] = {}
        self.revisions: dict[str, int] = {}
        self.changes: dict[str, list[voices_pb2.Change]] = {}
        self.moves: dict[tuple[str, str], list[int]] = {}
        self.before_update: Callable[[], object] = lambda: None
        self.knows_forms = True

    # What the other services of the fake share.

    def _unary(self, request: Any, context: Any) -> None:
        """Note the request, and do what the script says."""
        raise NotImplementedError

    def _streamed(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        """The requests of a stream, each noted; before the first, what the script says."""
        raise NotImplementedError

    def of(self, voice_id: str) -> list[voices_pb2.Voice]:
        """The versions of a voice, the newest first."""
        found = [voice for voice in self.voices if voice.id == voice_id]
        return sorted(found, key=lambda voice: -voice.version)

    def labels(self, voice_id: str) -> dict[str, int]:
        return {name: v.version for v in self.of(voice_id) for name in v.labels}

    def ListVoices(self, request: Any, context: Any) -> voices_pb2.ListVoicesResponse:  # noqa: N802
        self._unary(request, context)
        found = [
            self.of(voice_id)[0]
            for voice_id in sorted({voice.id for voice in self.voices})
            if voice_id.startswith(request.prefix)
        ]
        found = [voice for voice in found if set(request.tags) <= set(voice.tags)]
        found = [voice for voice in found if request.gender in ("", voice.gender)]
        begin, end = _page(request, len(found))
        return voices_pb2.ListVoicesResponse(
            voices=found[begin:end], next_page_token=str(end) if end < len(found) else ""
        )

    def GetVoice(self, request: Any, context: Any) -> voices_pb2.GetVoiceResponse:  # noqa: N802
        self._unary(request, context)
        voice = self._find(request.voice, context)
        return voices_pb2.GetVoiceResponse(
            voice=voice,
            versions=[version.version for version in self.of(voice.id)],
            labels=self._wire_labels(voice.id),
            revision=self.revisions.get(voice.id, 0),
        )

    def ListVersions(self, request: Any, context: Any) -> voices_pb2.ListVersionsResponse:  # noqa: N802
        self._unary(request, context)
        return voices_pb2.ListVersionsResponse(versions=self._all(request.voice, context))

    def ListChanges(self, request: Any, context: Any) -> voices_pb2.ListChangesResponse:  # noqa: N802
        self._unary(request, context)
        self._all(request.voice, context)
        found = self.changes.get(request.voice, [])[::-1]
        begin, end = _page(request, len(found))
        return voices_pb2.ListChangesResponse(
            changes=found[begin:end], next_page_token=str(end) if end < len(found) else ""
        )

    def FindMissingComponents(  # noqa: N802
        self, request: Any, context: Any
    ) -> voices_pb2.FindMissingComponentsResponse:
        self._unary(request, context)
        assert len(request.components) <= 1000
        return voices_pb2.FindMissingComponentsResponse(
            digests=[c.digest for c in request.components if c.digest not in self.stored]
        )

    def RegisterVoice(self, requests: Any, context: Any) -> voices_pb2.RegisterVoiceResponse:  # noqa: N802
        stream = self._streamed(requests, context)
        first = next(stream)
        assert first.WhichOneof("part") == "manifest_json"
        received: dict[str, bytearray] = {}
        last, committed = "", False
        for message in stream:
            assert not committed, "the commit comes last"
            if message.WhichOneof("part") == "commit":
                committed = True
                continue
            piece = message.component
            data = received.setdefault(piece.digest, bytearray())
            assert message.WhichOneof("part") == "component"
            assert message.ByteSize() <= MAX_PIECE_BYTES
            assert piece.offset_bytes == len(data)
            assert piece.offset_bytes == 0 or piece.digest == last
            data += piece.data
            last = piece.digest
        if not committed:
            invalid = grpc.StatusCode.INVALID_ARGUMENT
            why = statuses.reason("INVALID_INPUT")
            statuses.abort(context, invalid, "commit: is missing", why)
        self.stored |= {digest: bytes(data) for digest, data in received.items()}
        manifest = json.loads(first.manifest_json)
        for component in manifest["components"]:
            stored = self.stored.get(component["digest"], b"")
            if f"sha256:{hashlib.sha256(stored).hexdigest()}" != component["digest"]:
                message = f"{component['digest']} is not what came"
                invalid = grpc.StatusCode.INVALID_ARGUMENT
                statuses.abort(context, invalid, message, statuses.reason("DIGEST_MISMATCH"))
        return self._registered(first, manifest)

    def CreatePreset(self, request: Any, context: Any) -> voices_pb2.CreatePresetResponse:  # noqa: N802
        self._unary(request, context)
        voice = voices_pb2.Voice()
        voice.CopyFrom(self._find(request.base, context))
        voice.id, voice.version = request.voice, 1
        voice.delivery.CopyFrom(
            voices_pb2.PresetDelivery(
                emotions=request.emotions,
                intensity=request.intensity if request.HasField("intensity") else 1.0,
                controls=request.controls,
                style_prompt=request.style_prompt,
            )
        )
        self.voices.append(voice)
        return voices_pb2.CreatePresetResponse(voice=voice, created=True)

    def UpdateVoice(self, request: Any, context: Any) -> voices_pb2.UpdateVoiceResponse:  # noqa: N802
        self._unary(request, context)
        self.before_update()
        versions = self._all(request.voice.id, context)
        now = self.revisions.get(request.voice.id, 0)
        if request.HasField("revision") and request.revision != now:
            message = f"{request.voice.id} is at revision {now}, not at {request.revision}"
            conflict = statuses.reason("REVISION_CONFLICT", voice=request.voice.id)
            statuses.abort(context, grpc.StatusCode.ABORTED, message, conflict)
        for path in request.update_mask.paths:
            if path == "labels":
                self.relabel(request.voice.id, request.voice.version, list(request.voice.labels))
            for voice in versions:
                if path in ("display_name", "gender"):
                    setattr(voice, path, getattr(request.voice, path))
                elif path in ("tags", "traffic"):
                    voice.ClearField(path)
                    getattr(voice, path).extend(getattr(request.voice, path))
        revision = self.record(request.voice.id, "update", request.actor, request.note)
        version = request.voice.version or versions[0].version
        answer = next(voice for voice in versions if voice.version == version)
        return voices_pb2.UpdateVoiceResponse(voice=answer, revision=revision)

    def RollBackLabel(self, request: Any, context: Any) -> voices_pb2.RollBackLabelResponse:  # noqa: N802
        self._unary(request, context)
        self._all(request.voice, context)
        label = request.label or "stable"
        trail = self.moves.get((request.voice, label), [])
        if not trail:
            message = f"{request.voice}: the label {label!r} never moved"
            why = statuses.reason("NOTHING_TO_ROLL_BACK", label=label)
            statuses.abort(context, grpc.StatusCode.FAILED_PRECONDITION, message, why)
        previous, target = self.labels(request.voice)[label], trail.pop()
        voice = next(v for v in self.of(request.voice) if v.version == target)
        self.relabel(request.voice, target, [*voice.labels, label])
        self.moves[request.voice, label].pop()
        self.record(request.voice, f"roll back {label}", request.actor, request.note)
        return voices_pb2.RollBackLabelResponse(voice=voice, previous_version=previous)

    def DeleteVoice(self, request: Any, context: Any) -> voices_pb2.DeleteVoiceResponse:  # noqa: N802
        self._unary(request, context)
        voice_id, at, number = request.voice.partition("@")
        gone = [v for v in self._all(voice_id, context) if not at or str(v.version) == number]
        for voice in gone:
            if voice.labels:
                message = f"{voice_id}@{voice.version} is named by the label {voice.labels[0]!r}"
                in_use = statuses.reason("VERSION_IN_USE", voice=voice_id)
                statuses.abort(context, grpc.StatusCode.FAILED_PRECONDITION, message, in_use)
        self.voices = [voice for voice in self.voices if voice not in gone]
        self.record(voice_id, "delete", request.actor, request.note)
        return voices_pb2.DeleteVoiceResponse(versions=[voice.version for voice in gone])

    def relabel(self, voice_id: str, version: int, labels: list[str]) -> None:
        """Give a version these labels, and no other."""
        before = self.labels(voice_id)
        for voice in self.of(voice_id):
            kept = sorted(labels if voice.version == version else set(voice.labels) - set(labels))
            voice.ClearField("labels")
            voice.labels.extend(kept)
        for label, now in self.labels(voice_id).items():
            if before.get(label, now) != now:
                self.moves.setdefault((voice_id, label), []).append(before[label])

    def record(self, voice_id: str, action: str, actor: str, note: str) -> int:
        """Note a change, and return the revision after it."""
        revision = self.revisions[voice_id] = self.revisions.get(voice_id, 0) + 1
        change = voices_pb2.Change(
            revision=revision,
            action=action,
            actor=actor,
            note=note,
            labels=self._wire_labels(voice_id),
            traffic=[share for voice in self.of(voice_id)[:1] for share in voice.traffic],
        )
        change.time.FromDatetime(WHEN)
        self.changes.setdefault(voice_id, []).append(change)
        return revision

    def _registered(self, first: Any, manifest: Any) -> voices_pb2.RegisterVoiceResponse:
        versions = self.of(manifest["voice_id"])
        components = components_of(json.dumps(manifest).encode())
        for component in components if not self.knows_forms else ():
            component.ClearField("form")
        if versions and list(versions[0].components) == components:
            return voices_pb2.RegisterVoiceResponse(voice=versions[0], created=False)
        voice = voices_pb2.Voice(
            id=manifest["voice_id"],
            version=first.version or (versions[0].version + 1 if versions else 1),
            components=components,
            labels=[first.label] if first.label else [],
        )
        self.voices.append(voice)
        return voices_pb2.RegisterVoiceResponse(voice=voice, created=True)

    def _wire_labels(self, voice_id: str) -> list[voices_pb2.Label]:
        items = sorted(self.labels(voice_id).items())
        return [voices_pb2.Label(name=name, version=version) for name, version in items]

    def _find(self, ref: str, context: Any) -> voices_pb2.Voice:
        voice_id, _, name = ref.partition("@")
        labels = self.labels(voice_id)
        for voice in self.of(voice_id):
            if (
                str(voice.version) == name
                or labels.get(name) == voice.version
                or (not name and labels.get("stable", voice.version) == voice.version)
            ):
                return voice
        raise self._not_found(ref, context)

    def _all(self, voice_id: str, context: Any) -> list[voices_pb2.Voice]:
        found = self.of(voice_id)
        if not found:
            raise self._not_found(voice_id, context)
        return found

    def _not_found(self, ref: str, context: Any) -> Exception:
        reason = statuses.reason("VOICE_NOT_FOUND", voice=ref)
        statuses.abort(context, grpc.StatusCode.NOT_FOUND, f"there is no voice {ref}", reason)


def _page(request: Any, count: int) -> tuple[int, int]:
    begin = int(request.page_token or 0)
    return begin, min(count, begin + (request.page_size or 100))
