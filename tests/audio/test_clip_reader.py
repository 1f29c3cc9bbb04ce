"""Whatever a stranger sends as a recording: decoded where it is one, refused with a remedy else."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.audio import clips
from tests.fakes.clocks import FakeClock
from voxswap_registry.errors import ClipReaderError
from voxswap_server.audio.clips.limits import ClipFault, ClipLimits, UnusableClipError
from voxswap_server.audio.clips.reader import ClipReader
from voxswap_server.audio.clips.worker import ANSWER, DECODED, LONGER
from voxswap_server.compute.workers.errors import NoWorkerError, RequestKillsError, WorkerEnd

SPOKEN = clips.voice(4.0)
STEREO = np.stack([SPOKEN, SPOKEN], axis=1)


@pytest.fixture(scope="module")
def reader() -> Iterator[ClipReader]:
    reader = ClipReader()
    yield reader
    assert {end: n for end, n in reader.statistics().restarts.items() if n} == {}
    reader.close()


@pytest.mark.parametrize(
    ("samples", "rate", "kind", "subtype", "close_to"),
    [
        (SPOKEN, 16_000, "WAV", "PCM_16", 1e-4),
        (SPOKEN, 16_000, "WAV", "PCM_U8", 1e-2),
        (STEREO, 16_000, "WAVEX", "PCM_24", 1e-6),
        (SPOKEN, 16_000, "WAV", "FLOAT", 1e-7),
        (SPOKEN, 16_000, "WAV", "ULAW", 2e-2),
        (STEREO, 16_000, "FLAC", "PCM_16", 1e-4),
        (SPOKEN, 16_000, "OGG", "VORBIS", None),
        (SPOKEN, 16_000, "OGG", "OPUS", None),
        (SPOKEN, 16_000, "MP3", "MPEG_LAYER_III", None),
    ],
)
def test_what_people_send_is_decoded_to_mono(
    reader: ClipReader, samples: Any, rate: int, kind: str, subtype: str, close_to: float | None
) -> None:
    clip = reader.read(clips.file_of(samples, rate, kind, subtype))
    assert clip.samples.dtype == np.float32
    assert clip.seconds == pytest.approx(4.0, abs=0.1)
    assert len(clip.samples) == pytest.approx(4.0 * clips.RATE, abs=1600)
    if close_to is not None:
        assert np.abs(clip.samples - SPOKEN).max() < close_to
    else:
        assert np.std(clip.samples) == pytest.approx(np.std(SPOKEN), rel=0.1)


def test_another_rate_is_resampled_and_raw_samples_are_taken(reader: ClipReader) -> None:
    whole = clips.file_of(SPOKEN)
    same = reader.read(whole[44:], raw_hertz=16_000)
    assert np.array_equal(same.samples, reader.read(whole).samples)
    slower = reader.read(clips.file_of(SPOKEN, 8_000))
    assert slower.seconds == 8.0
    assert len(slower.samples) == 8 * clips.RATE


_HOUR = 3600
_FAULTS: dict[str, tuple[bytes, ClipFault, str]] = {
    "nothing": (b"", ClipFault.NOT_AUDIO, "send a recording"),
    "text": (b"Nobody is to change what I say. " * 99, ClipFault.NOT_AUDIO, "convert it"),
    "a pickle": (b"\x80\x04\x95" + bytes(4000), ClipFault.NOT_AUDIO, "convert it"),
    "a zip bomb": (gzip.compress(bytes(1 << 20)), ClipFault.NOT_AUDIO, "convert it"),
    "another kind": (clips.file_of(SPOKEN, kind="AIFF"), ClipFault.NOT_AUDIO, "convert it"),
    "an old codec": (
        clips.file_of(SPOKEN, subtype="IMA_ADPCM"),
        ClipFault.NOT_AUDIO,
        "16-bit WAV",
    ),
    "a head alone": (clips.file_of(SPOKEN)[:20], ClipFault.NOT_AUDIO, "convert it"),
    "too many bytes": (bytes(2_000_001), ClipFault.TOO_LARGE, "2000000"),
    "an hour that says so": (
        clips.flac_that_says(samples=_HOUR * clips.RATE),
        ClipFault.TOO_LONG,
        "cut out 3 to 10 s",
    ),
    "an hour that does not": (clips.endless_mp3(400_000), ClipFault.TOO_LONG, "cut out 3 to 10 s"),
    "64 channels": (
        clips.wav_head(channels=64, data_bytes=128 * 16_000) + bytes(64_000),
        ClipFault.CHANNELS,
        "mix it down",
    ),
    "8 channels of FLAC": (
        clips.flac_that_says(samples=4 * clips.RATE, channels=8),
        ClipFault.CHANNELS,
        "mix it down",
    ),
    "no channels": (clips.wav_head(channels=0) + bytes(64_000), ClipFault.CHANNELS, "send 1 to 2"),
    "0 Hz": (
        clips.wav_head(rate=0, data_bytes=64_000) + bytes(64_000),
        ClipFault.SAMPLE_RATE,
        "resample it",
    ),
    "4 GHz": (
        clips.wav_head(rate=2**32 - 1, data_bytes=64_000) + bytes(64_000),
        ClipFault.SAMPLE_RATE,
        "resample it",
    ),
    "NaN": (
        clips.file_of(np.full(64_000, np.nan, np.float32), subtype="FLOAT"),
        ClipFault.DAMAGED,
        "NaN",
    ),
    "infinity": (
        clips.file_of(np.full(64_000, np.inf, np.float32), subtype="FLOAT"),
        ClipFault.DAMAGED,
        "NaN",
    ),
    "a head with junk behind it": (
        clips.flac_that_says(samples=4 * clips.RATE) + bytes(range(256)) * 40,
        ClipFault.DAMAGED,
        "convert it",
    ),
}


@pytest.mark.parametrize("name", _FAULTS)
def test_what_is_none_is_refused_with_its_remedy(reader: ClipReader, name: str) -> None:
    data, fault, remedy = _FAULTS[name]
    with pytest.raises(UnusableClipError, match=remedy) as refused:
        reader.read(data)
    assert refused.value.fault is fault
    assert refused.value.metadata == {"fault": fault.value}
    assert [violation.field for violation in refused.value.violations] == ["audio"]


def test_a_raw_clip_has_limits_too(reader: ClipReader) -> None:
    for rate, size, fault in ((0x7FFFFFFF, 64, "sample_rate"), (8_000, 200_000, "too_long")):
        with pytest.raises(UnusableClipError) as refused:
            reader.read(bytes(size), raw_hertz=rate)
        assert refused.value.fault.value == fault


def test_silence_that_would_fill_memory_is_decoded_to_its_limit_alone(reader: ClipReader) -> None:
    # Two minutes in a kilobyte or two, of a length that its head does not say.
    whole = bytearray(clips.file_of(np.zeros(120 * clips.RATE, np.float32), kind="FLAC"))
    assert len(whole) < 20_000
    whole[21] &= 0xF0
    whole[22:26] = bytes(4)
    with pytest.raises(UnusableClipError) as refused:
        reader.read(bytes(whole))
    assert refused.value.fault is ClipFault.TOO_LONG


def test_torn_files_are_what_is_left_of_them_or_damaged(reader: ClipReader) -> None:
    for kind, subtype in (("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")):
        whole = clips.file_of(SPOKEN, kind=kind, subtype=subtype)
        for share in (0.05, 0.3, 0.9):
            torn = whole[: round(share * len(whole))]
            found: ClipFault | None = None
            try:
                assert reader.read(torn).seconds <= 4.1
            except UnusableClipError as error:
                found = error.fault
            assert found in {None, ClipFault.NOT_AUDIO, ClipFault.DAMAGED}


def test_mutated_files_are_decoded_or_refused() -> None:
    draw = np.random.default_rng(20_261_130)
    short = clips.voice(0.5)
    wholes = [
        clips.file_of(short, kind=kind, subtype=subtype)
        for kind, subtype in (
            *(("WAV", "PCM_16"), ("FLAC", "PCM_16")),
            *(("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
        )
    ]
    reader = ClipReader()
    ends = 0
    for _ in range(40):
        for whole in wholes:
            torn = bytearray(whole)
            for place in draw.integers(0, len(torn), draw.integers(1, 20)):
                torn[min(place, 200) if draw.random() < 0.5 else place] = draw.integers(0, 256)
            try:
                assert np.isfinite(reader.read(bytes(torn)).samples).all()
            except UnusableClipError:
                ends += 1
    reader.close()
    assert 10 < ends < 190


class FakePool:
    """Answers what a test says, or raises it."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.asked = 0

    def call(self, request: bytes, parse: Any, **_: Any) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return parse(self.answer)


