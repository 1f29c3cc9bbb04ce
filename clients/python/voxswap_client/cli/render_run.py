"""Renders the lines of a script: several in flight, their files written one after the other."""

from __future__ import annotations

import asyncio
import errno
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voxswap_client.audio_file import file_bytes
from voxswap_client.cli.failure import CliError
from voxswap_client.cli.render_folder import RenderFolder
from voxswap_client.errors import (
    NotImplementedByServerError,
    UnavailableError,
    VoxswapClientError,
)
from voxswap_client.render.results import Done, Failed, Kept, Loudness, request_digest
from voxswap_client.render.script import Line
from voxswap_client.request import SpeechOptions
from voxswap_client.retry import RetryPolicy
from voxswap_client.types import Encoding, SpeechResult

if TYPE_CHECKING:
    from voxswap_client import AsyncClient

# Nobody waits for a file: a server that is full, or being started anew, has half a minute.
RETRIES = RetryPolicy(max_attempts=10, max_backoff_ms=10_000.0, max_hint_ms=120_000.0)

_OPUS_RATE_HERTZ = 24_000  # what the server takes where nothing else is asked for

# Errors of the disk that every other line would meet as well.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})

Ended = Callable[[Done | Failed], object]


class OutOfReachError(CliError):
    """The server does not answer any more, or the disk takes no more: nothing is left to try."""


@dataclass(slots=True)
class Tally:
    """What has become of the lines of a run so far."""

    rendered: int = 0
    audio_s: float = 0.0
    failed: list[Failed] = field(default_factory=list)
    off_target: int = 0
    with_unknown: int = 0

    def add(self, end: Done | Failed) -> None:
        """One more."""
        if isinstance(end, Failed):
            self.failed.append(end)
            return
        self.rendered += 1
        self.audio_s += end.result.duration_s
        self.off_target += end.loudness is not None and not end.loudness.reached
        self.with_unknown += bool(end.result.trailer.unknown_symbols)


def left_to_do(
    folder: RenderFolder,
    lines: Sequence[Line],
    kept: dict[str, Kept],
    looked_at: Callable[[], None],
) -> list[Line]:
    """The lines whose files are not there, or not as the script and the results say. Blocks."""
    left = []
    for line in lines:
        known = kept.get(line.file)
        if (
            known is None
            or known.request != request_digest(line)
            or known.digest != folder.digest(line.file)
        ):
            left.append(line)
        looked_at()
    return left


async def render(
    client: AsyncClient, folder: RenderFolder, lines: Sequence[Line], *, jobs: int, ended: Ended
) -> None:
    """Render ``lines`` in turn, ``jobs`` at a time; a thread of its own tells ``ended`` of each.

    A line that fails does not end the others. Cancelling
    it leaves whole files with their results. Raises `OutOfReachError` where no other line could be
    rendered either.
    """
    queue = iter(lines)
    loop = asyncio.get_running_loop()
    # One thread: files and results are written in turn, and what has begun is finished.
    with ThreadPoolExecutor(1, thread_name_prefix="voxswap-render") as writer:

        async def work() -> None:
            for line in queue:
                try:
                    result = await client.say(line.voice, line.text, **_asked(line))
                    keep = functools.partial(_keep, folder, line, result, ended)
                except VoxswapClientError as error:
                    if isinstance(error, UnavailableError) and not error.reason:
                        raise OutOfReachError(error.message, "start the server again") from error
                    keep = functools.partial(_fail, folder, Failed.of(line, error), ended)
                await loop.run_in_executor(writer, keep)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(jobs, len(lines))):
                    group.create_task(work())
        except BaseExceptionGroup as raised:
            raise raised.exceptions[0] from None


async def in_memory(client: AsyncClient) -> set[str]:
    """The versions of voices that the server has in memory, as far as it says so."""
    try:
        found = (await client.residents()).residents
    except NotImplementedByServerError:
        return set()
    return {voice for resident in found for voice in resident.voices}


def _asked(line: Line) -> SpeechOptions:
    if line.loudness_lufs is None:
        return line.options
    # Its samples are needed here, before any encoding has taken something from them.
    rate = line.options.get("sample_rate_hertz")
    if line.encoding is Encoding.OGG_OPUS:
        rate = rate or _OPUS_RATE_HERTZ
    return {**line.options, "encoding": Encoding.PCM_F32LE, "sample_rate_hertz": rate}


def _keep(folder: RenderFolder, line: Line, result: SpeechResult, ended: Ended) -> None:
    try:
        data, loudness = _file(line, result)
        folder.write(line.file, data)
    except ValueError as error:
        _fail(folder, Failed(line, "NOT_ENCODED", str(error)), ended)
    except OSError as error:
        told = f"{line.file} cannot be written: {error.strerror}"
        if error.errno in _DISK:
            raise OutOfReachError(told, "make room, or write to another folder") from error
        _fail(folder, Failed(line, "NOT_WRITTEN", told), ended)
    else:
        done = Done(line, result, data, loudness)
        folder.note(done.document())
        ended(done)


def _fail(folder: RenderFolder, failed: Failed, ended: Ended) -> None:
    folder.note(failed.document())
    ended(failed)


def _file(line: Line, result: SpeechResult) -> tuple[bytes, Loudness | None]:
    rate = result.header.sample_rate_hertz
    if line.loudness_lufs is None:
        samples = result.trailer.total_samples
        return file_bytes(result.audio, result.header.encoding, rate, samples=samples), None
    from voxswap_client.render.encoding import encoded
    from voxswap_client.render.loudness import as_samples, to_target

    leveled, loudness = to_target(as_samples(result.audio), rate, line.loudness_lufs)
    return encoded(leveled, rate, line.encoding), loudness
