"""Names: what is a voice, a version and a digest, and that nothing else passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registry.drafts import BAD_IDS
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.names import VoiceRef, check_digest, check_voice_id

_IDS = st.from_regex(r"\A[a-z0-9_][a-z0-9_.\-]{0,9}(/[a-z0-9_][a-z0-9_.\-]{0,9}){0,3}\Z")


@pytest.mark.parametrize("voice_id", BAD_IDS)
def test_bad_id_is_refused_with_its_field(voice_id: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_voice_id(voice_id, field="request.voice")
    assert caught.value.violations[0].field == "request.voice"


@given(_IDS, st.one_of(st.none(), st.integers(1, 999_999_999)))
def test_reference_reads_back(voice_id: str, version: int | None) -> None:
    reference = VoiceRef(voice_id, version)
    assert VoiceRef.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text", ["a@", "a@0", "a@01", "a@-1", "a@1.0", "a@1@2", "a@9999999999", "a@1 ", "@1", "a@１"]
)
def test_bad_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        VoiceRef.parse(text)


@given(st.text())
def test_parse_raises_nothing_else(text: str) -> None:
    try:
        reference = VoiceRef.parse(text)
    except InvalidInputError:
        return
    segments = reference.voice_id.split("/")
    assert all(s and s not in {".", ".."} and s[0] not in "-." for s in segments)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:" + "0" * 63,
        "sha256:" + "G" * 64,
        "md5:" + "0" * 32,
        "sha256:" + "0" * 64 + "\n",
        "sha256:../../" + "0" * 58,
    ],
)
def test_bad_digest_is_refused(digest: str) -> None:
    with pytest.raises(InvalidInputError):
        check_digest(digest)