def _with(answer: bytes | Exception, clock: Any = time.monotonic) -> tuple[ClipReader, FakePool]:
    reader, pool = ClipReader(clock=clock), FakePool(answer)
    reader._pool = pool  # type: ignore[assignment]
    return reader, pool


def test_a_clip_that_ends_its_process_is_barred_for_a_minute() -> None:
    clock = FakeClock()
    reader, pool = _with(RequestKillsError(WorkerEnd.DIED), clock)
    killer, other = clips.file_of(SPOKEN), clips.file_of(SPOKEN[:-1])
    for _ in range(3):
        with pytest.raises(UnusableClipError) as refused:
            reader.read(killer)
        assert refused.value.fault is ClipFault.DAMAGED
    assert pool.asked == 1
    with pytest.raises(UnusableClipError):
        reader.read(other)
    assert pool.asked == 2
    clock.sleep(61)
    with pytest.raises(UnusableClipError):
        reader.read(killer)
    assert pool.asked == 3


def test_where_nothing_decodes_it_is_nobodys_clip() -> None:
    reader, _ = _with(NoWorkerError("they are busy"))
    with pytest.raises(ClipReaderError, match="busy"):
        reader.read(clips.file_of(SPOKEN))
    closed = ClipReader()
    closed.close()
    with pytest.raises(ClipReaderError, match="stopping"):
        closed.read(clips.file_of(SPOKEN))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        ANSWER.pack(DECODED, 16_000, 64, 10) + bytes(64 * 40),
        ANSWER.pack(DECODED, 192_000, 1, 10) + bytes(40),
        ANSWER.pack(DECODED, 16_000, 1, 1_000_000) + bytes(4_000_000),
        ANSWER.pack(DECODED, 16_000, 1, 10) + bytes(36),
        ANSWER.pack(DECODED, 16_000, 1, 10) + bytes(41),
    ],
)
def test_a_worker_that_says_what_cannot_be_is_not_believed(answer: bytes) -> None:
    # The pool takes a ValueError for the end of the worker's mind.
    reader, _ = _with(answer)
    with pytest.raises(ValueError, match=r"answer|reshape|multiple"):
        reader.read(clips.file_of(SPOKEN))


def test_a_worker_that_stopped_at_the_limit_means_too_long() -> None:
    reader, _ = _with(ANSWER.pack(LONGER, 16_000, 1, 0))
    with pytest.raises(UnusableClipError) as refused:
        reader.read(clips.endless_mp3(1_000))
    assert refused.value.fault is ClipFault.TOO_LONG


def test_limits_are_whoevers_who_reads(reader: ClipReader) -> None:
    longer = ClipReader(ClipLimits(most_s=30.0))
    try:
        assert longer.read(clips.file_of(np.tile(SPOKEN, 5))).seconds == 20.0
    finally:
        longer.close()
    with pytest.raises(UnusableClipError):
        reader.read(clips.file_of(np.tile(SPOKEN, 5)))
