"""Every encoding over real gRPC: what arrives is the line that PCM has."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.decoders import UNTRIMMED, decode, snr_db
from voxswap_client import (
    Client,
    Encoding,
    FailedPreconditionError,
    MarkKind,
    SpeechResult,
)
from voxswap_server.audio.encoding import AudioEncoding, Samples

LINE = "Mind the gap. It is deeper than it looks."
# The rate where none is asked for, and the delay there: joe's own rate is 22050.
DEFAULTS = {
    Encoding.PCM_S16LE: (22050, 0),
    Encoding.PCM_F32LE: (22050, 0),
    Encoding.WAV: (22050, 0),
    Encoding.MULAW: (22050, 0),
    Encoding.ALAW: (22050, 0),
    Encoding.FLAC: (22050, 0),
    Encoding.OPUS_PACKETS: (24000, 156),
    Encoding.OGG_OPUS: (24000, 0),
    Encoding.MP3: (22050, 1105),
}
LEAST_SNR_DB = {
    Encoding.MULAW: 30,
    Encoding.ALAW: 30,
    Encoding.OPUS_PACKETS: 8,
    Encoding.OGG_OPUS: 8,
    Encoding.MP3: 12,
}


def played(result: SpeechResult) -> Samples:
    """What a player plays of it, with the header and the trailer in hand."""
    header, total = result.header, result.trailer.total_samples
    encoding = AudioEncoding(header.encoding.value)
    decoded = decode(
        encoding,
        result.audio,
        header.sample_rate_hertz,
        packet_sizes=result.packet_sizes,
        delay_samples=header.codec_delay_samples,
    )
    assert len(decoded) >= total if encoding in UNTRIMMED else len(decoded) == total
    return decoded[:total]


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("rate", [None, 8000, 48000])
def test_the_line_is_the_same_in_every_encoding(
    client: Client, encoding: Encoding, rate: int | None
) -> None:
    result = client.say("joe", LINE, seed=4, encoding=encoding, sample_rate_hertz=rate)
    default, delay = DEFAULTS[encoding]
    assert result.header.encoding is encoding
    assert result.header.sample_rate_hertz == (rate or default)
    if encoding is Encoding.OPUS_PACKETS:
        delay = delay * (rate or default) // default
    assert result.header.codec_delay_samples == delay
    reference = client.say(
        "joe", LINE, seed=4, encoding="pcm_f32le", sample_rate_hertz=rate or default
    )
    assert result.trailer.total_samples == reference.trailer.total_samples
    assert snr_db(played(reference), played(result)) > LEAST_SNR_DB.get(encoding, 55)


@pytest.mark.parametrize("encoding", Encoding)
def test_chunks_cover_the_line_and_have_their_marks(client: Client, encoding: Encoding) -> None:
    with client.synthesize(
        "joe", LINE, seed=4, encoding=encoding, marks=list(MarkKind), pacing="none"
    ) as stream:
        chunks = list(stream)
        trailer = stream.trailer
    assert trailer is not None
    ends = list(itertools.accumulate(chunk.sample_count for chunk in chunks))
    assert [chunk.start_sample for chunk in chunks] == [0, *ends[:-1]]
    assert ends[-1] == trailer.total_samples
    assert len(chunks) >= 4
    for chunk, end in zip(chunks, ends, strict=True):
        assert chunk.audio
        assert chunk.sample_count > 0
        assert b"".join(chunk.packets) == (
            chunk.audio if encoding is Encoding.OPUS_PACKETS else b""
        )
        for mark in chunk.marks:
            assert chunk.start_sample <= mark.start_sample < end or not mark.duration_samples
    marks = [mark for chunk in chunks for mark in chunk.marks]
    assert {mark.kind for mark in marks} == set(MarkKind)
    assert marks[-1].start_sample + marks[-1].duration_samples <= ends[-1]
    # The first sound is not kept until a codec has seen more: what is held back is under 0.14 s.
    assert chunks[0].sample_count < 22050 * 0.3


@pytest.mark.parametrize("encoding", [Encoding.FLAC, Encoding.OGG_OPUS, Encoding.MP3, Encoding.WAV])
def test_what_is_saved_is_a_file_that_others_read(
    client: Client, encoding: Encoding, tmp_path: Path
) -> None:
    result = client.say("joe", LINE, seed=4, encoding=encoding)
    path = result.save(tmp_path / f"line{result.suffix}")
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == result.header.sample_rate_hertz
    delay = result.header.codec_delay_samples
    total = result.trailer.total_samples
    assert total <= len(samples) - delay <= total + (2000 if delay else 0)
    assert np.allclose(samples[delay : delay + total], played(result), atol=1e-3)


def test_a_codec_that_is_not_installed_is_a_failed_precondition(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server runs in this process."""
    monkeypatch.setitem(sys.modules, "lameenc", None)
    with pytest.raises(FailedPreconditionError, match="pip install lameenc") as raised:
        client.say("joe", LINE, encoding="mp3")
    assert raised.value.reason == "ENCODER_UNAVAILABLE"
    assert client.say("joe", "Still here.", encoding="flac").trailer.total_samples
