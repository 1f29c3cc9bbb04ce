"""VoiceService: the catalog, as far as it can be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn

from voxswap.v1 import voices_pb2, voices_pb2_grpc
from voxswap_registry.errors import FieldViolation, NotBuiltError, RegistryError
from voxswap_registry.names import VoiceRef, check_voice_id
from voxswap_registry.store import Registry, VoiceListing
from voxswap_server.rpc import translate
from voxswap_server.rpc.calls import mapped, not_built
from voxswap_server.rpc.status import Context


class VoiceServicer(voices_pb2_grpc.VoiceServiceServicer):
    """Reads the registry on worker threads; holds no state."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @mapped
    async def ListVoices(  # noqa: N802
        self, request: voices_pb2.ListVoicesRequest, context: Context
    ) -> voices_pb2.ListVoicesResponse:
        """A page of voices, by id."""
        unbuilt = [name for name in ("tags", "gender") if getattr(request, name)]
        if unbuilt:
            raise NotBuiltError(
                f"this server does not filter by {' and '.join(unbuilt)} yet",
                [FieldViolation(name, "leave it unset") for name in unbuilt],
            )
        size = translate.page_size(request.page_size)
        after = translate.page_start(request.page_token)
        listings = await asyncio.to_thread(self._registry.voices)
        found = [
            listing
            for listing in sorted(listings, key=lambda listing: listing.voice_id)
            if listing.voice_id > after and _wanted(listing, request)
        ]
        page = found[:size]
        return voices_pb2.ListVoicesResponse(
            voices=[translate.listing(listing) for listing in page],
            next_page_token=translate.page_token(page[-1].voice_id) if len(found) > size else "",
        )

    @mapped
    async def GetVoice(  # noqa: N802
        self, request: voices_pb2.GetVoiceRequest, context: Context
    ) -> voices_pb2.GetVoiceResponse:
        """One voice at one version."""
        ref = VoiceRef.parse(request.voice)
        manifest = await asyncio.to_thread(self._registry.resolve, ref)
        return voices_pb2.GetVoiceResponse(voice=translate.voice(manifest))

    @mapped
    async def ListVersions(  # noqa: N802
        self, request: voices_pb2.ListVersionsRequest, context: Context
    ) -> voices_pb2.ListVersionsResponse:
        """The versions of a voice, the newest first."""
        voice_id = check_voice_id(request.voice, field="voice")
        versions = await asyncio.to_thread(self._history, voice_id)
        return voices_pb2.ListVersionsResponse(versions=versions)

    def _history(self, voice_id: str) -> list[voices_pb2.Voice]:
        versions = self._registry.versions(voice_id)
        if not versions:
            self._registry.resolve(VoiceRef(voice_id))  # raises, and says what is near
        found = []
        for number in reversed(versions):
            try:
                manifest = self._registry.resolve(VoiceRef(voice_id, number))
            except RegistryError as error:
                found.append(voices_pb2.Voice(id=voice_id, version=number, problem=error.message))
            else:
                found.append(translate.voice(manifest))
        return found

    @mapped
    async def RegisterVoice(  # noqa: N802
        self, request: AsyncIterator[voices_pb2.RegisterVoiceRequest], context: Context
    ) -> NoReturn:
        """Not built yet."""
        raise not_built("VoiceService.RegisterVoice")

    @mapped
    async def UpdateVoice(  # noqa: N802
        self, request: voices_pb2.UpdateVoiceRequest, context: Context
    ) -> NoReturn:
        """Not built yet."""
        raise not_built("VoiceService.UpdateVoice")

    @mapped
    async def DeleteVoice(  # noqa: N802
        self, request: voices_pb2.DeleteVoiceRequest, context: Context
    ) -> NoReturn:
        """Not built yet."""
        raise not_built("VoiceService.DeleteVoice")


def _wanted(listing: VoiceListing, request: voices_pb2.ListVoicesRequest) -> bool:
    if not listing.voice_id.startswith(request.prefix):
        return False
    if not request.language and not request.engine:
        return True
    if listing.newest is None:  # nothing is known of it, so no filter on its facts takes it
        return False
    tag, wanted = listing.newest.language.lower(), request.language.lower()
    speaks = not wanted or tag == wanted or tag.startswith(wanted + "-")
    return speaks and request.engine in ("", listing.newest.engine)
