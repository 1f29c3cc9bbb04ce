"""``voxswap converse``: speak text from stdin while it is being written."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import add_address, connect
from voxswap_client.cli.delivery import (
    STDOUT,
    add_delivery,
    add_output,
    add_voice,
    check_output,
    opening,
    options,
    pipe,
    tell,
    warn_of_unknown,
)
from voxswap_client.cli.failure import CliError, usage_error
from voxswap_client.cli.output import print_json
from voxswap_client.cli.players import Player, Program, find_program
from voxswap_client.errors import VoxswapClientError
from voxswap_client.types import Chunk, Header, InterruptReceipt, SpeechResult

if TYPE_CHECKING:
    from voxswap_client import Conversation

_INTERRUPT_S = 0.2  # after so long an interrupt is noticed at the latest


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "converse",
        "speak text while it is being written",
        run,
        description="Speak what comes on stdin, sentence by sentence as it comes; it is played "
        "unless -o is given.",
        epilog="At a terminal each line is spoken at once. Ctrl-C interrupts the speech, and quits "
        "if there is none. A server ends a conversation in which nothing is said for a minute.",
    )
    add_voice(parser)
    add_output(parser, "play it even with -o")
    add_delivery(parser)
    add_address(parser)


def run(args: argparse.Namespace) -> int:
    """Speak until stdin ends."""
    args.play = args.play or not args.output
    check_output(args)
    program = find_program() if args.play else None
    with contextlib.ExitStack() as stack:
        # The last to be left: it waits for the listener, which whatever comes after it ends.
        pool = stack.enter_context(ThreadPoolExecutor(1))
        client = stack.enter_context(connect(args))
        # Not begun by this thread: an interrupt could leave a lock of gRPC's taken for good.
        conversation = stack.enter_context(
            pool.submit(client.converse, args.voice, **options(args)).result()
        )
        listener = _Listener(conversation, program, args)
        stack.callback(listener.hush)
        writer = _Writer(conversation)
        writer.start()
        result = _wait(pool.submit(listener.listen), conversation, listener, writer)
        written = result.save(args.output) if listener.keeps else None
    warn_of_unknown(result)
    if args.json:
        print_json(
            {
                "output": str(written) if written else None,
                "played": args.play,
                "duration_s": result.duration_s,
                "rtf": result.rtf,
                "header": result.header,
                "trailer": result.trailer,
                "receipts": listener.receipts,
            }
        )
        return 0
    tell(result, written, args, "")
    return 0


def _wait(
    listening: Future[SpeechResult],
    conversation: Conversation,
    listener: _Listener,
    writer: _Writer,
) -> SpeechResult:
    """What the listener heard. An interrupt interrupts the speech, or else is passed on."""
    while True:
        try:
            # In parts: an interrupt that comes just as a lock begins to wait does not end the wait.
            while not wait([listening], _INTERRUPT_S).done:
                pass
            return listening.result()
        except KeyboardInterrupt:
            if not listener.speaks:
                raise
            listener.hush()
            # If it is over, the listener knows.
            with contextlib.suppress(VoxswapClientError):
                conversation.interrupt()
        except VoxswapClientError:
            if writer.failure is not None:
                raise writer.failure from None
            raise


class _Writer(threading.Thread):
    """Sends what comes on stdin. Nobody waits for it: a read cannot be ended."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(name="voxswap-stdin", daemon=True)
        self._conversation = conversation
        self.failure: Exception | None = None

    def run(self) -> None:
        """Read and send until either side ends."""
        # Not sys.stdin.buffer: Python cannot exit while a thread waits there.
        stdin, by_line = sys.stdin.fileno(), sys.stdin.isatty()
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            with contextlib.suppress(VoxswapClientError):  # the listener gets it as well
                while data := os.read(stdin, 4096):
                    self._conversation.send(decoder.decode(data))
                    if by_line:
                        self._conversation.flush()
                decoder.decode(b"", final=True)
                self._conversation.end()
        except UnicodeDecodeError as error:
            self.failure = usage_error(f"the text on stdin is not UTF-8 ({error})")
            self._conversation.cancel()
        except OSError as error:
            self.failure = error
            self._conversation.cancel()


class _Listener:
    """Plays, pipes and keeps what is said. One thread `listen`s; another one may `hush` it."""

    def __init__(
        self,
        conversation: Conversation,
        program: tuple[Program, str] | None,
        args: argparse.Namespace,
    ) -> None:
        self._conversation = conversation
        self._program = program
        self._pipes = args.output == STDOUT
        self._told = sys.stderr if self._pipes or args.json else sys.stdout
        self.keeps = bool(args.output) and not self._pipes
        self.receipts: list[InterruptReceipt] = []
        self._lock = threading.Lock()  # guards the three below
        self._player: Player | None = None
        self._hushed = False  # until the receipt comes
        self.speaks = False

    def hush(self) -> None:
        """Stop the player at once; what comes before the next receipt is not played."""
        with self._lock:
            self._hushed, self.speaks = True, False
            if self._player is not None:
                self._player.stop()

    def listen(self) -> SpeechResult:
        """Take everything; its audio is empty unless it is to be kept."""
        chunks: list[Chunk] = []
        try:
            for part in self._conversation:
                if isinstance(part, InterruptReceipt):
                    self._interrupted(part)
                    continue
                if self.keeps:
                    chunks.append(part)
                self._deliver(part)
            header, trailer = self._conversation.header, self._conversation.trailer
            assert trailer is not None  # noqa: S101 - the iteration ended well
            if self._pipes and not trailer.total_samples:
                pipe(opening(header))
            if self._player is not None:
                with self._unless_hushed():
                    self._player.finish()
        finally:
            self._put_down()
        if self.keeps:
            return self._conversation.result(chunks)
        ttfa_ms = self._conversation.ttfa_ms or 0.0
        return SpeechResult(audio=b"", header=header, trailer=trailer, marks=(), ttfa_ms=ttfa_ms)

    def _deliver(self, chunk: Chunk) -> None:
        header = self._conversation.header
        player = None
        with self._lock:
            if not self._hushed:
                self.speaks = True
                player = self._take_up(header)
        if self._pipes:
            pipe((b"" if chunk.start_sample else opening(header)) + chunk.audio)
        if player is not None:
            with self._unless_hushed():
                player.write(chunk.audio)

    @contextlib.contextmanager
    def _unless_hushed(self) -> Iterator[None]:
        """A player that was stopped on purpose has not failed."""
        try:
            yield
        except CliError:
            if not self._hushed:
                raise

    def _take_up(self, header: Header) -> Player | None:
        if self._player is None and self._program is not None:
            self._player = Player(*self._program, header)
        return self._player

    def _put_down(self) -> None:
        """The player has audio of what is not to be heard any more; the next one begins anew."""
        with self._lock:
            player, self._player = self._player, None
            self._hushed = self.speaks = False
        if player is not None:
            player.__exit__(None, None, None)

    def _interrupted(self, receipt: InterruptReceipt) -> None:
        self._put_down()
        self.receipts.append(receipt)
        at_s = receipt.end_sample / self._conversation.header.sample_rate_hertz
        word = f'; the last whole word was "{receipt.last_word}"' if receipt.last_word else ""
        print(f"interrupted: {at_s:.2f} s had been sent{word}", file=self._told, flush=True)
