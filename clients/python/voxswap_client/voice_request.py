"""Keyword arguments become the requests of VoiceService here, for both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from voxswap.v1 import voices_pb2
from voxswap_client.fields import fitting, invalid
from voxswap_client.retry import Repeat
from voxswap_client.types import VoiceDetails

# Whether each of the tries of a promotion is the last.
PROMOTION_TRIES = (False, False, False, False, True)


def list_voices(
    *,
    prefix: str,
    language: str,
    engine: str,
    tags: Sequence[str],
    gender: str,
    page_size: int,
) -> voices_pb2.ListVoicesRequest:
    """Asks for the first page."""
    with fitting():
        return voices_pb2.ListVoicesRequest(
            prefix=prefix,
            language=language,
            engine=engine,
            tags=_words(tags, "tags"),
            gender=gender,
            page_size=page_size,
        )


def register_voice(
    manifest_json: bytes, *, label: str, version: int, actor: str
) -> voices_pb2.RegisterVoiceRequest:
    """The first message of an upload."""
    with fitting():
        return voices_pb2.RegisterVoiceRequest(
            manifest_json=manifest_json, label=label, version=version, actor=actor
        )


def update_voice(
    voice_id: str,
    *,
    display_name: str | None,
    tags: Sequence[str] | None,
    gender: str | None,
    traffic: Mapping[int, int] | None,
    revision: int | None,
    actor: str,
    note: str,
) -> voices_pb2.UpdateVoiceRequest:
    """Changes what is not None; the mask names just that."""
    changes = {
        "display_name": display_name,
        "tags": tags,
        "gender": gender,
        "traffic": traffic,
    }
    paths = [path for path, value in changes.items() if value is not None]
    if not paths:
        raise invalid("update_mask", f"is empty; give at least one of {', '.join(changes)}")
    with fitting():
        return voices_pb2.UpdateVoiceRequest(
            voice=voices_pb2.Voice(
                id=voice_id,
                display_name=display_name or "",
                tags=_words(tags or (), "tags"),
                gender=gender or "",
                traffic=[
                    voices_pb2.TrafficShare(version=version, weight=weight)
                    for version, weight in (traffic or {}).items()
                ],
            ),
            update_mask=FieldMask(paths=paths),
            revision=revision,
            actor=actor,
            note=note,
        )


def set_labels(
    ref: str,
    labels: Iterable[str],
    *,
    warm_up: bool,
    test_text: str,
    revision: int | None,
    actor: str,
    note: str,
) -> voices_pb2.UpdateVoiceRequest:
    """Gives the version that ``ref`` numbers these labels and no others."""
    voice_id, _, number = ref.partition("@")
    if not (number.isascii() and number.isdecimal()):
        raise invalid("ref", f"{ref!r} has no version number; write it as npc/smith@3")
    with fitting():
        return voices_pb2.UpdateVoiceRequest(
            voice=voices_pb2.Voice(
                id=voice_id, version=int(number), labels=_words(labels, "labels")
            ),
            update_mask=FieldMask(paths=["labels"]),
            revision=revision,
            warm_up=warm_up,
            test_text=test_text,
            actor=actor,
            note=note,
        )


def check_promotable(ref: str) -> None:
    """Raise `InvalidRequestError` for a bare id: which version it means may change meanwhile."""
    if "@" not in ref:
        raise invalid(
            "ref", f"{ref!r} does not say which version; write {ref}@3, or {ref}@canary by label"
        )


def promotion(
    details: VoiceDetails, label: str, *, warm_up: bool, test_text: str, actor: str, note: str
) -> voices_pb2.UpdateVoiceRequest | None:
    """Adds ``label`` to the version of ``details`` if the voice is as it was read.

    None if the version has the label and need not prove itself: there is nothing to do.
    """
    version = details.voice.version
    kept = {name for name, named in details.labels.items() if named == version}
    if label in kept and not warm_up:
        return None
    return set_labels(
        details.voice.ref,
        sorted({*kept, label}),
        warm_up=warm_up,
        test_text=test_text,
        revision=details.revision,
        actor=actor,
        note=note,
    )


def withdrawal(
    details: VoiceDetails, label: str, *, actor: str, note: str
) -> voices_pb2.UpdateVoiceRequest:
    """Takes ``label`` from the version of ``details`` if the voice is as it was read."""
    version = details.voice.version
    kept = {name for name, named in details.labels.items() if named == version and name != label}
    return set_labels(
        details.voice.ref,
        sorted(kept),
        warm_up=False,
        test_text="",
        revision=details.revision,
        actor=actor,
        note=note,
    )


def repeat(request: voices_pb2.UpdateVoiceRequest) -> Repeat:
    """An update with a revision happens once at most, however often it is sent."""
    return Repeat.IF_ASKED if request.HasField("revision") else Repeat.NEVER


def _words(values: Iterable[str], field: str) -> list[str]:
    if isinstance(values, str):
        raise invalid(field, f"is the text {values!r}; give a list of texts")
    return list(values)
