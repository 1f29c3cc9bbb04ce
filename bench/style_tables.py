"""Makes what voxswap ships about packs and speakers anew: figures that were heard, no weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.style_stage import LANGUAGES, LINES, Audio, Stage, heard
from voxswap_families.kokoro import pack_prosody
from voxswap_families.kokoro.style_reading import measured
from voxswap_families.prosody_measures import frames_of
from voxswap_families.work import Work, finished
from voxswap_server.audio.clips import speaker_space
from voxswap_server.audio.clips.speakers import cepstra, summed_up

Floats = npt.NDArray[np.float64]

_STRETCH_FRAMES, _LEAST_VOICED = 200, 40
_DIRECTIONS = 6


def write(packs: Stage) -> None:
    """Put both tables where they are. Some minutes."""
    said: dict[str, list[Audio]] = {}
    for name, style in packs.styles.items():
        lines = LINES[LANGUAGES[name[0]]]
        said[name] = [packs.say(style, line, letter=name[0]) for line in lines]
        print(f"  {name}")
    _write_prosody(packs, said)
    _write_space(said)


def _write_prosody(packs: Stage, said: dict[str, list[Audio]]) -> None:
    rows, within = [], []
    for name in sorted(said):
        found = np.array([measured(heard(audio)) for audio in said[name]])
        digest = packs.manifest(name).component("style").digest.removeprefix("sha256:")
        *figures, pauses = found.mean(axis=0)
        rows.append(" ".join([name, digest, *(f"{x:.1f}" for x in figures), f"{pauses:.2f}"]))
        within.append(found.var(axis=0, ddof=1))
    _replace(pack_prosody.__file__, rows)
    spread = ", ".join(f"{value:.2f}" for value in np.sqrt(np.mean(within, axis=0)))
    print(f"LINE_TO_LINE = ({spread})")


def _write_space(said: dict[str, list[Audio]]) -> None:
    """Fisher's discriminants: of stretches, what differs between speakers by what does within."""
    within, means, n = np.zeros((0, 0)), [], 0
    for audios in said.values():
        stretches = np.array([found for audio in audios for found in _stretches(audio)])
        mean = stretches.mean(axis=0)
        scatter = (stretches - mean).T @ (stretches - mean)
        within = scatter if not n else within + scatter
        means.append(mean)
        n += len(stretches) - 1
    within = within / n
    within += 1e-3 * np.trace(within) / len(within) * np.eye(len(within))
    sizes, axes = np.linalg.eigh(within)
    white = axes / np.sqrt(sizes)
    _, directions = np.linalg.eigh(white.T @ np.cov(np.array(means).T) @ white)
    space = white @ directions[:, ::-1][:, :_DIRECTIONS]
    _replace(speaker_space.__file__, [" ".join(f"{x:.4g}" for x in row) for row in space])


def _stretches(audio: Audio) -> list[Floats]:
    frames, found = finished(Work(frames_of(audio))), finished(Work(cepstra(audio)))
    n = min(len(found), len(frames.pitch_hertz))
    stretches = []
    for first in range(0, n - _STRETCH_FRAMES // 2, _STRETCH_FRAMES // 2):
        at = np.arange(first, min(n, first + _STRETCH_FRAMES))
        at = at[frames.is_voiced[at]]
        if len(at) >= _LEAST_VOICED:
            stretches.append(summed_up(found[at], frames.pitch_hertz[at]))
    return stretches


def _replace(file: str, rows: list[str]) -> None:
    """The rows of the one table that the module in ``file`` has."""
    path = Path(file)
    before, _, rest = path.read_text().partition('= """\n')
    _, _, after = rest.partition('"""\n')
    path.write_text(before + '= """\n' + "\n".join(rows) + '\n"""\n' + after)
