"""What Prometheus sees of streams."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from voxswap_registry.errors import VoxswapError
from voxswap_server.speech.errors import TooLateError
from voxswap_server.speech.messages import Trailer

#: Buckets for times that somebody waits.
SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.35, 0.6, 1.0, 2.0, 5.0, 10.0)


class StreamEnd(enum.Enum):
    """How a stream ended."""

    FINISHED = "finished"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


class StreamMetrics:
    """Metrics of streams, in ``registry``. Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"voxswap_{name}", text, labels, registry=registry)

        def seconds(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"voxswap_{name}", text, labels, buckets=SECONDS, registry=registry)

        self._miss_seconds = seconds(
            "miss_seconds", "From a stream's asking for a voice that is not resident to having it."
        )
        self._requests = counter("cache_requests", "Voices asked for, by outcome.", "outcome")
        self._active = Gauge("voxswap_active_streams", "Streams now.", registry=registry)
        self._streams = counter("streams", "Streams by their end.", "end")
        self._refusals = counter("admission_refusals", "Streams not let in, by reason.", "reason")
        self._underruns = counter("underruns", "Paced streams' chunks that came too late.")
        self._ttfa = seconds("ttfa_seconds", "From arrival to the first audio sent.", "swap")
        self._rtf = Histogram(
            "voxswap_rtf",
            "Compute seconds for each second of audio.",
            buckets=(0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.5, 1, 2),
            registry=registry,
        )
        self._audio = counter("audio_seconds", "Seconds of audio of finished streams.")
        self._characters = counter("characters", "Characters of finished streams.")
        self._unknown = counter("unknown_symbols", "Symbols left out of the speech.")

    @contextlib.contextmanager
    def stream(self, remaining_s: Callable[[], float | None]) -> Iterator[StreamObservation]:
        """Observe one stream; its end is told by what leaves the block.

        ``remaining_s`` says how long its client will still wait: a stream that is cancelled when
        nothing is left of that has expired.
        """
        observation = StreamObservation(self)
        with self._active.track_inprogress():
            try:
                yield observation
            except BaseException as error:
                left_s = remaining_s()
                too_late = isinstance(error, TooLateError)
                if too_late or (left_s is not None and left_s <= 0):
                    observation.end = StreamEnd.EXPIRED
                elif isinstance(error, Exception):
                    observation.end = StreamEnd.FAILED
                raise
            finally:
                if not observation.refused:
                    self._streams.labels(observation.end.value).inc()


@dataclass(slots=True)
class StreamObservation:
    """What is seen of one stream. A stream that nobody ends was cancelled."""

    metrics: StreamMetrics
    end: StreamEnd = StreamEnd.CANCELLED
    cold: bool = False
    cached: bool = False
    spoke: bool = False
    characters: int = 0
    refused: bool = False

    @contextlib.contextmanager
    def admission(self) -> Iterator[None]:
        """What raises in the block refuses the stream: it never began, and has no end."""
        try:
            yield
        except VoxswapError as error:
            self.refused = True
            self.metrics._refusals.labels(error.reason).inc()
            raise

    def leased(self, *, cold: bool, waited_s: float) -> None:
        """Its voice is there."""
        self.cold = cold
        if cold:
            self.metrics._miss_seconds.observe(waited_s)
        self.metrics._requests.labels("miss" if cold else "hit").inc()

    def sent_chunk(self, since_arrival_s: float) -> None:
        """Audio was handed to the transport."""
        if not self.spoke:
            self.spoke = True
            swap = "cached" if self.cached else "cold" if self.cold else "warm"
            self.metrics._ttfa.labels(swap).observe(since_arrival_s)

    def finished(self, trailer: Trailer) -> None:
        """The whole line was sent."""
        self.end = StreamEnd.FINISHED
        audio_s = trailer.total_samples / trailer.sample_rate_hertz
        self.metrics._audio.inc(audio_s)
        self.metrics._characters.inc(self.characters)
        self.metrics._underruns.inc(trailer.underruns)
        self.metrics._unknown.inc(sum(trailer.unknown_symbols.values()))
        if audio_s and not self.cached:
            self.metrics._rtf.observe(trailer.compute_ms / 1e3 / audio_s)
