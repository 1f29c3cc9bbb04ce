"""One stream's place in audio that is made for several."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Callable

from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.cache.errors import CannotContinueError
from voxswap_server.speech.parts import Chunk, Header, Part, Receipt, Trailer, digest_of

# Encodings in which each sample has bytes of its own. Whatever else begins a stream, such as the
# header of a WAV file, lies before the first sample's.
SAMPLE_BYTES = {
    AudioEncoding.PCM_S16LE: 2,
    AudioEncoding.PCM_F32LE: 4,
    AudioEncoding.WAV: 2,
    AudioEncoding.MULAW: 1,
    AudioEncoding.ALAW: 1,
}


class Listener:
    """What a stream was sent, and what of a take comes next for it. Confined to one event loop.

    A **take** is one making of the audio, from its beginning. A stream whose take ends too soon
    goes on with the next: takes of one seed have the same samples, though they may be cut
    otherwise, so what the stream was sent is left out of it.
    """

    def __init__(
        self,
        make: Callable[[], AsyncGenerator[Part, None]],
        encoding: AudioEncoding,
        *,
        text: str,
        arrived_s: float,
        clock: Callable[[], float],
    ) -> None:
        """``text`` is as the stream's client wrote it."""
        self.make = make
        self.place = 0
        """Index of the next part of the take."""
        self.error: BaseException | None = None
        """What ends this stream, once it has been set."""
        self._sample_bytes = SAMPLE_BYTES.get(encoding)
        self._arrived_s = arrived_s
        self._clock = clock
        self._text_digest = digest_of(text)
        self._is_same_text = True
        self._began = False
        self._sent_samples = 0
        self._first_chunk_ms = 0.0

    def start_over(self) -> None:
        """Another take begins. Sets `error` if this stream cannot go on with it."""
        self.place = 0
        if self.error is None and self._sent_samples and self._sample_bytes is None:
            self.error = CannotContinueError(
                "the stream that this one shared its audio with has ended, and its encoding cannot "
                "be taken up in the middle; ask again, or for PCM, or with CACHE_POLICY_OFF"
            )

    def hears(self, part: Part, *, own: bool) -> Part | None:
        """``part`` as this stream is to be sent it; None if it was sent it already.

        ``own`` says whether the take is made for this very stream.
        """
        match part:
            case Header():
                self._is_same_text = part.text_digest == self._text_digest
                began, self._began = self._began, True
                if began:
                    return None
                return part if own else as_cached(part)
            case Chunk():
                chunk = self._chunk(part)
                if chunk is None or self._is_same_text:
                    return chunk
                # It is said the same, and its words stand elsewhere.
                words = (dataclasses.replace(w, text_start=0, text_end=0) for w in chunk.words)
                return dataclasses.replace(chunk, words=tuple(words))
            case Receipt():
                raise AssertionError("what is shared is not interrupted: each listener is")
            case Trailer():
                if part.total_samples != self._sent_samples:
                    raise CannotContinueError(
                        f"{self._sent_samples} samples were sent of a line that was made twice, "
                        f"and has {part.total_samples} now; ask again"
                    )
                return dataclasses.replace(
                    part,
                    compute_ms=part.compute_ms if own else 0.0,
                    first_chunk_ms=self._first_chunk_ms,
                )

    def _chunk(self, part: Chunk) -> Chunk | None:
        sent, end = self._sent_samples, part.start_sample + part.sample_count
        if not sent:
            self._first_chunk_ms = (self._clock() - self._arrived_s) * 1e3
        if end <= sent:
            return None
        self._sent_samples = end
        if part.start_sample == sent:
            return part
        assert self._sample_bytes is not None  # noqa: S101 - see `start_over`
        return Chunk(
            part.audio[-(end - sent) * self._sample_bytes :],
            sent,
            end - sent,
            tuple(mark for mark in part.marks if mark.start_sample >= sent),
            words=tuple(word for word in part.words if word.start_sample >= sent),
        )


def as_cached(header: Header) -> Header:
    """The header of a stream that nothing is loaded or computed for."""
    return dataclasses.replace(header, cached=True, cold=False, queue_ms=0.0, swap_ms=0.0)
