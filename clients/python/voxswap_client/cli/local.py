"""A registry, in a folder or a bucket, worked on without a server."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_client.cli.commands import Container
from voxswap_client.cli.failure import CliError, usage_error
from voxswap_client.cli.serve import not_installed
from voxswap_client.types import (
    Change,
    Component,
    EmotionFallback,
    Expression,
    LabelMove,
    PresetDelivery,
    Provenance,
    TrafficShare,
    Voice,
    VoiceDetails,
)

if TYPE_CHECKING:
    from voxswap_registry.errors import VoxswapError
    from voxswap_registry.manifest import Manifest
    from voxswap_registry.state import VoiceRecord, VoiceState
    from voxswap_registry.store import Registry

DEFAULT_REGISTRY = "var/registry"
DEFAULT_CACHE = Path("var/cache")


def add_registry(
    parser: Container,
    text: str = "a registry's folder, or s3://, gs://, az://… "
    f"(default: $VOXSWAP_REGISTRY or {DEFAULT_REGISTRY})",
) -> None:
    """Add ``--registry``."""
    parser.add_argument("--registry", metavar="FOLDER|URL", help=text)


def registry_location(args: argparse.Namespace, *, must_exist: bool = True) -> str:
    """The folder or URL that was asked for, by option or environment, or the usual folder.

    Raises `CliError`.
    """
    location: str = args.registry or os.environ.get("VOXSWAP_REGISTRY") or DEFAULT_REGISTRY
    if must_exist and "://" not in location and not Path(location).is_dir():
        raise CliError(
            f"there is no registry folder at {location}",
            "name one with --registry or VOXSWAP_REGISTRY, or make it with "
            f"`voxswap voices add … --registry {location}`",
        )
    return location


@contextlib.contextmanager
def errors_told() -> Iterator[None]:
    """What the registry and its importers raise leaves the block as `CliError`."""
    try:
        from voxswap_registry.errors import InvalidInputError, VoxswapError
    except ImportError as error:
        raise not_installed("the registry", error) from error
    try:
        yield
    except InvalidInputError as error:
        raise CliError(str(error), exit_code=2) from error
    except VoxswapError as error:
        raise CliError(str(error)) from error
    except ImportError as error:
        raise not_installed("the importer", error) from error


@contextlib.contextmanager
def opened(location: str) -> Iterator[Registry]:
    """The registry at ``location``; its errors leave the block as `CliError`."""
    with errors_told():
        try:
            from voxswap_registry.store import Registry
        except ImportError as error:
            raise not_installed("the registry", error) from error
        cache_dir = Path(os.environ.get("VOXSWAP_CACHE_DIR") or DEFAULT_CACHE)
        yield Registry.open(location, cache_dir=cache_dir)


class LocalCatalog:
    """What the commands ask of a registry: the methods of `voxswap_client.Client`, without one."""

    def __init__(self, location: str) -> None:
        self._location = location

    def list_voices(
        self,
        *,
        prefix: str = "",
        language: str = "",
        engine: str = "",
        tags: Sequence[str] = (),
        gender: str = "",
        search: str = "",
    ) -> Iterator[Voice]:
        """Voices at their newest version, filtered as a server filters them."""
        with opened(self._location) as registry:
            from voxswap_registry.catalog.catalog import Catalog
            from voxswap_registry.catalog.index import VoiceFilter

            wanted = VoiceFilter(prefix, language, engine, gender, tuple(tags), search)
            with Catalog(registry) as catalog:
                catalog.refresh()
                for listing in catalog.listings(wanted):
                    if listing.newest is not None:
                        yield as_voice(listing.newest, listing.record)
                    else:
                        yield _broken(listing.record, listing.versions[-1], listing.error)

    def get_voice_details(self, ref: str) -> VoiceDetails:
        """One voice with its versions, labels and revision."""
        with opened(self._location) as registry:
            from voxswap_registry.names import VoiceRef
            from voxswap_registry.resolution import chosen_version

            parsed = VoiceRef.parse(ref)
            record = registry.record(parsed.voice_id)
            version = chosen_version(record, parsed)
            return VoiceDetails(
                voice=as_voice(registry.read(record.voice_id, version), record),
                versions=tuple(reversed(record.versions)),
                labels=dict(sorted(record.state.labels.items())),
                revision=record.state.revision,
            )

    def list_versions(self, voice_id: str) -> list[Voice]:
        """All versions of a voice, the newest first."""
        with opened(self._location) as registry:
            record = registry.record(voice_id)
            return [_version(registry, record, version) for version in reversed(record.versions)]

    def list_changes(self, voice_id: str) -> Iterator[Change]:
        """The history of a voice, the newest first."""
        with opened(self._location) as registry:
            registry.record(voice_id)
            for state in registry.history(voice_id):
                yield Change(
                    revision=state.revision,
                    action=state.change.action,
                    actor=state.change.actor,
                    time=_time(state.change.time),
                    note=state.change.note,
                    labels=dict(sorted(state.labels.items())),
                    traffic=_traffic(state),
                )

    def update_voice(
        self,
        voice_id: str,
        *,
        display_name: str | None = None,
        tags: Sequence[str] | None = None,
        gender: str | None = None,
        traffic: Mapping[int, int] | None = None,
        actor: str = "",
        note: str = "",
    ) -> Voice:
        """Change what is not None, all at once or nothing."""
        with opened(self._location) as registry:
            from voxswap_registry.state import Edit

            edit = Edit(
                traffic=traffic,
                display_name=display_name,
                tags=None if tags is None else tuple(tags),
                gender=gender,
            )
            record = registry.edit(voice_id, edit, actor=actor, note=note)
            return _version(registry, record, record.versions[-1])

    def promote(
        self,
        ref: str,
        label: str = "stable",
        *,
        warm_up: bool = False,
        test_text: str = "",
        actor: str = "",
        note: str = "",
    ) -> LabelMove:
        """Move a label to a version."""
        if warm_up or test_text:
            raise usage_error(
                "a registry cannot let a version speak",
                "name a server that can, with --address HOST:PORT",
            )
        with opened(self._location) as registry:
            from voxswap_registry.names import VoiceRef
            from voxswap_registry.resolution import chosen_version
            from voxswap_registry.state import Edit

            parsed = VoiceRef.parse(ref)
            version = previous = 0

            def moved(record: VoiceRecord) -> VoiceState:
                nonlocal version, previous
                version = chosen_version(record, parsed)
                previous = record.state.labels.get(label, 0)
                registry.read(record.voice_id, version)  # Nobody is led to what cannot be read.
                return Edit(moves={label: version}).applied(record)

            record = registry.change(parsed.voice_id, moved, actor=actor, note=note)
            return LabelMove(_version(registry, record, version), previous)

    def withdraw_label(self, voice_id: str, label: str, *, actor: str = "", note: str = "") -> int:
        """Take a label away; the version that it named."""
        with opened(self._location) as registry:
            from voxswap_registry.names import VoiceRef
            from voxswap_registry.resolution import chosen_version
            from voxswap_registry.state import Edit

            ref = VoiceRef.parse(f"{voice_id}@{label}", field="label")
            version = 0

            def without(record: VoiceRecord) -> VoiceState:
                nonlocal version
                version = chosen_version(record, ref)
                return Edit(moves={label: None}).applied(record)

            registry.change(ref.voice_id, without, actor=actor, note=note)
            return version

    def roll_back(
        self, voice_id: str, label: str = "stable", *, actor: str = "", note: str = ""
    ) -> LabelMove:
        """Move a label back to the version that it named before."""
        with opened(self._location) as registry:
            left, version = registry.roll_back(voice_id, label, actor=actor, note=note)
            return LabelMove(_version(registry, registry.record(voice_id), version), left)

    def delete_voice(self, ref: str, *, actor: str = "", note: str = "") -> tuple[int, ...]:
        """Delete a version, or a voice with all its versions; the newest first."""
        with opened(self._location) as registry:
            from voxswap_registry.names import VoiceRef

            gone = registry.delete(VoiceRef.parse(ref), actor=actor, note=note)
            return tuple(sorted(gone, reverse=True))


def as_voice(manifest: Manifest, record: VoiceRecord) -> Voice:
    """A version as a server's own answer would show it."""
    from voxswap_registry.families import (
        controls_of,
        rules_of,
        style_prompts_of,
        style_size_of,
    )

    rules = rules_of(manifest.engine)
    origin, state = manifest.provenance, record.state
    return Voice(
        id=manifest.voice_id,
        version=manifest.version,
        display_name=manifest.display_name if state.display_name is None else state.display_name,
        language=manifest.language,
        engine=manifest.engine,
        sample_rate_hertz=manifest.audio.sample_rate_hertz,
        speakers=tuple(sorted(manifest.speakers, key=manifest.speakers.__getitem__)),
        components=tuple(
            Component(c.role, c.digest, c.size_bytes, c.media_type, c.form or "")
            for c in manifest.components
        ),
        licence=manifest.licence,
        provenance=Provenance(
            origin.source, origin.tool, _time(origin.created), origin.note, origin.code_licence
        ),
        tags=manifest.tags if state.tags is None else state.tags,
        gender=manifest.gender if state.gender is None else state.gender,
        labels=record.labels_of(manifest.version),
        traffic=_traffic(state),
        emotions=manifest.emotions or (),
        controls=tuple(controls_of(manifest)),
        languages=manifest.spoken_languages,
        expression=Expression.NATIVE if manifest.emotions else Expression.PROSODY,
        style_prompts=rules is not None and style_prompts_of(rules),
        reads_style=rules is not None and style_size_of(rules) > 0,
        fabricated=bool(manifest.fabricated),
        delivery=_delivery(manifest),
    )


def _delivery(manifest: Manifest) -> PresetDelivery | None:
    found = manifest.delivery
    if found is None:
        return None
    fallback = None if found.fallback is None else EmotionFallback(found.fallback)
    numbers = dict(found.emotions), found.intensity, dict(found.controls)
    return PresetDelivery(*numbers, found.style_prompt, fallback)


def _version(registry: Registry, record: VoiceRecord, version: int) -> Voice:
    from voxswap_registry.errors import VoxswapError

    try:
        return as_voice(registry.read(record.voice_id, version), record)
    except VoxswapError as error:
        return _broken(record, version, error)


def _broken(record: VoiceRecord, version: int, error: VoxswapError | None) -> Voice:
    return Voice(
        id=record.voice_id,
        version=version,
        display_name="",
        language="",
        engine="",
        sample_rate_hertz=0,
        speakers=(),
        components=(),
        licence="",
        provenance=Provenance("", "", None),
        labels=record.labels_of(version),
        traffic=_traffic(record.state),
        problem=str(error),
    )


def _traffic(state: VoiceState) -> tuple[TrafficShare, ...]:
    return tuple(TrafficShare(version, weight) for version, weight in sorted(state.traffic.items()))


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
