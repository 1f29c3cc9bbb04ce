"""VoiceService: the catalog, and whatever changes the registry."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections.abc import AsyncIterable, Iterator

from voxswap.v1 import voices_pb2, voices_pb2_grpc
from voxswap_registry.catalog.catalog import Catalog, VoiceListing
from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.errors import VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.resolution import chosen_version
from voxswap_registry.state import VoiceRecord, VoiceState
from voxswap_registry.upload import missing
from voxswap_server.rpc import voice_messages as messages
from voxswap_server.rpc.calls import StoreCalls, mapped, patience_s
from voxswap_server.rpc.kept_messages import KeptMessages
from voxswap_server.rpc.labelling import Labelling
from voxswap_server.rpc.status import Context
from voxswap_server.rpc.uploads import Uploads
from voxswap_server.speech.self_test import SelfTest, SelfTestError

_LOGGER = logging.getLogger(__name__)

_BATCH = 100


class VoiceServicer(voices_pb2_grpc.VoiceServiceServicer):
    """Reads the catalog at once; changes the registry on ``store``'s threads. Holds no state.

    Whoever has changed a voice here finds it changed here at once; other servers within seconds.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: StoreCalls,
        uploads: Uploads,
        self_test: SelfTest,
        kept_messages: KeptMessages,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._registry = catalog.registry
        self._uploads = uploads
        self._self_test = self_test
        self._labelling = Labelling(self._registry, store, self_test)
        self._messages = kept_messages

    @mapped
    async def ListVoices(  # noqa: N802
        self, request: voices_pb2.ListVoicesRequest, context: Context
    ) -> voices_pb2.ListVoicesResponse:
        """A page of voices, by id."""
        size = messages.page_size(request.page_size)
        after = messages.page_start(request.page_token)
        wanted = messages.voice_filter(request)

        def page() -> voices_pb2.ListVoicesResponse:
            found = map(messages.listing, self._listings(wanted, after, size + 1))
            voices, more = messages.page_of(found, size)
            return voices_pb2.ListVoicesResponse(
                voices=voices, next_page_token=messages.page_token(voices[-1].id) if more else ""
            )

        return await asyncio.to_thread(page)

    @mapped
    async def GetVoice(  # noqa: N802
        self, request: voices_pb2.GetVoiceRequest, context: Context
    ) -> voices_pb2.GetVoiceResponse:
        """One voice at one version."""
        ref = messages.ref(request.voice)
        record = self._catalog.record(ref.voice_id)
        return voices_pb2.GetVoiceResponse(
            voice=self._voice(record, chosen_version(record, ref)),
            versions=reversed(record.versions),
            labels=messages.labels(record),
            revision=record.state.revision,
        )

    @mapped
    async def ListVersions(  # noqa: N802
        self, request: voices_pb2.ListVersionsRequest, context: Context
    ) -> voices_pb2.ListVersionsResponse:
        """The versions of a voice, the newest first."""
        record = self._catalog.record(messages.voice_only(request.voice))

        def versions() -> voices_pb2.ListVersionsResponse:
            found = (self._look(record, version) for version in reversed(record.versions))
            newest, _ = messages.page_of(found, messages.MAX_VERSIONS)
            return voices_pb2.ListVersionsResponse(versions=newest)

        return await asyncio.to_thread(versions)

    @mapped
    async def ListChanges(  # noqa: N802
        self, request: voices_pb2.ListChangesRequest, context: Context
    ) -> voices_pb2.ListChangesResponse:
        """The history of a voice, the newest first."""
        voice_id = messages.voice_only(request.voice)
        size = messages.page_size(request.page_size)
        below = messages.revision_start(request.page_token)
        self._catalog.record(voice_id)

        def page() -> voices_pb2.ListChangesResponse:
            history = self._registry.history(voice_id, below=below)
            changes, more = messages.page_of(map(messages.change, history), size)
            return voices_pb2.ListChangesResponse(
                changes=changes,
                next_page_token=messages.page_token(str(changes[-1].revision)) if more else "",
            )

        return await self._store.run(page)

    @mapped
    async def FindMissingComponents(  # noqa: N802
        self, request: voices_pb2.FindMissingComponentsRequest, context: Context
    ) -> voices_pb2.FindMissingComponentsResponse:
        """The components that an upload must bring."""
        wanted = messages.wanted_components(request)
        lacking = await self._store.run(missing, self._registry, wanted)
        return voices_pb2.FindMissingComponentsResponse(digests=lacking)

    @mapped
    async def RegisterVoice(  # noqa: N802
        self, request: AsyncIterable[voices_pb2.RegisterVoiceRequest], context: Context
    ) -> voices_pb2.RegisterVoiceResponse:
        """Take an upload in, publish it, and give it its label once it has spoken."""
        received = await self._uploads.receive(request)
        manifest = received.manifest
        record = await self._after_change(self._known(manifest))
        if received.label is not None:
            try:
                record = await self._labelling.move(
                    received, received.label, record, timeout_s=patience_s(context)
                )
            except SelfTestError:  # and if it was deleted again, it is gone here at once
                await self._after_change(record)
                raise
            record = await self._after_change(record)
        return voices_pb2.RegisterVoiceResponse(
            voice=messages.voice(manifest, record), created=received.created
        )

    @mapped
    async def UpdateVoice(  # noqa: N802
        self, request: voices_pb2.UpdateVoiceRequest, context: Context
    ) -> voices_pb2.UpdateVoiceResponse:
        """Change labels, traffic and metadata."""
        voice_id, edit = messages.edit(request)
        record = await self._refreshed(voice_id)
        for version in messages.led_to(edit):
            # Nobody is led to a version that this server could not speak with.
            chosen_version(record, VoiceRef(voice_id, version))
            manifest = self._catalog.manifest(record, version)
            if request.warm_up and version == request.voice.version:
                await self._self_test.run(
                    manifest, request.test_text, timeout_s=patience_s(context)
                )
        changed = await self._store.run(
            self._registry.edit,
            voice_id,
            edit,
            actor=request.actor,
            note=request.note,
            expected_revision=request.revision if request.HasField("revision") else None,
        )
        record = await self._after_change(changed)
        version = request.voice.version or record.versions[-1]
        return voices_pb2.UpdateVoiceResponse(
            voice=self._look(record, version), revision=record.state.revision
        )

    @mapped
    async def RollBackLabel(  # noqa: N802
        self, request: voices_pb2.RollBackLabelRequest, context: Context
    ) -> voices_pb2.RollBackLabelResponse:
        """Move a label back."""
        voice_id = messages.voice_only(request.voice)
        label = messages.label_or_stable(request.label)
        record = await self._refreshed(voice_id)
        before, after = await self._store.run(
            self._registry.roll_back,
            voice_id,
            label,
            actor=request.actor,
            note=request.note,
            check=functools.partial(self._catalog.manifest, record),
        )
        moved = dataclasses.replace(record.state, labels={**record.state.labels, label: after})
        record = await self._after_change(dataclasses.replace(record, state=moved))
        return voices_pb2.RollBackLabelResponse(
            voice=self._look(record, after), previous_version=before
        )

    @mapped
    async def DeleteVoice(  # noqa: N802
        self, request: voices_pb2.DeleteVoiceRequest, context: Context
    ) -> voices_pb2.DeleteVoiceResponse:
        """Delete a version or a voice."""
        ref = messages.ref(request.voice)
        gone = await self._store.run(
            self._registry.delete, ref, actor=request.actor, note=request.note
        )
        await self._after_change(VoiceRecord(ref.voice_id, (), VoiceState()))
        return voices_pb2.DeleteVoiceResponse(versions=sorted(gone, reverse=True))

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

    def _listings(self, wanted: VoiceFilter, after: str, limit: int) -> Iterator[VoiceListing]:
        """The first ``limit`` voices above ``after``; no more than a few are held at a time."""
        while limit and (
            found := self._catalog.page(wanted, after=after, limit=min(limit, _BATCH))
        ):
            yield from found
            after = found[-1].voice_id
            limit -= len(found)

    def _voice(self, record: VoiceRecord, version: int) -> voices_pb2.Voice:
        return self._messages.voice(self._catalog.manifest(record, version), record)

    def _look(self, record: VoiceRecord, version: int) -> voices_pb2.Voice:
        try:
            return self._voice(record, version)
        except VoxswapError as error:
            return messages.broken(record, version, error)
