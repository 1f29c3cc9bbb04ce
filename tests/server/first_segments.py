"""A voice that reads letters, two symbols each, for tests of how a first segment is parted."""

from __future__ import annotations

from tests.fakes.family import FakeVoice
from tests.fakes.manifests import make_manifest
from voxswap_families.contract import LoadedVoice
from voxswap_families.symbols import SymbolTable
from voxswap_registry.names import VoiceRef
from voxswap_server.speech.reader import Read, Reader
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.text.characters import CharacterFrontEnd
from voxswap_server.text.types import Segment

TABLE = SymbolTable.blanks(
    {letter: [i] for i, letter in enumerate("_ abcdefghijklmnopqrstuvwxyz',.;:-")}
)
CLAUSE = "The bridge is closed after dark and nobody may pass,"
REST = "so turn back now or pay the toll to the guards."
LONG = f"{CLAUSE} {REST}"


def letters(voice: FakeVoice | None = None) -> LoadedVoice:
    return LoadedVoice("a@1", voice or FakeVoice(), CharacterFrontEnd(TABLE, lowercase=True))


def read_all(
    parts: list[Segment], *, is_awaited: bool, voice: FakeVoice | None = None
) -> list[Read]:
    """As a stream reads them."""
    reader = Reader(SpeechRequest(VoiceRef("a"), "x"), make_manifest(), is_awaited=is_awaited)
    loaded, left, found = letters(voice), list(parts), list[Read]()
    while left:
        read = reader.read(left.pop(0), loaded)
        if isinstance(read, Read):
            found.append(read)
        else:
            left = [*read, *left]
    return found
