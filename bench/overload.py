"""Three times what the machine can do, from a fresh start, VITS and Kokoro mixed.

What is let in must be heard without a gap, and nearly as much must be spoken as by a server that
lets everybody in, asked by somebody who found out how many it bears. Both in one run.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.first_sound_stage import Stage
from bench.lines import speeches
from bench.load import Clients, Open, Outcome, Row, Target, offer
from bench.schedule import OfferedLine, arrivals_s
from bench.servers import BenchServer, serving
from voxswap_families.embedded import import_embedded
from voxswap_families.kokoro.embedded import VOICES as KOKORO_VOICES
from voxswap_families.vits.embedded import JOE
from voxswap_registry.store import Registry

_TIMES = 3.0
_CALIBRATION_S = 20.0  # four of Kokoro's segments, at least
_MOST_GAPS, _LEAST_SHARE = 0.01, 0.85
_KOKORO = KOKORO_VOICES[0]
_VOICES = ("joe", _KOKORO.id)


def overload(stage: Stage) -> None:
    """See above."""
    sizes = stage.sizes
    with tempfile.TemporaryDirectory(prefix="voxswap-overload-") as folder:
        registry = Registry(Path(folder) / "registry")
        import_embedded(registry, voices=(JOE, _KOKORO), dtype="auto")
        with _server(registry, Path(folder) / "all", most_load="10") as everybody:
            target = Target("grpc", everybody.address, stage.leave_out)
            able = {voice: _audio_per_s(target, voice, _CALIBRATION_S) for voice in _VOICES}
            lines = list(_lines(able, sizes.overload_s))
            best = [
                (limits, offer(target, Open(lines, limits)))
                for limits in _limits(able, sizes.overload_levels)
            ]
        with _server(registry, Path(folder) / "fresh") as fresh:
            found = offer(Target("grpc", fresh.address, stage.leave_out), Open(lines))
    for limits, outcome in best:
        print(f"    at most {limits}: {_shown(outcome)}", flush=True)
    print(f"    by admission: {_shown(found)}", flush=True)
    stage.raw["overload"] = {
        "able": able,
        "best": [[limits, asdict(outcome)] for limits, outcome in best],
        "found": asdict(found),
    }
    # Whether or not what was let in was whole: a server that may leave gaps can speak more.
    most_s = max(_heard_s(outcome) for _, outcome in best)
    add = stage.report.add
    spoken, bad = _let_in(found), _gaps(found)
    add(f"overload, {_TIMES:g} times: lines let in", len(spoken), f"of {len(found.rows)}")
    add("  of them with a gap", bad / max(1, len(spoken)), "", _MOST_GAPS)
    add(
        "  audio / the most of any fixed number of streams, gaps or not",
        _heard_s(found) / most_s,
        "times",
        _LEAST_SHARE,
        sense="at_least",
    )


@contextmanager
def _server(registry: Registry, cache_dir: Path, **settings: Any) -> Iterator[BenchServer]:
    with serving(registry.objects.name, cache_dir=cache_dir, **settings) as server:
        yield server


def _audio_per_s(target: Target, voice: str, seconds: float) -> float:
    """What the machine can do with one voice alone."""
    outcome = offer(target, Clients(4, seconds, speeches(500), paced=False, voice=voice))
    return sum(row.audio_s for row in outcome.rows) / outcome.duration_s


def _lines(able: Mapping[str, float], seconds: float) -> Iterator[OfferedLine]:
    """Half of the offered compute for each voice."""
    chance = random.Random(600)
    texts = itertools.cycle(speeches(600))
    found = []
    for voice, audio_per_s in able.items():
        per_s = _TIMES / len(able) * audio_per_s / _LINE_S
        found += [(at_s, voice) for at_s in arrivals_s(per_s, seconds, chance)]
    return (OfferedLine(at_s, voice, next(texts), "dialogue") for at_s, voice in sorted(found))


# About what one of `speeches` lasts.
_LINE_S = 5.0


def _limits(able: Mapping[str, float], levels: tuple[float, ...]) -> Iterator[dict[str, int]]:
    """So many at once of each: shares of what there is, parted in two."""
    for level in levels:
        yield {voice: max(1, int(level * per_s / len(able))) for voice, per_s in able.items()}


def _let_in(outcome: Outcome) -> list[Row]:
    return [row for row in outcome.rows if row.status in {"OK", "CUT"} and row.audio_s]


def _gaps(outcome: Outcome) -> int:
    return sum(row.underruns > 0 for row in _let_in(outcome))


def _heard_s(outcome: Outcome) -> float:
    return sum(row.audio_s for row in _let_in(outcome))


def _shown(outcome: Outcome) -> str:
    return (
        f"{len(_let_in(outcome))} of {len(outcome.rows)} lines, {_gaps(outcome)} with a gap, "
        f"{_heard_s(outcome):.0f} s of audio"
    )
