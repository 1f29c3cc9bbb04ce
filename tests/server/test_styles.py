"""Styles over the wire: what was sealed is opened, whatever else comes is told."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.manifests import digest_of, make_manifest
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_server.speech.asking import Asked, Faults, speech_request
from voxswap_server.speech.styles import MAX_STYLE_BYTES, Style, opened, sealed, style_faults

STYLE = Style("kokoro", digest_of("base"), tuple(n / 128 for n in range(128)))
DATA = sealed(STYLE)


def kokoro(base: str = "base", *, engine: str = "kokoro") -> Manifest:
    return dataclasses.replace(make_manifest("npc/a", base=(base, 10)), engine=engine)


def refused(data: bytes) -> str:
    with pytest.raises(InvalidInputError) as error:
        opened(data)
    (violation,) = error.value.violations
    assert violation.field == "style"
    return violation.description


def resealed(data: bytes) -> bytes:
    body = data[:-8]
    return body + hashlib.blake2b(body, digest_size=8).digest()


def test_what_was_sealed_is_opened() -> None:
    assert opened(DATA) == STYLE
    assert len(DATA) < 600
    assert not list(style_faults(DATA, kokoro()))


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
@examples(200)
def test_no_byte_may_differ(place: int, change: int) -> None:
    torn = bytearray(DATA)
    torn[place] ^= change
    assert refused(bytes(torn))


@given(st.binary(max_size=200))
@examples(200)
def test_strangers_bytes_are_told_and_never_more(data: bytes) -> None:
    assert refused(data)
    assert refused(b"VXST" + data)
    assert refused(resealed(b"VXST\x01" + data + bytes(8)))


@pytest.mark.parametrize("length", [0, 4, 5, 40, len(DATA) - 1])
def test_a_torn_style_is_no_style(length: int) -> None:
    assert "send the bytes that ReadStyle gave" in refused(DATA[:length])


def test_each_fault_has_its_words() -> None:
    assert "is torn" in refused(DATA[:-1] + b"\0")
    other = bytearray(DATA)
    other[4] = 2
    assert "version 2" in refused(resealed(bytes(other)))
    assert f"{MAX_STYLE_BYTES} at most" in refused(DATA + bytes(MAX_STYLE_BYTES))
    for number in (math.nan, math.inf, -1e9):
        mad = bytearray(DATA)
        mad[-12:-8] = struct.pack("<f", number)
        assert "NaN" in refused(resealed(bytes(mad)))


@pytest.mark.parametrize(
    "manifest", [kokoro("another"), kokoro(engine="vits"), kokoro(engine="none that there is")]
)
def test_a_style_is_for_one_model(manifest: Manifest) -> None:
    (fault,) = style_faults(DATA, manifest)
    assert fault.field == "style"
    assert "another model" in fault.description or "takes no style" in fault.description


def test_a_style_of_another_length_is_of_another_model() -> None:
    short = sealed(dataclasses.replace(STYLE, values=(0.0,) * 127))
    (fault,) = style_faults(short, kokoro())
    assert "another model" in fault.description


def test_a_request_is_refused_before_its_voice_is_known() -> None:
    faults = Faults()
    with pytest.raises(InvalidInputError) as error:
        speech_request(
            Asked(voice="npc/a", text="Halt!", style=DATA[:-1]), max_characters=99, faults=faults
        )
    assert [violation.field for violation in error.value.violations] == ["style"]
