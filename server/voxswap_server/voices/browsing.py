"""Looking through the catalog a page at a time, behind every door."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from voxswap_registry.catalog.catalog import Catalog, VoiceListing
from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.errors import InvalidInputError, VoiceNotFoundError
from voxswap_registry.names import check_tag, check_voice_id

MAX_PAGE_SIZE, DEFAULT_PAGE_SIZE = 1000, 100
_MAX_SEARCH_CHARACTERS, _MAX_TAGS = 200, 32
_BATCH = 100


def listings(
    catalog: Catalog, wanted: VoiceFilter, *, after: str, limit: int
) -> Iterator[VoiceListing]:
    """The first ``limit`` voices above ``after``; no more than a few are held at a time.

    Blocks on this machine's disk.
    """
    while limit and (found := catalog.page(wanted, after=after, limit=min(limit, _BATCH))):
        yield from found
        after = found[-1].voice_id
        limit -= len(found)


def first_of(catalog: Catalog, language: str) -> str:
    """The id of the first voice, by id, that speaks ``language``; of any if that is empty.

    For whoever names none. ``en`` is spoken by voices of ``en-US`` too; ``en_US`` is ``en-US``.
    Blocks on this machine's disk. Raises `VoiceNotFoundError`.
    """
    wanted = VoiceFilter(language=language.replace("_", "-"))
    for found in listings(catalog, wanted, after="", limit=MAX_PAGE_SIZE):
        if found.newest is not None:
            return found.voice_id
    raise VoiceNotFoundError(
        f"no voice speaks {language[:64]!r}; name a voice, or another language"
        if language
        else "no voice is registered yet; add one with: voxswap voices add"
    )


def voice_filter(
    *,
    prefix: str = "",
    language: str = "",
    engine: str = "",
    gender: str = "",
    tags: Sequence[str] = (),
    search: str = "",
) -> VoiceFilter:
    """Which voices are wanted. Raises `InvalidInputError`."""
    if len(tags) > _MAX_TAGS:
        raise InvalidInputError.one("tags", f"are more than {_MAX_TAGS}; ask for fewer")
    if len(search) > _MAX_SEARCH_CHARACTERS:
        raise InvalidInputError.one(
            "search", f"is longer than {_MAX_SEARCH_CHARACTERS} characters; search for less"
        )
    return VoiceFilter(
        prefix=prefix,
        language=language,
        engine=engine,
        gender=gender,
        tags=tuple(check_tag(tag, field="tags") for tag in tags),
        search=search,
    )


def page_size(asked: int) -> int:
    """The page size that is meant. Raises `InvalidInputError`."""
    if not 0 <= asked <= MAX_PAGE_SIZE:
        raise InvalidInputError.one(
            "page_size", f"is {asked}; use 1 to {MAX_PAGE_SIZE}, or 0 for {DEFAULT_PAGE_SIZE}"
        )
    return asked or DEFAULT_PAGE_SIZE


def page_token(last: str) -> str:
    """A token that says: go on after this one."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def page_start(token: str) -> str:
    """The id after which a page begins; empty for the first. Raises `InvalidInputError`."""
    try:
        return check_voice_id(opened_token(token)) if token else ""
    except InvalidInputError as error:
        raise no_token() from error


def opened_token(token: str) -> str:
    """What `page_token` was made of. Raises `InvalidInputError`."""
    try:
        return base64.b64decode(token[:512], altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise no_token() from error


def no_token() -> InvalidInputError:
    """The error of a token that is none."""
    return InvalidInputError.one(
        "page_token", "is not a token of this server; leave it unset to begin again"
    )
