"""Voices: where protobuf becomes domain and domain becomes protobuf."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from google.protobuf import timestamp_pb2

from voxswap.v1 import speech_pb2, voices_pb2
from voxswap_registry.catalog.catalog import VoiceListing
from voxswap_registry.delivery import PresetDelivery
from voxswap_registry.errors import (
    FieldViolation,
    InvalidInputError,
    ManifestError,
    VoxswapError,
)
from voxswap_registry.families import controls_of
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.names import (
    MAX_TAGS,
    VoiceRef,
    check_digest,
    check_label,
    check_tag,
    check_voice_id,
)
from voxswap_registry.presets import AskedPreset
from voxswap_registry.state import (
    MAX_ACTOR_CHARACTERS,
    MAX_LABELS,
    MAX_NAME_CHARACTERS,
    MAX_SHARES,
    STABLE,
    Edit,
    VoiceRecord,
    VoiceState,
    check_text,
)
from voxswap_server.doors.grpc.translate.speech import EXPRESSIONS_OUT
from voxswap_server.speech.asking import text_faults
from voxswap_server.speech.expression import best_of
from voxswap_server.speech.offers import reads_style, takes_style_prompts
from voxswap_server.voices.browsing import no_token, opened_token
from voxswap_server.voices.uploads import Blank, Commit, Opening, Piece, UploadEvent

MAX_TEST_CHARACTERS = 500
MAX_COMPONENTS = 1000
MAX_VERSIONS = 1000
MAX_ANSWER_BYTES = 4 << 20
_MAX_PATHS = 32
_MAX_PROBLEM_CHARACTERS = 1000
_UPDATABLE = ("display_name", "tags", "gender", "labels", "traffic")

_M = TypeVar("_M", voices_pb2.Voice, voices_pb2.Change)


def voice(manifest: Manifest, record: VoiceRecord) -> voices_pb2.Voice:
    """One version of a voice, as its state shows it.

    Raises `ManifestError` for one that says what no message can hold.
    """
    try:
        return _voice(manifest, record)
    except (ValueError, TypeError, OverflowError) as error:
        raise ManifestError(
            f"{manifest.ref}: cannot be told in a message ({error}); publish the version anew"
        ) from error


def _voice(manifest: Manifest, record: VoiceRecord) -> voices_pb2.Voice:
    state = record.state
    return voices_pb2.Voice(
        id=manifest.voice_id,
        version=manifest.version,
        display_name=manifest.display_name if state.display_name is None else state.display_name,
        language=manifest.language,
        engine=manifest.engine,
        sample_rate_hertz=manifest.audio.sample_rate_hertz,
        speakers=[
            voices_pb2.Speaker(name=name, index=index)
            for name, index in sorted(manifest.speakers.items(), key=lambda item: item[1])
        ],
        components=[
            voices_pb2.Component(
                role=component.role,
                digest=component.digest,
                size_bytes=component.size_bytes,
                media_type=component.media_type,
                form=component.form or "",
            )
            for component in manifest.components
        ],
        licence=manifest.licence,
        provenance=voices_pb2.Provenance(
            source=manifest.provenance.source,
            source_digests=dict(manifest.provenance.source_digests),
            tool=manifest.provenance.tool,
            create_time=_stamp(manifest.provenance.created),
            note=manifest.provenance.note,
            code_licence=manifest.provenance.code_licence,
        ),
        emotions=manifest.emotions or (),
        controls=controls_of(manifest),
        languages=manifest.spoken_languages,
        style_prompts=takes_style_prompts(manifest),
        reads_style=reads_style(manifest),
        expression=EXPRESSIONS_OUT[best_of(manifest)],
        fabricated=bool(manifest.fabricated),
        delivery=_delivery(manifest.delivery),
        tags=manifest.tags if state.tags is None else state.tags,
        gender=manifest.gender if state.gender is None else state.gender,
        labels=record.labels_of(manifest.version),
        traffic=_traffic(state),
    )


def _delivery(delivery: PresetDelivery | None) -> voices_pb2.PresetDelivery | None:
    if delivery is None:
        return None
    fallback = speech_pb2.EMOTION_FALLBACK_UNSPECIFIED
    if delivery.fallback:
        fallback = speech_pb2.EMOTION_FALLBACK_PROSODY
    return voices_pb2.PresetDelivery(
        emotions=delivery.emotions,
        intensity=delivery.intensity,
        controls=delivery.controls,
        style_prompt=delivery.style_prompt,
        fallback=fallback,
    )


def broken(record: VoiceRecord, version: int, error: VoxswapError) -> voices_pb2.Voice:
    """A version that cannot be used, and why."""
    return voices_pb2.Voice(
        id=record.voice_id,
        version=version,
        labels=record.labels_of(version),
        traffic=_traffic(record.state),
        problem=error.message[:_MAX_PROBLEM_CHARACTERS].encode(errors="replace").decode(),
    )


def listing(found: VoiceListing) -> voices_pb2.Voice:
    """A voice at its newest version, or what is wrong with it."""
    error = found.error or VoxswapError("its newest version cannot be read")
    if found.newest is not None:
        try:
            return voice(found.newest, found.record)
        except ManifestError as fault:
            error = fault
    return broken(found.record, found.versions[-1], error)


def page_of(items: Iterable[_M], size: int) -> tuple[list[_M], bool]:
    """The first of ``items``, as many as one answer holds but at least one; whether more follow."""
    found: list[_M] = []
    size_bytes = 0
    for item in items:
        size_bytes += item.ByteSize()
        if found and (len(found) == size or size_bytes > MAX_ANSWER_BYTES):
            return found, True
        found.append(item)
    return found, False


def labels(record: VoiceRecord) -> list[voices_pb2.Label]:
    """The labels of a voice, by name."""
    return _labels(record.state)


def change(state: VoiceState) -> voices_pb2.Change:
    """One entry of a voice's history."""
    return voices_pb2.Change(
        revision=state.revision,
        action=state.change.action,
        actor=state.change.actor,
        time=_stamp(state.change.time),
        note=state.change.note,
        labels=_labels(state),
        traffic=_traffic(state),
    )


