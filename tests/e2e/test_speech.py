"""Speaking over real gRPC: what arrives, when, and what its marks say."""

from __future__ import annotations

import asyncio
import io
import itertools
import wave

import numpy as np
import numpy.typing as npt
import pytest

from tests.e2e.servers import ServerThread
from tests.registry.drafts import root_of
from voxswap_client import AsyncClient, Client, Encoding, Mark, MarkKind, SpeechResult

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")
LINE = "Halt! Who goes there? The bridge is closed after dark, and the toll is 2 silver coins."


def samples(result: SpeechResult) -> npt.NDArray[np.float32]:
    match result.header.encoding:
        case Encoding.PCM_F32LE:
            return np.frombuffer(result.audio, "<f4")
        case Encoding.WAV:
            return np.frombuffer(result.audio[44:], "<i2").astype(np.float32) / np.float32(32767)
        case _:
            return np.frombuffer(result.audio, "<i2").astype(np.float32) / np.float32(32767)


def test_a_line_arrives_in_chunks_that_join(client: Client) -> None:
    with client.synthesize("joe", LINE, seed=1, pacing="none") as stream:
        chunks = list(stream)
        header, trailer = stream.header, stream.trailer
    assert header.voice == "joe@1"
    assert header.sample_rate_hertz == 22050
    assert all(digest.startswith("sha256:") for digest in header.component_digests)
    assert len(chunks) > 4
    position = 0
    for chunk in chunks:
        assert chunk.start_sample == position
        assert len(chunk.audio) == 2 * chunk.sample_count
        position += chunk.sample_count
    assert trailer.total_samples == position
    assert trailer.seed == 1
    assert chunks[0].sample_count < 22050 * 0.2
    assert not trailer.unknown_symbols


def test_speech_is_neither_silent_nor_clipped_nor_broken(client: Client) -> None:
    audio = samples(client.say("joe", LINE, seed=2, encoding="pcm_f32le"))
    assert np.isfinite(audio).all()
    assert 0.02 < np.sqrt(np.square(audio).mean()) < 0.3
    assert np.abs(audio).max() < 1.0
    assert abs(float(audio.mean())) < 0.01


def test_chunk_joins_do_not_click(client: Client) -> None:
    """At joins, samples differ from their neighbours no more than anywhere else."""
    with client.synthesize("joe", LINE, seed=3, encoding="pcm_f32le", pacing="none") as stream:
        chunks = [np.frombuffer(chunk.audio, "<f4") for chunk in stream]
    audio = np.concatenate(chunks)
    curvature = np.abs(np.diff(audio, 2))
    joins = list(itertools.accumulate(len(chunk) for chunk in chunks))[:-1]
    worst = max(curvature[join - 3 : join + 3].max() for join in joins)
    assert worst <= np.quantile(curvature, 0.9999)


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "wav"])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 48000])
def test_every_encoding_at_every_rate_is_the_same_line(
    client: Client, encoding: str, rate: int
) -> None:
    reference = client.say("joe", "Mind the gap.", seed=4, encoding="pcm_f32le")
    result = client.say("joe", "Mind the gap.", seed=4, encoding=encoding, sample_rate_hertz=rate)
    assert result.header.sample_rate_hertz == rate
    assert result.trailer.total_samples == len(samples(result))
    assert abs(result.duration_s - reference.duration_s) < 2 / rate
    # The band below 3.5 kHz is in all of them: its energy is kept.
    assert (
        abs(band_energy(samples(result), rate) / band_energy(samples(reference), 22050) - 1) < 0.1
    )


def band_energy(audio: npt.NDArray[np.float32], rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(audio)) ** 2 / len(audio) ** 2
    frequency = np.fft.rfftfreq(len(audio), 1 / rate)
    return float(spectrum[(frequency > 100) & (frequency < 3500)].sum())


def test_a_wav_stream_begins_with_its_header_and_saves_as_a_true_file(
    client: Client, tmp_path: object
) -> None:
    result = client.say("joe", "Mind the gap.", seed=4, encoding="wav")
    assert result.audio[:4] == b"RIFF"
    assert result.audio.count(b"RIFF") == 1
    with wave.open(str(result.save(f"{tmp_path}/a.wav"))) as file:
        assert file.getnframes() == result.trailer.total_samples
    with wave.open(str(client.say("joe", "Hi.").save(f"{tmp_path}/b.wav"))) as file:
        assert file.getframerate() == 22050


def test_a_seed_repeats_a_line_and_no_seed_does_not(client: Client) -> None:
    first = client.say("joe", "Same again, please.")
    second = client.say("joe", "Same again, please.", seed=first.trailer.seed)
    third = client.say("joe", "Same again, please.")
    assert first.audio == second.audio
    assert third.audio != first.audio


async def test_a_seed_is_the_very_same_beside_others(server: ServerThread) -> None:
    """Whoever computes at the same time, with the same voice and with other texts."""
    lines = [LINE, "The bridge is closed after dark, and nobody will open it for you.", LINE * 2]
    async with AsyncClient(server.server.address, timeout_s=60) as client:
        alone = [(await client.say("joe", text, seed=8)).audio for text in lines]
        for _ in range(3):
            beside = await asyncio.gather(
                *(client.say("joe", text, seed=8) for text in lines),
                *(client.say("joe", f"And {n} more. {LINE}", seed=n) for n in range(3)),
            )
            assert [result.audio for result in beside[: len(lines)]] == alone


