"""Reads clips: a first look here, decoding in processes of its own, one resampling to mono."""

from __future__ import annotations

import ctypes.util
import hashlib
import importlib.util
import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soxr

from voxswap_families.prosody_measures import RATE_HERTZ
from voxswap_registry.errors import ClipReaderError
from voxswap_server.audio.clips.containers import Container, Look, check, check_longest, looked_at
from voxswap_server.audio.clips.limits import ClipFault, ClipLimits, UnusableClipError
from voxswap_server.audio.clips.worker import ANSWER, DECODED, LONGER, REQUEST, UNREADABLE
from voxswap_server.compute.workers.barred import Barred
from voxswap_server.compute.workers.errors import NoWorkerError, RequestKillsError
from voxswap_server.compute.workers.pool import PoolStatistics, WorkerPool
from voxswap_server.compute.workers.worker import Program

# Ten seconds take 0.02 s of Opus, the slowest.
_COMPUTE_S, _WAIT_S = 2.0, 5.0
_BARRED_S: Final = 60.0
_MOST_BARRED: Final = 256

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """What was decoded: ``samples`` is mono at `RATE_HERTZ`, ``(n,)`` float32, finite.

    ``recorded`` has every channel as it came, ``(frames, channels)``, for whoever judges levels;
    ``rate_hertz`` is its rate.
    """

    container: Container
    recorded: Floats
    rate_hertz: int
    samples: Floats

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.recorded) / self.rate_hertz


class ClipReader:
    """Decodes what strangers send. Thread-safe; `read` and `close` block.

    The processes begin with the first clip, in 0.1 s. A clip that ends its process is barred for a
    minute, so that whoever sends it again ends no other one; ``_lock`` guards the making
    of the pool.
    """

    def __init__(
        self,
        limits: ClipLimits | None = None,
        *,
        processes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts nothing."""
        self.limits = limits or ClipLimits()
        self._processes = processes
        self._lock = threading.Lock()
        self._pool: WorkerPool | None = None
        self._closed = False
        # By the digest of a clip.
        self._barred = Barred(clock, for_s=_BARRED_S, most=_MOST_BARRED)

    def close(self) -> None:
        """End the processes. Whoever still reads gets a `ClipReaderError`."""
        with self._lock:
            self._closed, pool = True, self._pool
        if pool is not None:
            pool.close()

    def statistics(self) -> PoolStatistics | None:
        """The processes now; None before the first clip."""
        pool = self._pool
        return None if pool is None else pool.statistics()

    def resident_bytes(self) -> int:
        """Of its processes."""
        found = self.statistics()
        return 0 if found is None else found.resident_bytes

    def read(self, data: bytes, *, raw_hertz: int = 0) -> Clip:
        """The clip in ``data``; with ``raw_hertz``, of mono signed 16-bit samples at that rate.

        Blocks for some 20 ms, without the interpreter's lock but for the resampling, and for 5 s at
        the most. Raises `UnusableClipError`, and `ClipReaderError` if nothing decodes here.
        """
        look = looked_at(data, self.limits, raw_hertz=raw_hertz)
        digest = hashlib.blake2b(data).digest()
        if digest in self._barred:
            raise _damaged()
        most_ms = round(1000 * (self.limits.most_s + self.limits.grace_s))
        request = REQUEST.pack(most_ms, raw_hertz) + data
        try:
            found = self._started().call(
                request, self._parsed, compute_s=_COMPUTE_S, wait_s=_WAIT_S
            )
        except RequestKillsError as error:
            self._barred.add(digest)
            raise _damaged() from error
        except NoWorkerError as error:
            raise ClipReaderError(f"no recording can be decoded now: {error.message}") from error
        status, rate, recorded = found
        if status == LONGER:
            check_longest(math.inf, self.limits)
        if status != DECODED:
            if recorded.shape[1]:
                check(Look(look.container, recorded.shape[1], rate), self.limits)
            raise _damaged()
        if not np.isfinite(recorded).all():
            raise UnusableClipError(
                ClipFault.DAMAGED,
                "has samples that are no numbers (NaN); record or convert it anew",
            )
        # Beyond this it is no sound, and squares of it overflow.
        mono = np.clip(recorded, -8.0, 8.0).mean(axis=1, dtype=np.float32)
        samples = mono if rate == RATE_HERTZ else soxr.resample(mono, rate, RATE_HERTZ)
        return Clip(look.container, recorded, rate, np.ascontiguousarray(samples, np.float32))

    def _parsed(self, answer: bytes) -> tuple[int, int, Floats]:
        """What a worker says, believed as far as it can be true. Raises ValueError beyond that.

        Status, samples a second, and ``(frames, channels)``: none unless they were decoded.
        """
        if len(answer) < ANSWER.size:
            raise ValueError("a worker's answer is none")
        status, rate, channels, frames = ANSWER.unpack_from(answer)
        limits = self.limits
        if status != DECODED or not frames:
            return (
                LONGER if status == LONGER else UNREADABLE,
                rate,
                np.zeros((0, channels), np.float32),
            )
        fits = 1 <= channels <= limits.most_channels
        fits = fits and limits.least_hertz <= rate <= limits.most_hertz
        if not fits or frames > limits.most_frames(rate):
            raise ValueError("a worker's answer is beyond what it was asked for")
        found = np.frombuffer(answer, "<f4", offset=ANSWER.size)
        return status, rate, found.reshape(frames, channels)

    def _started(self) -> WorkerPool:
        with self._lock:
            if self._closed:
                raise ClipReaderError("no recording is decoded any more: the server is stopping")
            if self._pool is None:
                self._pool = WorkerPool(_program(self.limits), size=self._processes)
            return self._pool


def _damaged() -> UnusableClipError:
    return UnusableClipError(
        ClipFault.DAMAGED,
        "begins like audio and cannot be decoded: it is damaged, or of a kind that is not taken; "
        "convert it to a 16-bit WAV file",
    )


def _program(limits: ClipLimits) -> Program:
    """Raises `ClipReaderError` if libsndfile is not there."""
    path = _library()
    if path is None:
        raise ClipReaderError(
            "recordings need libsndfile, which the package soundfile brings; "
            "pip install --force-reinstall soundfile"
        )
    arguments = [path, limits.least_hertz, limits.most_hertz, limits.most_channels]
    return Program(
        "recordings",
        "voxswap_server.audio.clips.worker",
        json.dumps(arguments),
        answer_bytes=ANSWER.size + limits.most_decoded_bytes,
    )


def _library() -> str | None:
    """The one in soundfile's wheel, or else the system's."""
    spec = importlib.util.find_spec("_soundfile_data")
    for folder in () if spec is None else spec.submodule_search_locations or ():
        for found in sorted(Path(folder).glob("libsndfile*")):
            return str(found)
    return ctypes.util.find_library("sndfile")