def edit(request: voices_pb2.UpdateVoiceRequest) -> tuple[str, Edit]:
    """A voice id and what to change of it. Raises `InvalidInputError` naming every bad field."""
    voice_id = check_voice_id(request.voice.id, field="voice.id")
    _check_counts(request)
    paths = set(request.update_mask.paths)
    faults = []
    if not paths:
        faults.append(FieldViolation("update_mask", f"is empty; name {', '.join(_UPDATABLE)}"))
    faults += [
        FieldViolation(
            "update_mask", f"names {path[:64]!r}, which never changes; use {', '.join(_UPDATABLE)}"
        )
        for path in sorted(paths.difference(_UPDATABLE))
    ]
    if "labels" in paths and request.voice.version < 1:
        faults.append(
            FieldViolation("voice.version", "is not set; name the version that gets the labels")
        )
    if "traffic" in paths:
        versions = [share.version for share in request.voice.traffic]
        if len(set(versions)) != len(versions):
            faults.append(FieldViolation("voice.traffic", "names a version twice; add its weights"))
    if request.warm_up and not ("labels" in paths and request.voice.labels):
        faults.append(
            FieldViolation("warm_up", "goes with labels to set; leave it unset otherwise")
        )
    if request.test_text:
        descriptions = text_faults(request.test_text, MAX_TEST_CHARACTERS)
        faults += [FieldViolation("test_text", description) for description in descriptions]
    if faults:
        raise InvalidInputError(faults)
    sent = request.voice
    return voice_id, Edit(
        exact_labels=(sent.version, frozenset(sent.labels)) if "labels" in paths else None,
        traffic={s.version: s.weight for s in sent.traffic} if "traffic" in paths else None,
        display_name=sent.display_name if "display_name" in paths else None,
        tags=tuple(dict.fromkeys(sent.tags)) if "tags" in paths else None,
        gender=sent.gender if "gender" in paths else None,
    )


