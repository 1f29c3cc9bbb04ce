"""Speech back to words: how well a small recogniser understands what was spoken."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

RECOGNISER_RATE_HERTZ = 16_000


def recognise(audio: npt.NDArray[np.float32], sample_rate_hertz: int) -> str:
    """What pocketsphinx hears, in lower case, with its stock English model. Not thread-safe."""
    heard = soxr.resample(audio, sample_rate_hertz, RECOGNISER_RATE_HERTZ)
    silence = np.zeros(RECOGNISER_RATE_HERTZ // 4, np.float32)
    padded = np.concatenate([silence, heard, silence])
    decoder = _decoder()
    decoder.reinit_feat()  # what it knows of the line before, its level and noise, is forgotten
    decoder.start_utt()
    decoder.process_raw((padded.clip(-1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr.lower() if hypothesis else ""


@functools.cache
def _decoder() -> Any:
    """Made once: reading the model takes as long as listening to a line."""
    from pocketsphinx import Decoder

    return Decoder(samprate=RECOGNISER_RATE_HERTZ, loglevel="FATAL")


def word_error_rate(spoken: Sequence[str], heard: Sequence[str]) -> float:
    """Insertions, deletions and substitutions as a share of the words that were spoken."""
    import jiwer

    return float(jiwer.wer([_plain(line) for line in spoken], [_plain(line) for line in heard]))


def _plain(line: str) -> str:
    return " ".join(re.findall(r"[a-z']+", line.lower()))
