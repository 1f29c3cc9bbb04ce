"""``GET /v1/voices``: what is registered."""

from __future__ import annotations

import asyncio

from starlette.datastructures import QueryParams

from voxswap_registry.errors import FieldViolation, InvalidInputError
from voxswap_registry.names import VoiceRef
from voxswap_registry.resolution import chosen_version
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.native import told
from voxswap_server.doors.http.services import Services
from voxswap_server.voices import browsing

_FILTERS = ("prefix", "language", "engine", "gender", "search")
_MOST_PARAMETERS = 64


class VoiceHandlers:
    """Reads the catalog. Confined to one event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def voices(self, exchange: Exchange) -> None:
        """A page of voices, by id, each at its newest version."""
        asked = parameters(exchange, *_FILTERS, "tag", "page_size", "page_token")
        size = browsing.page_size(whole_number(asked, "page_size"))
        after = browsing.page_start(asked.get("page_token", ""))
        wanted = browsing.voice_filter(
            **{name: asked.get(name, "") for name in _FILTERS}, tags=asked.getlist("tag")
        )

        def page() -> told.Told:
            catalog = self._services.catalog
            found = list(browsing.listings(catalog, wanted, after=after, limit=size + 1))
            more = len(found) > size
            token = browsing.page_token(found[size - 1].voice_id) if more else ""
            voices = [told.listing(voice) for voice in found[:size]]
            return {"voices": voices, "next_page_token": token}

        await exchange.answer_json(await asyncio.to_thread(page))

    async def voice(self, exchange: Exchange) -> None:
        """One voice at one version."""
        ref = VoiceRef.parse(exchange.request.path_params["voice"])
        catalog = self._services.catalog
        record = catalog.record(ref.voice_id)
        manifest = catalog.manifest(record, chosen_version(record, ref))
        await exchange.answer_json(told.voice(manifest, record))


def parameters(exchange: Exchange, *known: str) -> QueryParams:
    """Those after the question mark. Raises `InvalidInputError` for what is not known."""
    asked = exchange.request.query_params
    strange = [name for name in asked if name not in known][:8]
    if strange:
        there = ", ".join(known) or "none"
        raise InvalidInputError(
            [FieldViolation(f"{n:.32}", f"is not known here; there are {there}") for n in strange]
        )
    if len(asked.multi_items()) > _MOST_PARAMETERS:
        raise InvalidInputError.one("query", f"has more than {_MOST_PARAMETERS} parameters")
    return asked


def whole_number(asked: QueryParams, name: str, otherwise: int = 0) -> int:
    """A parameter that is one. Raises `InvalidInputError`."""
    text = asked.get(name, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise InvalidInputError.one(name, f"is {text[:32]!r}; use a whole number")
    return int(text)


def truth(asked: QueryParams, name: str) -> bool:
    """A parameter that says yes or no. Raises `InvalidInputError`."""
    text = asked.get(name, "").lower()
    if text not in {"", "true", "false", "1", "0"}:
        raise InvalidInputError.one(name, f"is {text[:32]!r}; use true or false")
    return text in {"true", "1"}
