"""What is heard in a recording, and which are of no use."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.audio import clips
from voxswap_families.prosody_measures import frames_of
from voxswap_families.work import Work, finished
from voxswap_server.audio.clips.containers import Container
from voxswap_server.audio.clips.judging import Heard, heard_in
from voxswap_server.audio.clips.limits import ClipFault, ClipLimits, UnusableClipError
from voxswap_server.audio.clips.reader import Clip
from voxswap_server.audio.clips.speakers import change_of_speaker

LOW = clips.voice(5.0, hertz=110)
HIGH = clips.voice(5.0, hertz=230, formants=(850, 1700))


def judged(*samples: clips.Samples) -> Heard:
    whole = np.concatenate(samples)
    clip = Clip(Container.WAV, whole[:, None], clips.RATE, whole)
    return finished(Work(heard_in(clip, ClipLimits())))


def fault_of(*samples: clips.Samples) -> tuple[ClipFault, str]:
    with pytest.raises(UnusableClipError) as refused:
        judged(*samples)
    return refused.value.fault, refused.value.message


def test_a_voice_is_measured() -> None:
    heard = judged(HIGH)
    assert heard.seconds == 5.0
    assert heard.prosody.pitch_hertz == pytest.approx(230, rel=0.02)
    assert heard.prosody.range_semitones == pytest.approx(1.06, abs=0.1)
    assert heard.prosody.syllables_per_s == pytest.approx(4.0, abs=0.2)
    assert heard.noise_db > 30
    assert heard.clipped == 0.0
    assert -30 < heard.level_dbfs < -10
    # Level alone changes nothing else.
    quiet = judged(0.1 * HIGH)
    assert quiet.level_dbfs == pytest.approx(heard.level_dbfs - 20, abs=0.1)
    assert quiet.prosody.pitch_hertz == pytest.approx(heard.prosody.pitch_hertz, rel=1e-3)


def test_faster_is_faster_and_flat_is_flat() -> None:
    import soxr

    fast = judged(soxr.resample(clips.voice(6.0), 24_000, 16_000))
    assert fast.prosody.syllables_per_s == pytest.approx(6.0, abs=0.4)
    paused = judged(LOW[:24_000], np.zeros(8_000, np.float32), LOW[:24_000])
    assert paused.prosody.pauses == pytest.approx(0.5 / 3.5, abs=0.04)


@pytest.mark.parametrize(
    ("samples", "fault", "remedy"),
    [
        (clips.voice(2.5), ClipFault.TOO_SHORT, "send 3 to 10 s"),
        (np.zeros(64_000, np.float32), ClipFault.SILENT, "record it louder"),
        (1e-3 * LOW, ClipFault.SILENT, "record it louder"),
        (np.clip(6 * LOW, -1, 1), ClipFault.CLIPPED, "less gain"),
        (np.clip(6 * LOW, -1, 1) * 0.5, ClipFault.CLIPPED, "less gain"),
        (
            np.random.default_rng(1).normal(0, 0.1, 64_000).astype(np.float32),
            ClipFault.NO_VOICE,
            "send speech",
        ),
        (
            np.concatenate([LOW[:16_000], np.zeros(64_000, np.float32)]),
            ClipFault.NO_VOICE,
            "send speech",
        ),
        (
            LOW + np.random.default_rng(1).normal(0, 0.03, len(LOW)).astype(np.float32),
            ClipFault.TOO_NOISY,
            "at least 10 dB",
        ),
        (np.concatenate([LOW[:48_000], HIGH[:48_000]]), ClipFault.SEVERAL_SPEAKERS, "two speakers"),
    ],
)
def test_what_is_of_no_use_is_told_with_its_remedy(
    samples: clips.Samples, fault: ClipFault, remedy: str
) -> None:
    found, message = fault_of(samples)
    assert found is fault, message
    assert remedy in message


def test_the_second_speaker_is_said_to_begin_where_he_does() -> None:
    whole = np.concatenate([LOW[:64_000], HIGH[:48_000]])
    at_s = finished(Work(change_of_speaker(whole, finished(Work(frames_of(whole))))))
    assert at_s == pytest.approx(4.0, abs=0.4)
    for one in (LOW, HIGH, np.concatenate([LOW, clips.voice(4.0, hertz=110, seed=3)])):
        assert finished(Work(change_of_speaker(one, finished(Work(frames_of(one)))))) is None


def test_listening_gives_way_often() -> None:
    clip = Clip(Container.WAV, LOW[:, None], clips.RATE, LOW)
    steps = heard_in(clip, ClipLimits())
    assert sum(1 for _ in itertools.islice(steps, 1000)) >= 15


def test_a_sound_of_a_constant_has_no_pitch() -> None:
    fault, _ = fault_of(np.full(64_000, 0.5, np.float32))
    assert fault in {ClipFault.NO_VOICE, ClipFault.CLIPPED}
