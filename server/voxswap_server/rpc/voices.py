"""VoiceService: the catalog, and whatever changes the registry."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterable

from voxswap.v1 import voices_pb2, voices_pb2_grpc
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import VoxswapError
from voxswap_registry.names import VoiceRef
from voxswap_registry.resolution import chosen_version
from voxswap_registry.state import VoiceRecord, VoiceState
from voxswap_registry.upload import missing
from voxswap_server.rpc import voice_messages as messages
from voxswap_server.rpc.calls import mapped
from voxswap_server.rpc.status import Context
from voxswap_server.rpc.uploads import Uploads
from voxswap_server.speech.self_test import SelfTest


class VoiceServicer(voices_pb2_grpc.VoiceServiceServicer):
    """Reads the catalog at once; changes the registry on worker threads. Holds no state.

    Whoever has changed a voice here finds it changed here at once; other servers within seconds.
    """

    def __init__(self, catalog: Catalog, uploads: Uploads, self_test: SelfTest) -> None:
        self._catalog = catalog
        self._registry = catalog.registry
        self._uploads = uploads
        self._self_test = self_test

    @mapped
    async def ListVoices(  # noqa: N802
        self, request: voices_pb2.ListVoicesRequest, context: Context
    ) -> voices_pb2.ListVoicesResponse:
        """A page of voices, by id."""
        size = messages.page_size(request.page_size)
        after = messages.page_start(request.page_token)
        wanted = messages.voice_filter(request)

        def page() -> voices_pb2.ListVoicesResponse:
            found = self._catalog.page(wanted, after=after, limit=size + 1)
            more = len(found) > size
            return voices_pb2.ListVoicesResponse(
                voices=map(messages.listing, found[:size]),
                next_page_token=messages.page_token(found[size - 1].voice_id) if more else "",
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
            return voices_pb2.ListVersionsResponse(versions=found)

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

        def page() -> list[VoiceState]:
            history = self._registry.history(voice_id, below=below)
            return list(itertools.islice(history, size + 1))

        found = await asyncio.to_thread(page)
        more = len(found) > size
        return voices_pb2.ListChangesResponse(
            changes=map(messages.change, found[:size]),
            next_page_token=messages.page_token(str(found[size - 1].revision)) if more else "",
        )

    @mapped
    async def FindMissingComponents(  # noqa: N802
        self, request: voices_pb2.FindMissingComponentsRequest, context: Context
    ) -> voices_pb2.FindMissingComponentsResponse:
        """The components that an upload must bring."""
        wanted = messages.wanted_components(request)
        lacking = await asyncio.to_thread(missing, self._registry, wanted)
        return voices_pb2.FindMissingComponentsResponse(digests=lacking)

    @mapped
    async def RegisterVoice(  # noqa: N802
        self, request: AsyncIterable[voices_pb2.RegisterVoiceRequest], context: Context
    ) -> voices_pb2.RegisterVoiceResponse:
        """Take an upload in, and publish it."""
        manifest, created = await self._uploads.receive(request)
        record = await self._refreshed(manifest.voice_id)
        return voices_pb2.RegisterVoiceResponse(
            voice=messages.voice(manifest, record), created=created
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
                    manifest, request.test_text, timeout_s=context.time_remaining()
                )
        await asyncio.to_thread(
            self._registry.edit,
            voice_id,
            edit,
            actor=request.actor,
            note=request.note,
            expected_revision=request.revision if request.HasField("revision") else None,
        )
        record = await self._refreshed(voice_id)
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
        before, after = await asyncio.to_thread(
            self._registry.roll_back,
            voice_id,
            label,
            actor=request.actor,
            note=request.note,
            check=functools.partial(self._catalog.manifest, record),
        )
        record = await self._refreshed(voice_id)
        return voices_pb2.RollBackLabelResponse(
            voice=self._look(record, after), previous_version=before
        )

    @mapped
    async def DeleteVoice(  # noqa: N802
        self, request: voices_pb2.DeleteVoiceRequest, context: Context
    ) -> voices_pb2.DeleteVoiceResponse:
        """Delete a version or a voice."""
        ref = messages.ref(request.voice)
        gone = await asyncio.to_thread(
            self._registry.delete, ref, actor=request.actor, note=request.note
        )
        await asyncio.to_thread(self._catalog.refresh, [ref.voice_id])
        return voices_pb2.DeleteVoiceResponse(versions=sorted(gone, reverse=True))

    async def _refreshed(self, voice_id: str) -> VoiceRecord:
        await asyncio.to_thread(self._catalog.refresh, [voice_id])
        return self._catalog.record(voice_id)

    def _voice(self, record: VoiceRecord, version: int) -> voices_pb2.Voice:
        return messages.voice(self._catalog.manifest(record, version), record)

    def _look(self, record: VoiceRecord, version: int) -> voices_pb2.Voice:
        try:
            return self._voice(record, version)
        except VoxswapError as error:
            return messages.broken(record, version, error)
