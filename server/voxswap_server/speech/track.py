"""A stream's audio as its client gets it: with its effects, resampled, encoded, counted, marked."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from voxswap_registry.controls import ON_AUDIO
from voxswap_registry.families import native_controls_of
from voxswap_registry.manifest import Manifest
from voxswap_server.audio.effects.chain import Effects
from voxswap_server.audio.encoding import Encoded, Samples, make_encoder, output_rate
from voxswap_server.audio.resampling import Resampler
from voxswap_server.speech.marks import segment_marks
from voxswap_server.speech.messages import Chunk, Mark
from voxswap_server.speech.reader import Read
from voxswap_server.speech.request import MarkKind, SpeechRequest

_WORDS = frozenset({MarkKind.WORD})


class Track:
    """Where the pieces of a stream are joined. Not thread-safe; `push` may take long: see there."""

    def __init__(self, request: SpeechRequest, manifest: Manifest) -> None:
        self._kinds = request.marks
        self.hop = manifest.audio.hop_length_samples
        self.rate_in = manifest.audio.sample_rate_hertz
        self.rate = output_rate(request.encoding, request.sample_rate_hertz, self.rate_in)
        native = native_controls_of(manifest)
        self._done_here = tuple(name for name in ON_AUDIO if name not in native)
        self._effects = Effects(self.rate_in)
        self._resampler = Resampler(self.rate_in, self.rate)
        self._encoder = make_encoder(request.encoding, self.rate)
        self._marks: deque[Mark] = deque()
        self._words: deque[Mark] = deque()
        self.samples = 0
        """Given out, at the client's rate."""
        self._samples_in = 0  # of the segments that have begun, at the engine's rate
        self._samples_encoded = 0  # the encoder's input, at the client's rate

    def begin(self, read: Read, durations_frames: Sequence[int]) -> None:
        """A segment comes; its marks go out with the chunks that they begin in."""
        asked = read.delivery.controls
        self._effects.begin({name: asked[name] for name in self._done_here if name in asked})
        start = self._samples_in
        marks = segment_marks(
            self._kinds | _WORDS,
            read.segment,
            read.text,
            read.symbols,
            durations_frames,
            lambda frame: self.to_output(start + frame * self.hop),
        )
        self._marks.extend(mark for mark in marks if mark.kind in self._kinds)
        self._words.extend(mark for mark in marks if mark.kind is MarkKind.WORD)
        self._samples_in += sum(durations_frames) * self.hop
        self._samples_in += len(self._pause(read))

    def push(self, samples: Samples, *, ends: Read | None = None) -> Chunk | None:
        """More audio, at the engine's rate; of ``ends`` the last, which its pause follows.

        None if all of it is held back for now: by an effect, by the resampler, or by a codec that
        has frames.
        It takes about as long as `takes_s` says, on whatever thread.
        """
        samples = self._effects.run(samples, is_last=ends is not None)
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

    def takes_s(self, audio_s: float) -> float:
        """About how long `push` and `finish` compute for so much audio."""
        return audio_s * (self._effects.rtf + self._resampler.rtf + self._encoder.rtf)

    def cut(self) -> None:
        """Forget what has not been given out."""
        self._marks.clear()
        self._words.clear()
        # What the effects hold back is of a segment that does not go on: the next one begins anew.
        self._resampler = Resampler(self.rate_in, self.rate)
        # What a codec has not given out yet comes before whatever is pushed from now on.
        self._samples_in = round(self._samples_encoded * self.rate_in / self.rate)

    @property
    def delay_samples(self) -> int:
        """What a reader skips at the beginning: see `Encoder`."""
        return self._encoder.delay_samples

    def to_output(self, sample: int) -> int:
        """A sample at the engine's rate, at the client's."""
        return round(sample * self.rate / self.rate_in)

    def _pause(self, read: Read) -> Samples:
        scale = read.delivery.controls.get("pause_scale", 1.0)
        pause_ms = read.segment.pause_ms
        return np.zeros(int(pause_ms * scale * self.rate_in / 1000), np.float32)

    def _chunk(self, encoded: Encoded) -> Chunk | None:
        if not encoded.data:
            return None
        start, self.samples = self.samples, self.samples + encoded.samples
        return Chunk(
            encoded.data,
            start,
            encoded.samples,
            _begun(self._marks, self.samples),
            encoded.packet_sizes,
            _begun(self._words, self.samples),
        )


def _begun(marks: deque[Mark], end: int) -> tuple[Mark, ...]:
    """Takes those out that begin before sample ``end``."""
    begun: list[Mark] = []
    # A mark without length at the very end has no chunk to begin in but this one.
    while marks and (
        marks[0].start_sample < end
        or (marks[0].start_sample == end and not marks[0].duration_samples)
    ):
        begun.append(marks.popleft())
    return tuple(begun)
