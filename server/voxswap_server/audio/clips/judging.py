"""What is wrong with a clip, as far as can be heard: level, clipping, silence, noise, speakers.

A clip is judged for one speaker's delivery to be read off it. Nothing blocks; what takes longer
than a few milliseconds yields.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxswap_families.prosody_measures import Frames, Prosody, frames_of, prosody_of
from voxswap_server.audio.clips.limits import ClipFault, ClipLimits, UnusableClipError
from voxswap_server.audio.clips.reader import Clip
from voxswap_server.audio.clips.speakers import change_of_speaker

_SILENT_DBFS: Final = -50.0  # of the loudest tenth of the frames
_FLAT: Final = 1e-3  # a top is flat where samples differ by no more than this share of the peak
_FLAT_SAMPLES: Final = 3
_LEAST_PEAK: Final = 0.1
_CLIPPED_SHARE: Final = 0.002  # two samples in a thousand at the stop: it is heard as a crackle
_LEAST_SPEECH_S: Final = 1.5
_LEAST_VOICED: Final = (
    0.2  # of speech more than half has a pitch, of a whisper or a motor next to none
)
_LEAST_SNR_DB: Final = 10.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What was found in a clip that is of use.

    ``level_dbfs`` is of its voiced frames; ``noise_db`` is how far below that its quietest tenth
    is; ``clipped`` the share of samples at the stop.
    """

    seconds: float
    level_dbfs: float
    noise_db: float
    clipped: float
    prosody: Prosody


def heard_in(clip: Clip, limits: ClipLimits) -> Generator[None, Any, Heard]:
    """What is in ``clip``. Raises `UnusableClipError` for what nothing can be read off."""
    if clip.seconds < limits.least_s:
        raise UnusableClipError(
            ClipFault.TOO_SHORT,
            f"lasts {clip.seconds:.1f} s; send {limits.least_s:g} to {limits.most_s:g} s of speech",
        )
    clipped = clipped_share(clip)
    yield
    frames = yield from frames_of(clip.samples)
    loud_db = float(np.percentile(frames.level_db, 90))
    if loud_db < _SILENT_DBFS:
        raise UnusableClipError(
            ClipFault.SILENT,
            f"is silent: its loudest parts are at {loud_db:.0f} dB of full scale, and speech is "
            f"above {_SILENT_DBFS:g}; record it louder",
        )
    if clipped > _CLIPPED_SHARE:
        raise UnusableClipError(
            ClipFault.CLIPPED,
            f"is clipped: {clipped:.1%} of its samples are at the stop; record it with less gain",
        )
    prosody = prosody_of(frames)
    if prosody.voiced < _LEAST_VOICED or prosody.speech_s < _LEAST_SPEECH_S:
        raise UnusableClipError(
            ClipFault.NO_VOICE,
            f"has {prosody.speech_s * prosody.voiced:.1f} s with a pitch: too little that sounds "
            "like a voice; send speech, neither whispered nor under music",
        )
    found = Heard(
        clip.seconds,
        float(np.mean(frames.level_db[frames.is_voiced])),
        noise_db(frames),
        clipped,
        prosody,
    )
    if found.noise_db < _LEAST_SNR_DB:
        raise UnusableClipError(
            ClipFault.TOO_NOISY,
            f"has noise or music only {found.noise_db:.0f} dB below the voice; send a recording "
            f"with at least {_LEAST_SNR_DB:g} dB between them",
        )
    yield
    if (at_s := (yield from change_of_speaker(clip.samples, frames))) is not None:
        raise UnusableClipError(
            ClipFault.SEVERAL_SPEAKERS,
            f"has two speakers, the other one from about {at_s:.1f} s on; send one alone",
        )
    return found


def noise_db(frames: Frames) -> float:
    """How far the quietest tenth of ``frames`` is below those that are voiced."""
    voiced = frames.level_db[frames.is_voiced]
    return float(np.mean(voiced) - np.percentile(frames.level_db, 10))


def clipped_share(clip: Clip) -> float:
    """The share of samples in runs of at least three at the peak, of the worst channel."""
    worst = 0.0
    for channel in clip.recorded.T:
        size = np.abs(channel)
        peak = float(size.max(initial=0.0))
        if peak < _LEAST_PEAK:
            continue
        at_stop = size >= min(peak, 1.0) * (1 - _FLAT)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], at_stop.view(np.int8), [0]])))
        runs = np.diff(edges.reshape(-1, 2), axis=1)
        worst = max(worst, float(runs[runs >= _FLAT_SAMPLES].sum()) / len(channel))
    return worst
