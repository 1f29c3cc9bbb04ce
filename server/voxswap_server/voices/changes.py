"""Changing voices: the use cases behind every door that lets operators do so."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from voxswap_families.importing.request import tool_name
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.clock import utc_now
from voxswap_registry.errors import VoxswapError
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.presets import AskedPreset, preset
from voxswap_registry.resolution import chosen_version
from voxswap_registry.state import Edit, VoiceRecord, VoiceState
from voxswap_registry.upload import missing
from voxswap_server.voices.labelling import Labelling
from voxswap_server.voices.self_test import SelfTest, SelfTestError
from voxswap_server.voices.store_calls import StoreCalls
from voxswap_server.voices.uploads import Received, UploadEvent, Uploads

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and what they say of it; for the history."""

    actor: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """That ``version`` speaks ``text`` (or the usual line) before an edit leads anybody to it."""

    version: int
    text: str = ""


class VoiceChanges:
    """Changes the registry on ``store``'s threads. Confined to one event loop; holds no state.

    Whoever has changed a voice here finds it changed in ``catalog`` at once; other servers within
    seconds. ``timeout_s`` is how long the caller waits for a version that is to speak first.
    """

    def __init__(
        self, catalog: Catalog, store: StoreCalls, uploads: Uploads, self_test: SelfTest
    ) -> None:
        self._catalog = catalog
        self._registry = catalog.registry
        self._store = store
        self._uploads = uploads
        self._self_test = self_test
        self._labelling = Labelling(self._registry, store, self_test)

    async def missing(self, wanted: dict[str, Component]) -> Sequence[str]:
        """The digests of ``wanted`` that an upload must bring."""
        return await self._store.run(missing, self._registry, wanted)

    async def register(
        self, upload: AsyncIterator[UploadEvent], *, timeout_s: float | None
    ) -> tuple[Manifest, VoiceRecord, bool]:
        """Take an upload in, publish it, and give it its label once it has spoken.

        The version, its voice then, and whether the version is new. Raises as `Uploads.receive`
        and `Labelling.move` do.
        """
        received = await self._uploads.receive(upload)
        return await self._labelled(received, timeout_s)

    async def preset(
        self,
        base: VoiceRef,
        voice_id: str,
        asked: AskedPreset,
        *,
        label: str | None,
        actor: str,
        timeout_s: float | None,
    ) -> tuple[Manifest, VoiceRecord, bool]:
        """Publish a preset of ``base``, and give it its label once it has spoken.

        As `register`. Raises what `presets.preset` and `Labelling.move` raise, `VoiceNotFoundError`
        and `RegistryError`.
        """
        self._uploads.check_label(label)
        record = await self._refreshed(base.voice_id)
        manifest = self._catalog.manifest(record, chosen_version(record, base))
        draft = preset(manifest, voice_id, asked, tool=tool_name(), clock=utc_now)
        made, created = await self._store.run(self._registry.publish_if_new, draft, actor=actor)
        return await self._labelled(Received(made, created, label, actor), timeout_s)

    async def _labelled(
        self, received: Received, timeout_s: float | None
    ) -> tuple[Manifest, VoiceRecord, bool]:
        manifest = received.manifest
        record = await self._after_change(self._known(manifest))
        if received.label is not None:
            try:
                record = await self._labelling.move(
                    received, received.label, record, timeout_s=timeout_s
                )
            except SelfTestError:  # and if it was deleted again, it is gone here at once
                await self._after_change(record)
                raise
            record = await self._after_change(record)
        return manifest, record, received.created

    async def edit(
        self,
        voice_id: str,
        edit: Edit,
        author: Author,
        *,
        trial: Trial | None = None,
        expected_revision: int | None = None,
        timeout_s: float | None = None,
    ) -> VoiceRecord:
        """Change labels, traffic and metadata; the voice then.

        Nobody is led to a version that this server could not speak with. Raises
        `VoiceNotFoundError`, `SelfTestError`, `RevisionConflictError`, `InvalidInputError` and
        `RegistryError`, and then nothing was changed.
        """
        record = await self._refreshed(voice_id)
        for version in _led_to(edit):
            chosen_version(record, VoiceRef(voice_id, version))
            manifest = self._catalog.manifest(record, version)
            if trial is not None and version == trial.version:
                await self._self_test.run(manifest, trial.text, timeout_s=timeout_s)
        changed = await self._store.run(
            self._registry.edit,
            voice_id,
            edit,
            actor=author.actor,
            note=author.note,
            expected_revision=expected_revision,
        )
        return await self._after_change(changed)

    async def roll_back(
        self, voice_id: str, label: str, author: Author
    ) -> tuple[VoiceRecord, int, int]:
        """Move ``label`` back; the voice then, the version that had the label, and that has it now.

        Raises `NothingToRollBackError` and what else the registry raises.
        """
        record = await self._refreshed(voice_id)
        before, after = await self._store.run(
            self._registry.roll_back,
            voice_id,
            label,
            actor=author.actor,
            note=author.note,
            check=functools.partial(self._catalog.manifest, record),
        )
        moved = dataclasses.replace(record.state, labels={**record.state.labels, label: after})
        record = await self._after_change(dataclasses.replace(record, state=moved))
        return record, before, after

    async def delete(self, ref: VoiceRef, author: Author) -> Sequence[int]:
        """Delete a version or a voice; the versions that went, the newest first.

        Raises `VersionInUseError`, `VoiceNotFoundError` and `RegistryError`.
        """
        gone = await self._store.run(
            self._registry.delete, ref, actor=author.actor, note=author.note
        )
        await self._after_change(VoiceRecord(ref.voice_id, (), VoiceState()))
        return sorted(gone, reverse=True)

    async def _refreshed(self, voice_id: str) -> VoiceRecord:
        await self._store.run(self._catalog.refresh, [voice_id])
        return self._catalog.record(voice_id)

    async def _after_change(self, known: VoiceRecord) -> VoiceRecord:
        """The voice after a change that was made; ``known`` if it cannot be looked at now.

        What is done is done: no fault from here on may make it look as if it were not.
        """
        try:
            await self._store.run(self._catalog.refresh, [known.voice_id])
        except VoxswapError as error:
            _LOGGER.warning(
                "%s was changed, and this server sees it when it can read the registry again: %s",
                known.voice_id,
                error,
            )
            return known
        try:
            return self._catalog.record(known.voice_id)
        except VoxswapError:
            return known  # Somebody has deleted it since, or its new state cannot be read yet.

    def _known(self, manifest: Manifest) -> VoiceRecord:
        try:
            return self._catalog.record(manifest.voice_id)
        except VoxswapError:
            return VoiceRecord(manifest.voice_id, (manifest.version,), VoiceState())


def _led_to(edit: Edit) -> list[int]:
    """The versions that an edit leads somebody to."""
    version, labels = edit.exact_labels or (0, ())
    return sorted({*([version] if labels else ()), *(edit.traffic or ())})
