"""Small pieces of the HTTP door: what is accepted, what is held."""

from __future__ import annotations

import pytest

from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.http import media
from voxswap_server.doors.http.whole import Whole
from voxswap_server.speech.errors import OverloadedError


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("*/*", None),
        ("text/html", None),
        ("audio/mpeg", AudioEncoding.MP3),
        ("AUDIO/WAV", AudioEncoding.WAV),
        ("audio/ogg; codecs=opus", AudioEncoding.OGG_OPUS),
        ("audio/flac;q=0.2, audio/mpeg;q=0.8", AudioEncoding.MP3),
        ("audio/flac;q=0, audio/wav;q=0.1", AudioEncoding.WAV),
        ("audio/flac;q=much, audio/wav", AudioEncoding.WAV),
        (", ;q=1,,audio/flac", AudioEncoding.FLAC),
        ("x" * 5000 + ",audio/flac", None),
    ],
)
def test_the_best_liked_that_there_is_is_sent(header: str, expected: AudioEncoding | None) -> None:
    assert media.accepted(header) is expected


def test_every_encoding_has_a_name() -> None:
    names = [media.media_type(encoding, 24_000) for encoding in AudioEncoding]
    assert len(set(names)) == len(names)
    assert "audio/pcm; rate=24000; channels=1" in names


def test_whole_answers_hold_so_much_together_and_no_more() -> None:
    whole = Whole(most_bytes=100)
    with whole.holding() as first:
        first.add(b"x" * 60)
        with whole.holding() as second, pytest.raises(OverloadedError):
            second.add(b"x" * 50)
        with whole.holding() as third:
            third.add(b"x" * 40)
            assert whole.size_bytes == 100
    assert whole.size_bytes == 0