def test_rate_and_noise_scales_are_carried_out(client: Client) -> None:
    plain = client.say("joe", LINE, seed=5)
    fast = client.say("joe", LINE, seed=5, rate=2.0)
    slow = client.say("joe", LINE, seed=5, rate=0.5)
    assert slow.duration_s > 1.5 * plain.duration_s > 1.5 * 1.4 * fast.duration_s
    dead = [
        client.say("joe", "One.", seed=seed, noise_scale=0.0, duration_noise_scale=0.0).audio
        for seed in (1, 2)
    ]
    assert dead[0] == dead[1]


def marks_of(result: SpeechResult, kind: MarkKind) -> list[Mark]:
    return [mark for mark in result.marks if mark.kind == kind]


@pytest.mark.parametrize("rate", [22050, 48000, 8000])
def test_marks_lie_on_the_audio_and_the_mouth_is_shut_at_the_end(client: Client, rate: int) -> None:
    result = client.say(
        "joe", LINE, seed=6, marks=["word", "phoneme", "viseme"], sample_rate_hertz=rate
    )
    total = result.trailer.total_samples
    for kind in MarkKind:
        found = marks_of(result, kind)
        assert found
        for before, after in itertools.pairwise(found):
            assert before.start_sample + before.duration_samples <= after.start_sample
        assert found[0].start_sample >= 0
        assert found[-1].start_sample + found[-1].duration_samples <= total
    words = marks_of(result, MarkKind.WORD)
    assert [w.text for w in words] == [
        "Halt", "Who", "goes", "there", "The", "bridge", "is", "closed", "after", "dark", "and",
        "the", "toll", "is", "2", "silver", "coins",
    ]  # fmt: skip
    assert all(LINE[w.text_start : w.text_end] == w.text for w in words)
    visemes = marks_of(result, MarkKind.VISEME)
    assert visemes[-1].text == "sil"
    assert {v.text for v in visemes} <= set(VISEMES)
    # Where a word is said there is sound, and where a sentence ends there is little.
    audio = samples(result)
    level = np.sqrt(np.square(audio).mean())
    for word in words:
        said = audio[word.start_sample : word.start_sample + word.duration_samples]
        assert np.sqrt(np.square(said).mean()) > 0.2 * level, word


def test_marks_come_with_the_chunk_in_which_they_begin(client: Client) -> None:
    for rate in (22050, 16000):
        with client.synthesize(
            "joe", LINE, marks=["viseme"], sample_rate_hertz=rate, pacing="none"
        ) as stream:
            for chunk in stream:
                for mark in chunk.marks:
                    assert chunk.start_sample <= mark.start_sample
                    assert mark.start_sample <= chunk.start_sample + chunk.sample_count


def test_the_estimate_is_exact_for_one_sentence_and_near_for_several(client: Client) -> None:
    one = client.say("joe", "The bridge is closed after dark.")
    assert one.header.estimated_samples == one.trailer.total_samples
    several = client.say("joe", LINE)
    ratio = several.header.estimated_samples / several.trailer.total_samples
    assert 0.4 < ratio < 2.5


def test_what_cannot_be_said_is_counted_and_not_fatal(client: Client) -> None:
    result = client.say("joe", "Well done \N{PARTY POPPER}\N{PARTY POPPER} my friend.")
    assert {u.symbol: u.count for u in result.trailer.unknown_symbols} == {"\N{PARTY POPPER}": 2}
    assert result.duration_s > 0.5


def test_cold_once_and_warm_afterwards(server: ServerThread) -> None:
    from tests.e2e.servers import serving

    with (
        serving(root_of(server.house.catalog.registry)) as fresh,
        Client(fresh.server.address) as client,
    ):
        first, second = client.say("joe", "Who is there?"), client.say("joe", "Who is there?")
    assert first.header.cold
    assert first.header.swap_ms > 0
    assert not second.header.cold
    assert second.header.swap_ms == 0


async def test_many_streams_at_once_do_not_mix(server: ServerThread) -> None:
    lines = [f"Guard number {n} stands at the gate." for n in range(8)]
    async with AsyncClient(server.server.address, timeout_s=60) as client:
        alone = [await client.say("joe", line, seed=n) for n, line in enumerate(lines)]
        together = await asyncio.gather(
            *(client.say("joe", line, seed=n) for n, line in enumerate(lines))
        )
    for before, after in zip(alone, together, strict=True):
        a, b = samples(before), samples(after)
        assert len(a) == len(b)
        assert np.abs(a - b).max() < 5e-3  # bfloat16 rounds otherwise in a step of another size


def test_a_long_text_begins_as_early_as_a_short_one(client: Client) -> None:
    """First audio does not wait for the whole text: the first chunk is the first sentence's."""
    text = "The road is long. " * 200
    with client.synthesize("joe", text, pacing="none") as stream:
        first = next(iter(stream))
        assert first.start_sample == 0
        assert stream.header.estimated_samples > 22050 * 100


def test_streamed_wav_is_readable_by_others(client: Client) -> None:
    audio = client.say("joe", "Hi there.", encoding="wav").audio
    size = len(audio) - 44
    patched = audio[:40] + size.to_bytes(4, "little") + audio[44:]
    patched = patched[:4] + (size + 36).to_bytes(4, "little") + patched[8:]
    with wave.open(io.BytesIO(patched)) as file:
        assert file.getnchannels() == 1
