"""What voices, versions and digests may be called. Nothing unchecked here reaches a file system."""

from __future__ import annotations

import re
from dataclasses import dataclass

from voxswap_registry.errors import InvalidInputError

MAX_VOICE_ID_CHARACTERS = 128
MAX_LABEL_CHARACTERS = 32
MAX_TAGS = 32
MAX_VERSION = 999_999_999

# A segment begins with a letter, a digit or "_": so neither "." nor ".." nor "-flag" is one.
_SEGMENT = r"[a-z0-9_][a-z0-9_.\-]*"
VOICE_ID = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
TAG = re.compile(r"[a-z0-9][a-z0-9_.\-]{0,31}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
VERSION = re.compile(r"[1-9][0-9]{0,8}")
_LABEL = re.compile(r"[a-z][a-z0-9_\-]{0,31}")

VOICE_ID_RULE = (
    "use lower-case segments of a-z, 0-9, '_', '.' and '-' joined by '/', each beginning with a "
    f"letter, a digit or '_', {MAX_VOICE_ID_CHARACTERS} characters at most, "
    "for example npc/village/blacksmith"
)
TAG_RULE = (
    "use a-z, 0-9, '_', '.' and '-', beginning with a letter or a digit, 32 characters at most, "
    "for example village"
)


def check_voice_id(voice_id: str, *, field: str = "id") -> str:
    """Return ``voice_id`` if it is well formed; raise `InvalidInputError` naming ``field``."""
    if not voice_id:
        raise InvalidInputError.one(field, f"is empty; {VOICE_ID_RULE}")
    if len(voice_id) > MAX_VOICE_ID_CHARACTERS or not VOICE_ID.fullmatch(voice_id):
        raise InvalidInputError.one(
            field, f"{voice_id[:MAX_VOICE_ID_CHARACTERS]!r} is not a voice id; {VOICE_ID_RULE}"
        )
    return voice_id


def check_digest(digest: str) -> str:
    """``digest`` if it is ``sha256:`` and 64 hexadecimal digits; else raise `InvalidInputError`."""
    if not DIGEST.fullmatch(digest):
        raise InvalidInputError.one(
            "digest", f"{digest[:80]!r} is not 'sha256:' and 64 hexadecimal digits"
        )
    return digest


def check_label(label: str, *, field: str = "label") -> str:
    """Return ``label`` if it is well formed; raise `InvalidInputError` naming ``field``."""
    if not _LABEL.fullmatch(label):
        raise InvalidInputError.one(
            field,
            f"{label[:64]!r} is not a label; use a letter, then a-z, 0-9, '_' and '-', "
            f"{MAX_LABEL_CHARACTERS} characters at most, for example stable",
        )
    return label


def check_tag(tag: str, *, field: str) -> str:
    """Return ``tag`` if it is well formed; raise `InvalidInputError` naming ``field``."""
    if not TAG.fullmatch(tag):
        raise InvalidInputError.one(
            field,
            f"{tag[:64]!r} is not one; {TAG_RULE}",
        )
    return tag


@dataclass(frozen=True, slots=True)
class VoiceRef:
    """What a client names: ``voice``, ``voice@7`` or ``voice@stable``."""

    voice_id: str
    version: int | None = None
    label: str | None = None

    @classmethod
    def parse(cls, text: str, *, field: str = "voice") -> VoiceRef:
        """Read ``id``, ``id@version`` or ``id@label``; raise `InvalidInputError` naming it."""
        voice_id, at, name = text.partition("@")
        check_voice_id(voice_id, field=field)
        if not at:
            return cls(voice_id)
        if VERSION.fullmatch(name):
            return cls(voice_id, int(name))
        if _LABEL.fullmatch(name):
            return cls(voice_id, label=name)
        raise InvalidInputError.one(
            field,
            f"'@{name[:32]}' is neither a version nor a label; write {voice_id}@3 with a whole "
            f"number from 1, {voice_id}@stable with a label, or leave '@' and what follows out",
        )

    def __str__(self) -> str:
        name = self.label if self.version is None else self.version
        return self.voice_id if name is None else f"{self.voice_id}@{name}"