def preset(request: voices_pb2.CreatePresetRequest) -> tuple[VoiceRef, AskedPreset]:
    """The base of a preset and what it shall say. Raises `InvalidInputError`."""
    check_voice_id(request.voice, field="voice")
    check_text("actor", request.actor, MAX_ACTOR_CHARACTERS)
    check_text("display_name", request.display_name, MAX_NAME_CHARACTERS)
    if len(request.tags) > MAX_TAGS:
        told = f"are {len(request.tags)}; send {MAX_TAGS} at most"
        raise InvalidInputError.one("tags", told)
    for tag in request.tags:
        check_tag(tag, field="tags")
    if request.gender:
        check_tag(request.gender, field="gender")
    if request.label:
        check_label(request.label)
    return VoiceRef.parse(request.base, field="base"), AskedPreset(
        emotions=dict(request.emotions) or None,
        intensity=request.intensity if request.HasField("intensity") else None,
        controls=dict(request.controls),
        style_prompt=request.style_prompt.strip() or None,
        display_name=request.display_name,
        tags=tuple(dict.fromkeys(request.tags)) or None,
        gender=request.gender or None,
    )


def _check_counts(request: voices_pb2.UpdateVoiceRequest) -> None:
    """Before anything is looked at one by one: a small message may hold very many."""
    paths, sent = request.update_mask.paths, request.voice
    faults = [
        FieldViolation(field, f"are {count}; send {most} at most")
        for field, count, most in (
            ("update_mask", len(paths), _MAX_PATHS),
            ("labels", len(sent.labels), MAX_LABELS),
            ("tags", len(sent.tags), MAX_TAGS),
            ("traffic", len(sent.traffic), MAX_SHARES),
        )
        if count > most and (field == "update_mask" or field in paths[:_MAX_PATHS])
    ]
    if faults:
        raise InvalidInputError(faults)


def label_or_stable(text: str) -> str:
    """The label that is meant. Raises `InvalidInputError`."""
    return check_label(text) if text else STABLE


class UploadEvents:
    """The messages of an upload, as events. Raises `InvalidInputError` for one that is none.

    No generator: what grpc cancels leaves nothing suspended here.
    """

    def __init__(self, messages: AsyncIterable[voices_pb2.RegisterVoiceRequest]) -> None:
        self._messages = aiter(messages)

    def __aiter__(self) -> UploadEvents:
        return self

    async def __anext__(self) -> UploadEvent:
        message = await anext(self._messages)
        match message.WhichOneof("part"):
            case "manifest_json":
                return _opening(message)
            case "component":
                piece = message.component
                return Piece(piece.digest, piece.offset_bytes, piece.data)
            case "commit":
                return Commit()
        return Blank()


def _opening(message: voices_pb2.RegisterVoiceRequest) -> Opening:
    if message.version < 0 or message.version > 999_999_999:
        raise InvalidInputError.one("version", "must be from 1 to 999999999; or leave it unset")
    label = check_label(message.label) if message.label else None
    actor = check_text("actor", message.actor, 128)
    return Opening(message.manifest_json, message.version or None, label, actor)


def wanted_components(request: voices_pb2.FindMissingComponentsRequest) -> dict[str, Component]:
    """Components by digest. Raises `InvalidInputError`."""
    if len(request.components) > MAX_COMPONENTS:
        raise InvalidInputError.one("components", f"are more than {MAX_COMPONENTS}; ask in parts")
    return {
        check_digest(c.digest): Component(c.role, c.digest, c.size_bytes, c.media_type)
        for c in request.components
    }


def voice_only(text: str) -> str:
    """The id of a voice where no version may be named. Raises `InvalidInputError`."""
    return check_voice_id(text, field="voice")


def ref(text: str) -> VoiceRef:
    """A reference to a voice. Raises `InvalidInputError`."""
    return VoiceRef.parse(text)


def revision_start(token: str) -> int | None:
    """The revision below which a page begins; None for the first. Raises `InvalidInputError`."""
    if not token:
        return None
    text = opened_token(token)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise no_token()
    return int(text)


def _labels(state: VoiceState) -> list[voices_pb2.Label]:
    return [voices_pb2.Label(name=k, version=v) for k, v in sorted(state.labels.items())]


def _traffic(state: VoiceState) -> Sequence[voices_pb2.TrafficShare]:
    return [
        voices_pb2.TrafficShare(version=version, weight=weight)
        for version, weight in sorted(state.traffic.items())
    ]


def _stamp(text: str) -> timestamp_pb2.Timestamp | None:
    stamp = timestamp_pb2.Timestamp()
    try:
        stamp.FromDatetime(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None
    return stamp
