"""What voices, versions and digests may be called. Nothing unchecked here reaches a file system."""

from __future__ import annotations

import re
from dataclasses import dataclass

from voxswap_registry.errors import InvalidInputError

MAX_VOICE_ID_CHARACTERS = 128

# A segment begins with a letter, a digit or "_": so neither "." nor ".." nor "-flag" is one.
_SEGMENT = r"[a-z0-9_][a-z0-9_.\-]*"
_VOICE_ID = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_VOICE_ID_RULE = (
    "use lower-case segments of a-z, 0-9, '_', '.' and '-' joined by '/', each beginning with a "
    f"letter, a digit or '_', {MAX_VOICE_ID_CHARACTERS} characters at most, "
    "for example npc/village/blacksmith"
)


def check_voice_id(voice_id: str, *, field: str = "id") -> str:
    """Return ``voice_id`` if it is well formed; raise `InvalidInputError` naming ``field``."""
    if not voice_id:
        raise InvalidInputError.one(field, f"is empty; {_VOICE_ID_RULE}")
    if len(voice_id) > MAX_VOICE_ID_CHARACTERS or not _VOICE_ID.fullmatch(voice_id):
        raise InvalidInputError.one(
            field, f"{voice_id[:MAX_VOICE_ID_CHARACTERS]!r} is not a voice id; {_VOICE_ID_RULE}"
        )
    return voice_id


def check_digest(digest: str) -> str:
    """Return ``digest`` if it reads ``sha256:`` and 64 hexadecimal digits; else raise."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidInputError.one(
            "digest", f"{digest[:80]!r} is not 'sha256:' and 64 hexadecimal digits"
        )
    return digest


@dataclass(frozen=True, slots=True)
class VoiceRef:
    """What a client names: ``voice`` (the newest version, for now) or ``voice@7``."""

    voice_id: str
    version: int | None = None

    @classmethod
    def parse(cls, text: str, *, field: str = "voice") -> VoiceRef:
        """Read ``id`` or ``id@version``; raise `InvalidInputError` naming ``field``."""
        voice_id, at, version = text.partition("@")
        check_voice_id(voice_id, field=field)
        if not at:
            return cls(voice_id)
        if not _VERSION.fullmatch(version):
            raise InvalidInputError.one(
                field,
                f"'@{version[:32]}' is not a version; write {voice_id}@3 with a whole number from "
                "1, or leave '@' and what follows out for the newest version",
            )
        return cls(voice_id, int(version))

    def __str__(self) -> str:
        return self.voice_id if self.version is None else f"{self.voice_id}@{self.version}"
