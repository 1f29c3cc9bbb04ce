"""A resampler that keeps its state between chunks, so that a stream has no seams."""

from __future__ import annotations

import numpy as np
import soxr

from voxswap_server.audio.encoding import Samples

MIN_SAMPLE_RATE_HERTZ = 8_000
MAX_SAMPLE_RATE_HERTZ = 48_000


class Resampler:
    """Chunks in, chunks out; joined, they are the resampling of the whole.

    The filter's delay is taken out: output sample k is the signal at k / ``rate_out`` seconds.
    While the filter fills, `push` may return fewer samples than the ratio says; `finish` returns
    the rest.
    Not thread-safe; one for each stream.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        """``rtf`` is about how many seconds a second of audio takes, up to the highest rate."""
        self.rtf = 0.0 if rate_in == rate_out else 0.0004
        self._stream = (
            None
            if rate_in == rate_out
            else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="HQ")
        )

    def push(self, samples: Samples) -> Samples:
        """The output that ``samples``, ``(n,)`` float32, make certain."""
        return self._run(samples, last=False)

    def finish(self, samples: Samples) -> Samples:
        """The output of the last ``samples`` and of everything that was held back."""
        return self._run(samples, last=True)

    def _run(self, samples: Samples, *, last: bool) -> Samples:
        if self._stream is None:
            return samples
        resampled: Samples = self._stream.resample_chunk(samples, last=last)
        return np.ascontiguousarray(resampled, dtype=np.float32)
