"""The keys of the registry's objects, and the only place that makes or reads them.

::

    blobs/sha256/<first 2 digits>/<64 digits>     a component's bytes, never changed
    voices/<voice id>@/v<version>.json            a manifest, created once, never changed
    voices/<voice id>@/v<version>.<key id>.sig    a signature of it
    voices/<voice id>@/s<revision>.json           labels, traffic, metadata: the highest counts
    graphs/<64 digits>.json                       an operator trusts the graph with this digest
    journal/<12 digits>.json                      which voice changed, one number after the other
    publishing/<nonce>.json                       somebody publishes now
    collecting/<nonce>.json                       somebody collects garbage now
    tmp/                                          of a folder only: files on their way

An id has no '@' in it, so ids may nest (``npc`` and ``npc/smith`` are both voices), and all that
belongs to one voice lies in one folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from voxswap_registry.errors import InvalidInputError
from voxswap_registry.names import check_digest, check_voice_id

VOICES, BLOBS, JOURNAL, PUBLISHING, COLLECTING = (
    "voices", "blobs", "journal", "publishing", "collecting",
)  # fmt: skip
GRAPHS = "graphs"

_VOICE_KEY = re.compile(r"voices/(?P<id>[^@]+)@/(?P<name>[^/@]+)")
_NAME = re.compile(
    r"(?:v(?P<version>[1-9][0-9]{0,8})(?:\.json|\.(?P<key_id>[0-9a-f]{16})\.sig)"
    r"|s(?P<revision>[1-9][0-9]{0,8})\.json)"
)
_BLOB_KEY = re.compile(r"blobs/sha256/(?P<two>[0-9a-f]{2})/(?P<digest>(?P=two)[0-9a-f]{62})")
_JOURNAL_KEY = re.compile(r"journal/(?P<number>[0-9]{12})\.json")


Kind = Literal["manifest", "signature", "state"]


@dataclass(frozen=True, slots=True)
class VoiceObject:
    """An object of a voice: what it is, and of which version or revision."""

    voice_id: str
    kind: Kind
    number: int
    name: str


def blob_key(digest: str) -> str:
    """Where the bytes of a component lie. Raises `InvalidInputError` for a bad digest."""
    hexadecimal = check_digest(digest).removeprefix("sha256:")
    return f"{BLOBS}/sha256/{hexadecimal[:2]}/{hexadecimal}"


def blob_digest(key: str) -> str | None:
    """The digest that a blob's key stands for; None if it is no such key."""
    match = _BLOB_KEY.fullmatch(key)
    return f"sha256:{match['digest']}" if match else None


def graph_key(digest: str) -> str:
    """Where it is recorded that a graph is trusted. Raises `InvalidInputError` for a bad digest."""
    return f"{GRAPHS}/{check_digest(digest).removeprefix('sha256:')}.json"


def voice_folder(voice_id: str) -> str:
    """Where everything of a voice lies. Raises `InvalidInputError` for a bad id."""
    return f"{VOICES}/{check_voice_id(voice_id)}@"


def manifest_key(voice_id: str, version: int) -> str:
    """Where a manifest lies. Raises `InvalidInputError`."""
    return f"{voice_folder(voice_id)}/{manifest_name(version)}"


def manifest_name(version: int) -> str:
    """A manifest's name in the folder of its voice. Raises `InvalidInputError`."""
    return f"v{_numbered('version', version)}.json"


def signature_key(voice_id: str, version: int, key_id: str) -> str:
    """Where a signature lies. ``key_id`` is as `voxswap_registry.signing` makes it."""
    return f"{voice_folder(voice_id)}/v{version:d}.{key_id.rpartition(':')[2]}.sig"


def state_key(voice_id: str, revision: int) -> str:
    """Where the state of a voice after its ``revision``-th change lies."""
    return f"{voice_folder(voice_id)}/s{_numbered('revision', revision)}.json"


def voice_object(key: str) -> VoiceObject | None:
    """What a key below ``voices/`` is; None for a stray file."""
    match = _VOICE_KEY.fullmatch(key)
    part = voice_part(match["name"]) if match else None
    if match is None or part is None:
        return None
    try:
        voice_id = check_voice_id(match["id"])
    except InvalidInputError:
        return None
    return VoiceObject(voice_id, *part, match["name"])


def voice_part(name: str) -> tuple[Kind, int] | None:
    """What a name in the folder of a voice is, and its number; None for a stray file."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match["revision"]:
        return "state", int(match["revision"])
    return "signature" if match["key_id"] else "manifest", int(match["version"])


def journal_key(number: int) -> str:
    """Where an entry of the journal lies."""
    return f"{JOURNAL}/{number:012d}.json"


def journal_number(key: str) -> int | None:
    """The number of an entry of the journal; None for a stray file."""
    match = _JOURNAL_KEY.fullmatch(key)
    return int(match["number"]) if match else None


def _numbered(field: str, number: int) -> int:
    if not 1 <= number <= 999_999_999:
        raise InvalidInputError.one(
            field, f"{number} is not a {field}; use a whole number from 1 to 999999999"
        )
    return number
