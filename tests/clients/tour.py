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
from collections.abc import Iterator
from typing import Any

FACTS: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def tell(check: str, *, ok: bool, detail: object = "") -> None:
    """How something went."""
    print(json.dumps({"check": check, "ok": bool(ok), "detail": str(detail)[:500]}), flush=True)  # noqa: T201


@contextlib.contextmanager
def trying(check: str) -> Iterator[None]:
    """Tell how the block went: an assertion that fails, or whatever it raises, is told."""
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever a client raises is what the tour is for
        tell(check, ok=False, detail=traceback.format_exc()[-500:])
    else:
        tell(check, ok=True)


def look() -> None:
    """Let whoever runs the tour see that the server holds nothing for this client any more."""
    tell("look", ok=True)
    sys.stdin.readline()


def loudness(pcm: bytes) -> float:
    """The root mean square of 16-bit samples, of full scale."""
    samples = array.array("h", pcm)
    return math.sqrt(sum(s * s for s in samples) / max(1, len(samples))) / 32768


def is_heard(pcm: bytes) -> bool:
    """Whether 16-bit samples are not silent, and not noise at full scale."""
    return 0.01 < loudness(pcm) < 0.5


def is_about(value: float, wanted: float, share: float = 0.02) -> bool:
    """Whether ``value`` is ``wanted``, but for a ``share``."""
    return abs(value - wanted) <= share * wanted
