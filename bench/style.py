"""Styles that are read off recordings: whether clips are found again, whether what is spoken comes
nearer to them, what that costs in quality, and how often two speakers are told from one.

``--only tables`` makes the figures that voxswap ships (`pack_prosody`, `speaker_space`) anew.
Clips are made up: packs that speak lines which are in no table. A folder of recordings of people,
``SPEAKER_LINE.wav``, may be named by VOXSWAP_RECORDINGS, and is measured beside them.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

from bench import style_tables
from bench.audio_measures import dnsmos
from bench.recognise import recognise, word_error_rate
from bench.report import Report
from bench.style_stage import HELD_OUT, Audio, Stage, heard, stage
from voxswap_families.kokoro.pack_prosody import LINE_TO_LINE, PACK_PROSODY
from voxswap_families.kokoro.packs import PACKS
from voxswap_families.kokoro.style_reading import KokoroStyles, measured
from voxswap_families.prosody_measures import RATE_HERTZ, Prosody, frames_of
from voxswap_families.styles import StyleFound
from voxswap_families.work import Work, finished
from voxswap_server.audio.clips.speakers import change_of_speaker

FIGURES = ("found", "spoken", "speakers", "tables")
_VOICES = ("af_heart", "am_michael")
_MANNERS = ("af_bella", "af_kore", "af_nova", "am_fenrir", "am_onyx", "bf_emma")
_SPOKEN = (
    "You should not have come back to this town, and you know why.",
    "There are seven men on the road, and all of them carry swords.",
)
_MEASURES = ("mean pitch", "pitch range", "syllables a second", "stress", "pauses")


def run(report: Report, *, device: str, quick: bool = False, only: str | None = None) -> None:
    """What ``only`` names, or all but the tables; ten minutes."""
    del device
    with stage() as packs:
        if only in {None, "found"}:
            _found(report, packs, quick=quick)
        if only in {None, "spoken"}:
            _spoken(report, packs, quick=quick)
        if only in {None, "speakers"}:
            _speakers(report, packs, quick=quick)
        if only == "tables":
            style_tables.write(packs)


def _read(packs: Stage, voice: str, prosody: Prosody) -> StyleFound:
    """As a server with all packs reads it."""
    styles = KokoroStyles()
    names = [name for name in sorted(PACKS) if name != voice]
    sources = styles.sources(packs.manifest(voice), map(packs.manifest, names))
    summaries = {}
    for source in sources:
        with packs.registry.components.hold(source.component("style")) as file:
            summaries[source.component("style").digest] = styles.summary(file.read_bytes())
    return styles.read(sources, summaries, prosody)


def _found(report: Report, packs: Stage, *, quick: bool) -> None:
    """Clips of English packs, and of one voice with the delivery of each, find that pack again."""
    english = [name for name in sorted(PACKS) if name[0] in "ab"]
    rows = {name: PACK_PROSODY[packs.manifest(name).component("style").digest] for name in english}
    chosen = english[:: 6 if quick else 2]
    for label, who in (("its own voice", None), ("another voice", "af_heart")):
        ranks, similarities = [], []
        for name in chosen:
            style = packs.styles[name] if who is None else packs.with_delivery_of(who, name)
            letter = name[0] if who is None else who[0]
            prosody = heard(packs.say(style, HELD_OUT[0], letter=letter))
            apart = {
                other: np.linalg.norm((np.array(row) - measured(prosody)) / LINE_TO_LINE)
                for other, row in rows.items()
            }
            ranks.append(1 + sorted(apart, key=lambda n: apart[n]).index(name))
            similarities.append(_read(packs, name, prosody).similarity)
        print(f"  ranks of packs in {label}: {dict(zip(chosen, ranks, strict=True))}")
        share = float(np.mean(np.array(ranks) <= 3))
        report.add(f"clips by {label}: right pack in first 3 of {len(english)}", share, "share")
        report.add(f"clips by {label}: median rank", float(np.median(ranks)), "")
        report.add(f"clips by {label}: mean similarity", float(np.mean(similarities)), "")


def _clips(packs: Stage, *, quick: bool) -> Iterator[tuple[str, Audio]]:
    """Deliveries that are far from each other: of packs, slow and fast ones, and of people."""
    for name in _MANNERS[:: 3 if quick else 1]:
        yield name, packs.say(packs.styles[name], HELD_OUT[1], letter=name[0])
    yield "fast af_bella", packs.say(packs.styles["af_bella"], HELD_OUT[1], rate=1.25)
    yield "slow am_michael", packs.say(packs.styles["am_michael"], HELD_OUT[1], rate=0.8)
    for speaker, clips in _people().items():
        yield speaker, clips[0]


def _people() -> dict[str, list[Audio]]:
    """Recordings of people by speaker, if there are any."""
    found: dict[str, list[Audio]] = {}
    folder = os.environ.get("VOXSWAP_RECORDINGS")
    for path in sorted(Path(folder).glob("*_*.wav")) if folder else ():
        audio, rate = soundfile.read(path, dtype="float32")
        clip = soxr.resample(audio, rate, RATE_HERTZ).astype(np.float32)
        found.setdefault(path.stem.partition("_")[0], []).append(clip)
    return found


def _spoken(report: Report, packs: Stage, *, quick: bool) -> None:
    """What is spoken comes nearer to the clip, and stays as good."""
    lines = _SPOKEN[:1] if quick else _SPOKEN
    before, after, said, plain = [], [], [], []
    heard_words: list[str] = []
    plain_words: list[str] = []
    clips = list(_clips(packs, quick=quick))
    for voice in _VOICES:
        own = [packs.say(packs.styles[voice], line) for line in lines]
        plain += own
        plain_words += [recognise(audio, RATE_HERTZ) for audio in own]
        natural = np.mean([measured(heard(audio)) for audio in own], axis=0)
        for name, clip in clips:
            wanted = measured(heard(clip))
            found = _read(packs, voice, heard(clip))
            audios = [packs.say(packs.styles[voice], line, values=found.values) for line in lines]
            got = np.mean([measured(heard(audio)) for audio in audios], axis=0)
            said += audios
            heard_words += [recognise(audio, RATE_HERTZ) for audio in audios]
            before.append(np.abs(natural - wanted))
            after.append(np.abs(got - wanted))
            print(
                f"  {voice} like {name}: similarity {found.similarity_without:.2f} -> "
                f"{found.similarity:.2f}, {natural.round(1)} -> {got.round(1)}, "
                f"clip {wanted.round(1)}"
            )
    gaps, left = np.array(before), np.array(after)
    for place, name in enumerate(_MEASURES):
        ratio = float(left[:, place].mean() / gaps[:, place].mean())
        report.add(f"gap to the clip in {name}, of what it was", ratio, "share")
    scaled = [float(np.mean(np.linalg.norm(x / LINE_TO_LINE, axis=1))) for x in (left, gaps)]
    report.add("gap in all of them", scaled[0] / scaled[1], "share", 0.7)
    closer = np.linalg.norm(left / LINE_TO_LINE, axis=1) < np.linalg.norm(
        gaps / LINE_TO_LINE, axis=1
    )
    report.add("lines that come nearer", float(closer.mean()), "share", 0.9, sense="at_least")
    scores, of_plain = dnsmos(said, RATE_HERTZ), dnsmos(plain, RATE_HERTZ)
    for name in scores:
        report.add(f"DNSMOS {name} with a style", scores[name], "", peer=of_plain[name])
    wrong = word_error_rate(lines * (len(heard_words) // len(lines)), heard_words)
    usual = word_error_rate(lines * (len(plain_words) // len(lines)), plain_words)
    report.add("word error rate with a style", 100 * wrong, "%", 100 * usual + 3, peer=100 * usual)


def _speakers(report: Report, packs: Stage, *, quick: bool) -> None:
    """Two speakers are told from one: of packs, on lines of no table, and of people."""
    names = sorted(name for name in PACKS if name[0] in "ab")[:: 6 if quick else 2]
    said = {n: [packs.say(packs.styles[n], line, letter=n[0]) for line in HELD_OUT] for n in names}
    for kind, by_speaker in (("packs", said), ("people", _people())):
        if not by_speaker:
            continue
        draw = random.Random(5)
        alone = [
            np.concatenate(pair)[: 10 * RATE_HERTZ]
            for clips in by_speaker.values()
            for pair in itertools.islice(itertools.combinations(clips, 2), 6)
        ]
        together = []
        for _ in range(30 if quick else 100):
            one, other = (draw.choice(by_speaker[n]) for n in draw.sample(sorted(by_speaker), 2))
            cut = int(draw.uniform(1.5, 4.0) * RATE_HERTZ)
            together.append(np.concatenate([one[:cut], other[:cut]]))
        report.add(f"{kind}: one speaker taken for two", _share(alone), "share", 0.03)
        report.add(f"{kind}: two speakers heard as two", _share(together), "share")


def _share(clips: Sequence[Audio]) -> float:
    found = [
        finished(Work(change_of_speaker(clip, finished(Work(frames_of(clip)))))) for clip in clips
    ]
    return float(np.mean([at_s is not None for at_s in found]))
