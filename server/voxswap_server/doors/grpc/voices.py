"""VoiceService: the catalog, and whatever changes the registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable

from voxswap.v1 import voices_pb2, voices_pb2_grpc
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import VoxswapError
from voxswap_registry.resolution import chosen_version
from voxswap_registry.state import VoiceRecord
from voxswap_server.doors.grpc.calls import mapped, patience_s
from voxswap_server.doors.grpc.kept_messages import KeptMessages
from voxswap_server.doors.grpc.status import Context
from voxswap_server.doors.grpc.translate import voices as messages
from voxswap_server.voices import browsing
from voxswap_server.voices.changes import Author, Trial, VoiceChanges
from voxswap_server.voices.store_calls import StoreCalls


class VoiceServicer(voices_pb2_grpc.VoiceServiceServicer):
    """Reads the catalog at once, the history on ``store``'s threads; ``changes`` does the rest."""

    def __init__(
        self,
        catalog: Catalog,
        store: StoreCalls,
        changes: VoiceChanges,
        kept_messages: KeptMessages,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._changes = changes
        self._messages = kept_messages

    @mapped
    async def ListVoices(  # noqa: N802
        self, request: voices_pb2.ListVoicesRequest, context: Context
    ) -> voices_pb2.ListVoicesResponse:
        """A page of voices, by id."""
        size = browsing.page_size(request.page_size)
        after = browsing.page_start(request.page_token)
        wanted = browsing.voice_filter(
            prefix=request.prefix,
            language=request.language,
            engine=request.engine,
            gender=request.gender,
            tags=request.tags,
            search=request.search,
        )

        def page() -> voices_pb2.ListVoicesResponse:
            listed = browsing.listings(self._catalog, wanted, after=after, limit=size + 1)
            found = map(messages.listing, listed)
            voices, more = messages.page_of(found, size)
            return voices_pb2.ListVoicesResponse(
                voices=voices, next_page_token=browsing.page_token(voices[-1].id) if more else ""
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
        size = browsing.page_size(request.page_size)
        below = messages.revision_start(request.page_token)
        self._catalog.record(voice_id)

        def page() -> voices_pb2.ListChangesResponse:
            history = self._catalog.registry.history(voice_id, below=below)
            changes, more = messages.page_of(map(messages.change, history), size)
            return voices_pb2.ListChangesResponse(
                changes=changes,
                next_page_token=browsing.page_token(str(changes[-1].revision)) if more else "",
            )

        return await self._store.run(page)

    @mapped
    async def FindMissingComponents(  # noqa: N802
        self, request: voices_pb2.FindMissingComponentsRequest, context: Context
    ) -> voices_pb2.FindMissingComponentsResponse:
        """The components that an upload must bring."""
        wanted = messages.wanted_components(request)
        lacking = await self._changes.missing(wanted)
        return voices_pb2.FindMissingComponentsResponse(digests=lacking)

    @mapped
    async def RegisterVoice(  # noqa: N802
        self, request: AsyncIterable[voices_pb2.RegisterVoiceRequest], context: Context
    ) -> voices_pb2.RegisterVoiceResponse:
        """Take an upload in, publish it, and give it its label once it has spoken."""
        manifest, record, created = await self._changes.register(
            messages.UploadEvents(request), timeout_s=patience_s(context)
        )
        return voices_pb2.RegisterVoiceResponse(
            voice=messages.voice(manifest, record), created=created
        )

    @mapped
    async def CreatePreset(  # noqa: N802
        self, request: voices_pb2.CreatePresetRequest, context: Context
    ) -> voices_pb2.CreatePresetResponse:
        """Publish a preset, and give it its label once it has spoken."""
        base, asked = messages.preset(request)
        manifest, record, created = await self._changes.preset(
            *(base, request.voice, asked),
            label=request.label or None,
            actor=request.actor,
            timeout_s=patience_s(context),
        )
        return voices_pb2.CreatePresetResponse(
            voice=messages.voice(manifest, record), created=created
        )

    @mapped
    async def UpdateVoice(  # noqa: N802
        self, request: voices_pb2.UpdateVoiceRequest, context: Context
    ) -> voices_pb2.UpdateVoiceResponse:
        """Change labels, traffic and metadata."""
        voice_id, edit = messages.edit(request)
        record = await self._changes.edit(
            *(voice_id, edit, Author(request.actor, request.note)),
            trial=Trial(request.voice.version, request.test_text) if request.warm_up else None,
            expected_revision=request.revision if request.HasField("revision") else None,
            timeout_s=patience_s(context),
        )
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
        author = Author(request.actor, request.note)
        record, before, after = await self._changes.roll_back(voice_id, label, author)
        return voices_pb2.RollBackLabelResponse(
            voice=self._look(record, after), previous_version=before
        )

    @mapped
    async def DeleteVoice(  # noqa: N802
        self, request: voices_pb2.DeleteVoiceRequest, context: Context
    ) -> voices_pb2.DeleteVoiceResponse:
        """Delete a version or a voice."""
        author = Author(request.actor, request.note)
        gone = await self._changes.delete(messages.ref(request.voice), author)
        return voices_pb2.DeleteVoiceResponse(versions=gone)

    def _voice(self, record: VoiceRecord, version: int) -> voices_pb2.Voice:
        return self._messages.voice(self._catalog.manifest(record, version), record)

    def _look(self, record: VoiceRecord, version: int) -> voices_pb2.Voice:
        try:
            return self._voice(record, version)
        except VoxswapError as error:
            return messages.broken(record, version, error)
