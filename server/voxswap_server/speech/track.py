"""A stream's audio as its client gets it: resampled, encoded, counted, with its marks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from voxswap_registry.manifest import Manifest
from voxswap_server.audio.encoding import Encoded, Samples, make_encoder, output_rate
from voxswap_server.audio.resampling import Resampler
from voxswap_server.speech.marks import segment_marks
from voxswap_server.speech.parts import Chunk, Mark, Receipt
from voxswap_server.speech.reader import Read
from voxswap_server.speech.request import MarkKind, SpeechRequest

_WORDS = frozenset({MarkKind.WORD})


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A segment on the track: where it begins, at the engine's rate."""

    read: Read
    durations_frames: Sequence[int]
    start: int


class Track:
    """Where the pieces of a stream are joined. Confined to one thread."""

    def __init__(self, request: SpeechRequest, manifest: Manifest) -> None:
        self._kinds = request.marks
        self.hop = manifest.audio.hop_length_samples
        self.rate_in = manifest.audio.sample_rate_hertz
        self.rate = output_rate(request.encoding, request.sample_rate_hertz, self.rate_in)
        self._resampler = Resampler(self.rate_in, self.rate)
        self._encoder = make_encoder(request.encoding, self.rate)
        self._marks: deque[Mark] = deque()
        # The last word may have been said a segment ago.
        self._latest: deque[_Spoken] = deque(maxlen=2)
        self._last_word, self._text_end = "", 0  # before the latest interruption
        self._samples_in = 0  # of the segments that have begun, at the engine's rate
        self._samples_encoded = 0  # the encoder's input, at the client's rate
        self.samples = 0  # of these, given out

    def begin(self, read: Read, durations_frames: Sequence[int]) -> None:
        """A segment comes; its marks go out with the chunks that they begin in."""
        spoken = _Spoken(read, tuple(durations_frames), self._samples_in)
        self._latest.append(spoken)
        self._marks.extend(self._marks_of(spoken, self._kinds))
        self._samples_in += sum(spoken.durations_frames) * self.hop
        self._samples_in += len(self._pause(read))

    def push(self, samples: Samples, *, ends: Read | None = None) -> Chunk | None:
        """More audio, at the engine's rate; of ``ends`` the last, which its pause follows.

        None if all of it is held back for now: by the resampler, or by a codec that has frames.
        """
        if ends is not None:
            samples = np.concatenate([samples, self._pause(ends)])
        resampled = self._resampler.push(samples)
        self._samples_encoded += len(resampled)
        return self._chunk(self._encoder.encode(resampled))

    def finish(self) -> Chunk | None:
        """What was held back."""
        rest = self._resampler.finish(np.zeros(0, np.float32))
        self._samples_encoded += len(rest)
        return self._chunk(self._encoder.finish(rest))

    def cut(self) -> Receipt:
        """Forget what has not been given out; what was, and the last word of it said whole."""
        words = [mark for spoken in self._latest for mark in self._marks_of(spoken, _WORDS)]
        said = [word for word in words if word.start_sample + word.duration_samples <= self.samples]
        self._marks.clear()
        self._latest.clear()
        self._resampler = Resampler(self.rate_in, self.rate)
        # What a codec has not given out yet comes before whatever is pushed from now on.
        self._samples_in = round(self._samples_encoded * self.rate_in / self.rate)
        if said:
            self._last_word, self._text_end = said[-1].text, said[-1].text_end
        return Receipt(self.samples, self._last_word, self._text_end)

    @property
    def delay_samples(self) -> int:
        """What a reader skips at the beginning: see `Encoder`."""
        return self._encoder.delay_samples

    def to_output(self, sample: int) -> int:
        """A sample at the engine's rate, at the client's."""
        return round(sample * self.rate / self.rate_in)

    def _pause(self, read: Read) -> Samples:
        return np.zeros(read.segment.pause_ms * self.rate_in // 1000, np.float32)

    def _marks_of(self, spoken: _Spoken, kinds: frozenset[MarkKind]) -> Sequence[Mark]:
        if not kinds:
            return ()
        read = spoken.read
        to_sample = partial(self._sample_of_frame, spoken.start)
        return segment_marks(
            kinds, read.segment, read.text, read.symbols, spoken.durations_frames, to_sample
        )

    def _sample_of_frame(self, start: int, frame: int) -> int:
        return self.to_output(start + frame * self.hop)

    def _chunk(self, encoded: Encoded) -> Chunk | None:
        if not encoded.data:
            return None
        start = self.samples
        self.samples = end = start + encoded.samples
        marks: list[Mark] = []
        # A mark without length at the very end has no chunk to begin in but this one.
        while self._marks and (
            self._marks[0].start_sample < end
            or (self._marks[0].start_sample == end and not self._marks[0].duration_samples)
        ):
            marks.append(self._marks.popleft())
        return Chunk(encoded.data, start, encoded.samples, tuple(marks), encoded.packet_sizes)
