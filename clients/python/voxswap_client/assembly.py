"""The rules of a response stream, without any I/O: both clients feed it their messages."""

from __future__ import annotations

from voxswap.v1 import speech_pb2
from voxswap_client import convert
from voxswap_client.errors import IncompleteStreamError, VoxswapClientError
from voxswap_client.types import Chunk, Header, InterruptReceipt, Mark, SpeechResult, Trailer


def not_begun() -> VoxswapClientError:
    """The error for interrupting what has no stream id yet."""
    return VoxswapClientError(
        "nothing can be interrupted before the stream's header has been read; cancel the stream"
    )


def over(how: str) -> VoxswapClientError:
    """The error for saying something in a conversation that takes no more."""
    return VoxswapClientError(f"the conversation {how}, and takes no more text; begin another one")


class SpeechAssembly:
    """Checks that a stream is one Header, gapless chunks and one Trailer. Not thread-safe.

    Where a line was interrupted it ends with a receipt in place of the trailer. A conversation
    ``goes_on`` after each receipt.
    """

    def __init__(self, began_s: float, *, goes_on: bool = False) -> None:
        self._began_s = began_s
        self._goes_on = goes_on
        self._next_sample = 0
        self.receipt: InterruptReceipt | None = None  # the last one
        self.header: Header | None = None
        self.trailer: Trailer | None = None
        self.ttfa_ms: float | None = None

    def accept(
        self, message: speech_pb2.SynthesizeResponse | speech_pb2.ConverseResponse, now_s: float
    ) -> Chunk | InterruptReceipt | None:
        """Take the next message; return its chunk or receipt if it is one.

        A part of a kind that this client does not know is passed over. Raises
        `IncompleteStreamError`.
        """
        match message.WhichOneof("part"):
            case "header" if self.header is None:
                self.header = convert.value(Header, message.header)
            case "chunk" if self._speaking:
                return self._chunk(message.chunk, now_s)
            case "trailer" if self._speaking:
                self._end(convert.value(Trailer, message.trailer))
            case "interrupted" if self._speaking:
                return self._interrupted(convert.value(InterruptReceipt, message.interrupted))
            case "header" | "chunk" | "trailer" | "interrupted" as part:
                raise IncompleteStreamError(
                    f"the server sent a {part} out of turn; its version may not fit this client's"
                )
        return None

    @property
    def _speaking(self) -> bool:
        cut_off = self.receipt is not None and not self._goes_on
        return self.header is not None and self.trailer is None and not cut_off

    def _chunk(self, wire: speech_pb2.AudioChunk, now_s: float) -> Chunk:
        if wire.start_sample != self._next_sample:
            raise IncompleteStreamError(
                f"a chunk begins at sample {wire.start_sample} where {self._next_sample} is due: "
                "audio is missing; ask for the line again"
            )
        self._next_sample += wire.sample_count
        if self.ttfa_ms is None:
            self.ttfa_ms = (now_s - self._began_s) * 1000
        return convert.value(Chunk, wire)

    def _end(self, trailer: Trailer) -> None:
        if trailer.total_samples != self._next_sample:
            raise IncompleteStreamError(
                f"{self._next_sample} samples came and the trailer says {trailer.total_samples}: "
                "audio is missing; ask for the line again"
            )
        self.trailer = trailer

    def _interrupted(self, receipt: InterruptReceipt) -> InterruptReceipt:
        if receipt.end_sample != self._next_sample:
            raise IncompleteStreamError(
                f"{self._next_sample} samples came and the receipt says {receipt.end_sample}: "
                "audio is missing"
            )
        self.receipt = receipt
        return receipt

    def finish(self) -> None:
        """Say that the stream has ended; `IncompleteStreamError` if that was too early."""
        if self._speaking or self.header is None:
            raise IncompleteStreamError(
                f"the stream ended after {self._next_sample} samples without a trailer: the line "
                "is cut off; ask for it again"
            )

    def result(self, chunks: list[Chunk]) -> SpeechResult:
        """The whole line, from all of its chunks, once the stream has ended.

        Raises `IncompleteStreamError`.
        """
        if self.receipt is not None and not self._goes_on:
            raise IncompleteStreamError(
                f"the line was interrupted after {self.receipt.end_sample} samples; what came of "
                "it is in its chunks"
            )
        if self.header is None or self.trailer is None:
            raise IncompleteStreamError("the stream has not been read to its end; read on")
        if sum(chunk.sample_count for chunk in chunks) != self.trailer.total_samples:
            raise IncompleteStreamError(
                "these are not all chunks of the line; keep them from the first one on"
            )
        marks: list[Mark] = []
        for chunk in chunks:
            marks.extend(chunk.marks)
        return SpeechResult(
            audio=b"".join(chunk.audio for chunk in chunks),
            header=self.header,
            trailer=self.trailer,
            marks=tuple(marks),
            ttfa_ms=self.ttfa_ms or 0.0,
            packet_sizes=tuple(size for chunk in chunks for size in chunk.packet_sizes),
        )
