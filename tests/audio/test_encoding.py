"""What every encoding promises, whatever its codec."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio.decoders import (
    EVERY_RATE,
    UNTRIMMED,
    decode,
    encode,
    heard,
    joined,
    snr_db,
    speech,
)
from tests.examples import examples
from voxswap_registry.errors import EncoderUnavailableError
from voxswap_server.audio.encoding import (
    AudioEncoding,
    make_encoder,
    output_rate,
    rates_of,
)

NOTHING = np.zeros(0, np.float32)
USUAL_RATE = {encoding: 24000 if rates_of(encoding) else 22050 for encoding in AudioEncoding}
USUAL = list(USUAL_RATE.items())
LEAST_SNR_DB = {
    AudioEncoding.PCM_S16LE: 80,
    AudioEncoding.PCM_F32LE: 190,
    AudioEncoding.WAV: 80,
    AudioEncoding.MULAW: 36,
    AudioEncoding.ALAW: 36,
    AudioEncoding.FLAC: 80,
    AudioEncoding.OPUS_PACKETS: 14,  # 15.8 in full band at 32 kbit/s, more where the band is less
    AudioEncoding.OGG_OPUS: 14,
    AudioEncoding.MP3: 24,
}
LOSSY = UNTRIMMED | {AudioEncoding.OGG_OPUS}
# Samples between the last one that was pushed and the last one that a reader can play.
MOST_HELD_BACK: dict[AudioEncoding, Callable[[int], float]] = {
    AudioEncoding.FLAC: lambda rate: 1152,
    AudioEncoding.OPUS_PACKETS: lambda rate: rate * 0.0266,
    AudioEncoding.OGG_OPUS: lambda rate: rate * 0.0266,
    AudioEncoding.MP3: lambda rate: 4 * 1152 + 600 if rate >= 32000 else 5 * 576 + 300,
}
ids = lambda value: value.name if isinstance(value, AudioEncoding) else str(value)  # noqa: E731


@pytest.mark.parametrize(("encoding", "rate"), EVERY_RATE, ids=ids)
def test_what_is_decoded_is_what_was_said(encoding: AudioEncoding, rate: int) -> None:
    source = speech(rate, 1.5)
    decoded = heard(encoding, rate, source, cuts=range(rate // 9, len(source), rate // 9))
    assert snr_db(source, decoded) > LEAST_SNR_DB[encoding]
    if encoding in UNTRIMMED:
        assert len(source) <= len(decoded) < len(source) + 4 * 1152
    else:
        assert len(decoded) == len(source)


@pytest.mark.parametrize(("encoding", "rate"), EVERY_RATE, ids=ids)
def test_bytes_come_early_and_say_how_much_can_be_played(
    encoding: AudioEncoding, rate: int
) -> None:
    """Each prefix of the stream is decoded: it has the samples that were promised, and no fewer."""
    source, step = speech(rate, 1.0), rate // 200
    # The last of a prefix is still faded in by the next frame, or concealed for want of it.
    unsure = rate // 100 if encoding in LOSSY else 0
    encoder = make_encoder(encoding, rate)
    data, sizes, playable, compared = b"", list[int](), 0, 0
    for at in range(0, len(source), step):
        part = encoder.encode(source[at : at + step])
        assert bool(part.data) == bool(part.samples)
        data, playable = data + part.data, playable + part.samples
        sizes += part.packet_sizes
        pushed = min(at + step, len(source))
        held_back = MOST_HELD_BACK.get(encoding)
        assert pushed - playable <= (held_back(rate) if held_back else 0)
        if part.data and playable > (compared + 1) * rate // 6:
            compared += 1
            decoded = decode(
                encoding, data, rate, packet_sizes=sizes, delay_samples=encoder.delay_samples
            )
            assert len(decoded) >= playable
            assert snr_db(source[: playable - unsure], decoded) > LEAST_SNR_DB[encoding] - 3
    assert compared >= 4
    assert playable + encoder.finish(NOTHING).samples == len(source)


@pytest.mark.parametrize(("encoding", "rate"), USUAL, ids=ids)
@given(cuts=st.lists(st.integers(0, 9000), max_size=12), size=st.integers(0, 9000))
@examples(25)
def test_how_samples_are_cut_into_chunks_is_not_heard(
    encoding: AudioEncoding, rate: int, cuts: list[int], size: int
) -> None:
    source = speech(rate, 0.5)[:size]
    whole = joined(encode(make_encoder(encoding, rate), source))
    parts = encode(make_encoder(encoding, rate), source, [min(cut, size) for cut in cuts])
    assert sum(part.samples for part in parts) == size
    for part in parts:
        assert bool(part.data) == bool(part.samples) or size == 0
        assert sum(part.packet_sizes) in (0, len(part.data))
        assert bool(part.packet_sizes) == (
            encoding is AudioEncoding.OPUS_PACKETS and part.data != b""
        )
    if encoding is AudioEncoding.OGG_OPUS:  # there, a page ends where a chunk does
        data, _ = joined(parts)
        assert np.array_equal(decode(encoding, data, rate), decode(encoding, whole[0], rate))
    else:
        assert joined(parts) == whole


@pytest.mark.parametrize(("encoding", "rate"), USUAL, ids=ids)
def test_too_loud_is_clipped_and_never_wraps(encoding: AudioEncoding, rate: int) -> None:
    loud = 9 * speech(rate, 0.5)
    assert np.abs(loud).max() > 2
    decoded = heard(encoding, rate, loud)
    assert np.array_equal(decoded, heard(encoding, rate, np.clip(loud, -1, 1)))
    # Where the source stays beyond full scale for a while, so does what is heard.
    far = np.convolve(np.abs(loud) > 1.5, np.ones(9), "same") == 9
    same_side = np.convolve(np.sign(loud), np.ones(9), "same")
    plateau = far & (np.abs(same_side) == 9)
    assert plateau.sum() > 100
    assert np.all(decoded[: len(loud)][plateau] * loud[plateau] > 0)


@pytest.mark.parametrize(("encoding", "rate"), USUAL, ids=ids)
def test_silence_is_silent(encoding: AudioEncoding, rate: int) -> None:
    decoded = heard(encoding, rate, np.zeros(rate // 2, np.float32))
    assert len(decoded) >= rate // 2
    assert np.abs(decoded).max() < 3e-4


@pytest.mark.parametrize(("encoding", "rate"), USUAL, ids=ids)
def test_one_sample_is_a_stream(encoding: AudioEncoding, rate: int) -> None:
    encoder = make_encoder(encoding, rate)
    parts = [
        encoder.encode(NOTHING),
        encoder.encode(np.full(1, 0.5, np.float32)),
        encoder.encode(NOTHING),
        encoder.finish(NOTHING),
    ]
    assert sum(part.samples for part in parts) == 1
    data, sizes = joined(parts)
    decoded = decode(encoding, data, rate, packet_sizes=sizes, delay_samples=encoder.delay_samples)
    assert len(decoded) >= 1
    if encoding not in LOSSY:
        assert decoded[0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("encoding", "rate"), USUAL, ids=ids)
def test_nothing_before_the_end_is_no_chunk(encoding: AudioEncoding, rate: int) -> None:
    encoder = make_encoder(encoding, rate)
    assert encoder.encode(NOTHING).data == b""
    assert encoder.finish(NOTHING).samples == 0


@pytest.mark.parametrize(("encoding", "rate"), USUAL, ids=ids)
def test_streams_do_not_disturb_one_another(encoding: AudioEncoding, rate: int) -> None:
    sources = [speech(rate, 0.6), speech(rate, 0.6, pitch_hertz=210.0, seed=1)]
    alone = [heard(encoding, rate, source) for source in sources]
    encoders = [make_encoder(encoding, rate) for _ in sources]
    parts: list[list[object]] = [[], []]
    for at in range(0, len(sources[0]), 777):
        for encoder, source, out in zip(encoders, sources, parts, strict=True):
            out.append(encoder.encode(source[at : at + 777]))
    for encoder, out, expected in zip(encoders, parts, alone, strict=True):
        out.append(encoder.finish(NOTHING))
        data, sizes = joined(out)  # type: ignore[arg-type]
        found = decode(
            encoding, data, rate, packet_sizes=sizes, delay_samples=encoder.delay_samples
        )
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(("encoding", "rate"), USUAL, ids=ids)
def test_levels_do_not_depend_on_what_comes_later(encoding: AudioEncoding, rate: int) -> None:
    quiet, loud = 0.05 * speech(rate, 0.4), 1.5 * speech(rate, 0.4)
    before = heard(encoding, rate, np.concatenate([quiet, loud]))[: len(quiet)]
    level = float(np.sqrt(np.square(before).mean() / np.square(quiet).mean()))
    assert level == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("encoding", AudioEncoding)
def test_a_rate_that_an_encoding_has_not_is_refused(encoding: AudioEncoding) -> None:
    if rates_of(encoding):
        with pytest.raises(ValueError, match=r"no rate 22051.*24000"):
            make_encoder(encoding, 22051)
    else:
        assert make_encoder(encoding, 22051).delay_samples == 0


def test_the_rate_is_the_one_asked_for_or_else_the_nearest_that_loses_nothing() -> None:
    for encoding in AudioEncoding:
        assert output_rate(encoding, 16000, 22050) == 16000
    assert output_rate(AudioEncoding.FLAC, None, 22050) == 22050
    assert output_rate(AudioEncoding.OPUS_PACKETS, None, 22050) == 24000
    assert output_rate(AudioEncoding.OGG_OPUS, None, 48000) == 24000
    mp3 = [output_rate(AudioEncoding.MP3, None, own) for own in (6000, 22050, 22051, 48000, 96000)]
    assert mp3 == [8000, 22050, 24000, 48000, 48000]


@pytest.mark.parametrize(
    ("encoding", "module", "package"),
    [
        (AudioEncoding.FLAC, "soundfile", "soundfile"),
        (AudioEncoding.MP3, "lameenc", "lameenc"),
        (AudioEncoding.OGG_OPUS, "opuslib_next", "opuslib-next-bundled"),
        (AudioEncoding.OPUS_PACKETS, "opuslib_next", "opuslib-next-bundled"),
    ],
    ids=ids,
)
def test_a_missing_library_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, encoding: AudioEncoding, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EncoderUnavailableError, match=f"pip install {package} ") as raised:
        make_encoder(encoding, 24000)
    assert raised.value.metadata == {"package": package}


def test_rates_stand_in_order() -> None:
    """`output_rate` takes the first that is high enough."""
    for encoding in AudioEncoding:
        assert all(low < high for low, high in itertools.pairwise(rates_of(encoding)))
