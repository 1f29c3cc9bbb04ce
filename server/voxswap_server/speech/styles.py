"""Styles as they go over the wire: sealed when they are read off a recording, opened at the door.

::

    VXST | version 1 | length of the engine's name, the name | SHA-256 of the model | count | floats
         | BLAKE2b of all before it, 8 bytes

The checksum is against torn and mistaken bytes, not against forgers: whoever makes numbers up gets
numbers within the same bounds.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voxswap_registry.errors import FieldViolation, InvalidInputError
from voxswap_registry.families import rules_of, style_role_of, style_size_of
from voxswap_registry.manifest import Manifest

MAX_STYLE_BYTES: Final = 4096
MOST: Final = 16.0
"""No number of a style is larger; those of real ones are below 2."""

_MAGIC, _VERSION = b"VXST", 1
_HEAD: Final = struct.Struct(">4sBB")
_COUNT: Final = struct.Struct(">H")
_CHECK_BYTES: Final = 8
_DIGEST: Final = "sha256:"
_AGAIN: Final = "send the bytes that ReadStyle gave, as they are"


@dataclass(frozen=True, slots=True)
class Style:
    """``values`` in the style space of that model of ``engine`` whose digest is ``base``."""

    engine: str
    base: str
    values: tuple[float, ...]


def sealed(style: Style) -> bytes:
    """``style`` as clients keep it."""
    name = style.engine.encode("ascii")
    body = _HEAD.pack(_MAGIC, _VERSION, len(name)) + name
    body += bytes.fromhex(style.base.removeprefix(_DIGEST)) + _COUNT.pack(len(style.values))
    body += struct.pack(f"<{len(style.values)}f", *style.values)
    return body + _checksum(body)


def opened(data: bytes) -> Style:
    """The style in ``data``. Raises `InvalidInputError` for the field ``style``."""
    if len(data) > MAX_STYLE_BYTES:
        raise _fault(f"has {len(data)} bytes; {MAX_STYLE_BYTES} at most: {_AGAIN}")
    if data[:4] != _MAGIC:
        raise _fault(f"is none that was read off a recording; {_AGAIN}")
    if len(data) > 4 and data[4] != _VERSION:
        raise _fault(
            f"is of version {data[4]}, and this server reads {_VERSION}; read the recording again"
        )
    body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    if check != _checksum(body):
        raise _fault(f"is torn: its checksum is not that of its bytes; {_AGAIN}")
    try:
        _, _, length = _HEAD.unpack_from(body)
        place = _HEAD.size + length
        name = body[_HEAD.size : place].decode("ascii")
        base = _DIGEST + body[place : place + 32].hex()
        (count,) = _COUNT.unpack_from(body, place + 32)
        values = struct.unpack(f"<{count}f", body[place + 32 + _COUNT.size :])
    except (struct.error, ValueError):
        raise _fault(f"is no style, although it says so; {_AGAIN}") from None
    if not all(math.isfinite(value) and abs(value) <= MOST for value in values):
        raise _fault(f"has numbers beyond {MOST:g}, or none (NaN); {_AGAIN}")
    return Style(name, base, values)


def style_faults(data: bytes, manifest: Manifest) -> Iterator[FieldViolation]:
    """Why the voice cannot speak with this style. Raises as `opened`."""
    rules = rules_of(manifest.engine)
    size = style_size_of(rules) if rules else 0
    if not size:
        told = f"{manifest.ref} takes no style off a recording; leave it unset"
        yield FieldViolation("style", told)
        return
    style = opened(data)
    assert rules is not None  # noqa: S101 - see above
    base = manifest.component(style_role_of(rules)).digest
    if (style.engine, style.base, len(style.values)) != (manifest.engine, base, size):
        yield FieldViolation(
            "style",
            f"was read for another model than that of {manifest.ref}; read the recording again for "
            "this voice",
        )


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES).digest()


def _fault(description: str) -> InvalidInputError:
    return InvalidInputError.one("style", description)
