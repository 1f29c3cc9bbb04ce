"""What all tours share. Runs in the client's environment: the standard library alone.

A tour is given facts as JSON in its first argument, and prints a line of JSON for each thing that
it has tried: ``{"check": NAME, "ok": true, "detail": …}``. Where it asks somebody to look at the
server it waits for a line on its standard input.
"""

from __future__ import annotations

import array
import contextlib
import json
import math
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

FACTS: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def tell(check: str, *, ok: bool, detail: object = "") -> None:
    """How something went."""
    print(json.dumps({"check": check, "ok": bool(ok), "detail": str(detail)[:1500]}), flush=True)  # noqa: T201


@contextlib.contextmanager
def trying(check: str) -> Iterator[list[str]]:
    """Tell how the block went: an assertion that fails, or whatever it raises, is told.

    What it puts into the list is told as what was found.
    """
    found: list[str] = []
    try:
        yield found
    except Exception:  # noqa: BLE001 - whatever a client raises is what the tour is for
        tell(check, ok=False, detail=traceback.format_exc()[-1500:])
    else:
        tell(check, ok=True, detail=", ".join(found))


def error_of(call: Callable[[], object], kind: type[BaseException]) -> Any:
    """What ``call`` raises, which must be of this ``kind``."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError("nothing was raised")


async def error_of_awaited(call: Awaitable[object], kind: type[BaseException]) -> Any:
    """The same of what is awaited."""
    try:
        await call
    except kind as error:
        return error
    raise AssertionError("nothing was raised")


def said_by(error: BaseException) -> str:
    """All that is to be read in it."""
    return f"{error} {vars(error)}"


def look() -> None:
    """Let whoever runs the tour see that the server holds nothing for this client any more."""
    tell("look", ok=True)
    sys.stdin.readline()


def loudness(pcm: bytes) -> float:
    """The root mean square of 16-bit samples, of full scale."""
    samples = array.array("h", pcm)
    return math.sqrt(sum(s * s for s in samples) / max(1, len(samples))) / 32768


#: The silence after a sentence that was flushed: more may come.
PAUSE_S = 0.16


def is_heard(pcm: bytes) -> bool:
    """Whether 16-bit samples are not silent, and not noise at full scale."""
    return 0.01 < loudness(pcm) < 0.5


def is_about(value: float, wanted: float, share: float = 0.02) -> bool:
    """Whether ``value`` is ``wanted``, but for a ``share``."""
    return abs(value - wanted) <= share * wanted


def close_times(found: list[tuple[str, float]], within_s: float = 0.02) -> None:
    """Hold words with the seconds at which they begin against those of our own client.

    Marks of punctuation aside. ``within_s``: what rounding and resampling may move them by.
    """
    wanted = [(word, start_ms / 1e3) for word, start_ms, _ in FACTS["words"]]
    bare = [("".join(c for c in word if c.isalnum() or c == "'"), at) for word, at in found]
    assert [word for word, _ in bare] == [word for word, _ in wanted], (bare, wanted)
    off = [
        (word, at, should)
        for (word, at), (_, should) in zip(bare, wanted, strict=True)
        if abs(at - should) > within_s
    ]
    assert not off, off


def check_length(pcm: bytes, hertz: int, within_s: float = 0.0105, after_s: float = 0.0) -> None:
    """Hold the length of 16-bit samples against that of our own client, and listen to them.

    ``within_s``: frames of 10 ms are filled up, and resampling rounds to a whole sample.
    ``after_s``: a pause that may follow, where the server cannot know that nothing more comes.
    """
    assert is_heard(pcm), loudness(pcm)
    seconds, wanted = len(pcm) / 2 / hertz, FACTS["samples"] / FACTS["sample_rate_hertz"]
    assert -within_s <= seconds - wanted <= within_s + after_s, (seconds, wanted)
