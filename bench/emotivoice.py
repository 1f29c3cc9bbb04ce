"""EmotiVoice voices: lines and prompts, beside EmotiVoice's own code; further speakers.

The voices are made up: as large as the released ones, with random weights, so that what they say is
noise and what it costs is what a voice costs. EmotiVoice is measured where ``VOXSWAP_EMOTIVOICE``
names a checkout of github.com/netease-youdao/EmotiVoice.
"""

from __future__ import annotations

import dataclasses
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from bench.peers import answering
from bench.report import Report
from bench.servers import serving
from bench.voices import load_voice, one_thread, silent_front_ends, windows
from voxswap_client import Client
from voxswap_families.contract import Delivery, LoadedVoice
from voxswap_families.emotivoice.config import PROMPTS, EmotiVoiceConfig
from voxswap_families.emotivoice.engine import EmotiVoiceEngine
from voxswap_families.emotivoice.family import FAMILY
from voxswap_families.emotivoice.voice import EmotiVoice
from voxswap_families.emotivoice.wordpiece import WordPiece
from voxswap_families.importing.detect import import_voices
from voxswap_families.layers.native.fastest import fastest
from voxswap_families.work import Work, finished
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

#: A character has three symbols: two of its sounds, and the end of its syllable or word.
_CHARACTERS: Final = 30
_SYMBOLS: Final = 3 * _CHARACTERS + 2
_FIRST: Final = "made/first"
_SECOND: Final = "made/second"
_VOICES: Final[Mapping[str | None, str]] = {"8051": _FIRST, "8053": _SECOND}

_Audio = npt.NDArray[np.float32]


def run(report: Report, *, device: str, quick: bool = False) -> None:
    """One thread each; medians of turns. Two minutes."""
    turns = 3 if quick else 9
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as name, one_thread():
        folder = Path(name)
        source = folder / "release"
        source.mkdir()
        FAMILY.fabricators["emotivoice"].write(source, 0, "real")
        registry = Registry(folder / "registry")
        for draft in import_voices(source, _VOICES, workdir=folder / "work"):
            registry.publish(draft)
        library = fastest() if device == "cpu" else None
        kernels = "torch" if library is None else library.isa
        print(f"  kernels: {kernels}")
        engine = EmotiVoiceEngine(device, kernels=kernels, front_ends=silent_front_ends)
        engine.warm_up()
        manifest = registry.resolve(VoiceRef(_FIRST))
        line = _line(manifest)
        loaded = load_voice(registry, _FIRST, engine)
        _lines(report, loaded, manifest, line, turns)
        _prompts(report, loaded, turns)
        if checkout := os.environ.get("VOXSWAP_EMOTIVOICE"):
            _beside(report, checkout, source, registry, loaded, line, turns)
        else:
            print("  EmotiVoice: not measured, VOXSWAP_EMOTIVOICE names no checkout of it")
        _speakers(report, folder, device, turns)


@dataclasses.dataclass(frozen=True)
class _Line:
    """Symbols, and the sentence that they stand for."""

    ids: Sequence[int]
    text: str

    def delivery(self, **changes: Any) -> Delivery:
        """Neutral, as it stands."""
        return dataclasses.replace(Delivery(rate=1.0, seed=0, text=self.text), **changes)

    def another(self) -> _Line:
        """Of other characters, lest its sentence be known."""
        text = "".join(random.sample(self.text, len(self.text)))
        return dataclasses.replace(self, text=text)


def _line(manifest: Manifest) -> _Line:
    chance, symbols = random.Random(0), EmotiVoiceConfig.of(manifest).acoustic.n_symbols
    text = "".join(chr(0x4E00 + chance.randrange(3000)) for _ in range(_CHARACTERS))
    return _Line([chance.randrange(symbols) for _ in range(_SYMBOLS)], text)


def _spoken(loaded: LoadedVoice, manifest: Manifest, line: _Line) -> tuple[float, float, _Audio]:
    """Seconds to the first audio and to the last, and the audio."""
    began = time.perf_counter()
    utterance = finished(loaded.voice.prepare(line.ids, line.delivery()))
    pieces, first_s = list[_Audio](), 0.0
    for window in windows(utterance.frames, manifest):
        pieces.append(finished(utterance.decode(*window)))
        first_s = first_s or time.perf_counter() - began
    return first_s, time.perf_counter() - began, np.concatenate(pieces)


def _lines(
    report: Report, loaded: LoadedVoice, manifest: Manifest, line: _Line, turns: int
) -> None:
    """Each time another sentence is read."""
    found = [_spoken(loaded, manifest, line.another()) for _ in range(turns + 1)][1:]
    first_s = statistics.median(first_s for first_s, _, _ in found)
    whole_s = statistics.median(whole_s for _, whole_s, _ in found)
    audio_s = len(found[0][2]) / manifest.audio.sample_rate_hertz
    report.add(f"a line of {_CHARACTERS} characters: first audio", 1e3 * first_s, "ms")
    report.add("first audio, of the time for all of it", first_s / whole_s, "share", 0.4)
    report.add("RTF", whole_s / audio_s, "s of compute a s")
    longest = max(_longest(loaded.voice.prepare(line.ids, line.delivery())) for _ in range(turns))
    report.add("longest step until frames are there", 1e3 * longest, "ms")


def _longest(work: Work[Any]) -> float:
    """Seconds of its longest step: how long others wait for it."""
    longest_s = 0.0
    while not work.is_done:
        began = time.perf_counter()
        work.step()
        longest_s = max(longest_s, time.perf_counter() - began)
    return longest_s


def _prompts(report: Report, loaded: LoadedVoice, turns: int) -> None:
    """What a style of eight characters takes: a new one, in steps, and one that is kept."""
    assert isinstance(loaded.voice, EmotiVoice)
    speaking, chance = loaded.voice._speaking, random.Random(1)
    fresh_s, kept_s, longest_s = list[float](), list[float](), list[float]()
    for _ in range(5 * turns):
        prompt = "".join(chr(0x4E00 + chance.randrange(3000)) for _ in range(8))
        ids = speaking.words.ids(prompt)
        for times in (fresh_s, kept_s):
            work = Work(speaking.prompts.steps(ids), around=torch.inference_mode)
            began = time.perf_counter()
            longest = _longest(work)
            times.append(time.perf_counter() - began)
            if times is fresh_s:
                longest_s.append(longest)
    report.add("a new style in words", 1e3 * statistics.median(fresh_s), "ms")
    report.add("its longest step", 1e3 * statistics.median(longest_s), "ms")
    report.add("one that is kept", 1e6 * statistics.median(kept_s), "us")


def _beside(
    report: Report,
    checkout: str,
    source: Path,
    registry: Registry,
    loaded: LoadedVoice,
    line: _Line,
    turns: int,
) -> None:
    """The same line in turns; how far the audio is from each other's."""
    manifest = registry.resolve(VoiceRef(_FIRST))
    words = WordPiece.from_bytes(next(source.glob("*/*/vocab.txt")).read_bytes())
    kept = source.parent / "theirs.npy"
    question = {"ids": line.ids, "speaker": 0, "prompt": words.ids(PROMPTS["neutral"])}
    ours, theirs, styles = list[float](), list[float](), list[float]()
    with answering(sys.executable, "emotivoice_times.py") as ask:
        threads = torch.get_num_threads()
        ask({"source": checkout, "release": str(source), "threads": threads})
        ask({**question, "content": words.ids(line.text), "keep": str(kept)})
        for _ in range(turns):
            other = line.another()
            told = ask({**question, "content": words.ids(other.text), "keep": None})
            theirs.append(told["whole_s"])
            styles.append(told["style_s"] / 2)
            ours.append(_spoken(loaded, manifest, other)[1])
    reference = np.load(kept)
    exact = load_voice(registry, _FIRST, EmotiVoiceEngine(front_ends=silent_front_ends))
    for speaking, what, bound in ((exact, "in torch", 1e-4), (loaded, "as it is served", None)):
        audio = _spoken(speaking, manifest, line)[2]
        assert audio.shape == reference.shape, "durations differ"
        furthest = float(np.abs(audio - reference).max())
        report.add(f"furthest sample from EmotiVoice's, {what}", furthest, "", bound)
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    report.add("a line, beside EmotiVoice", 1e3 * ours_s, "ms", peer=1e3 * theirs_s)
    report.add("RTF as a share of EmotiVoice's", ours_s / theirs_s, "share", 0.6)
    without_s = theirs_s - statistics.median(styles)
    report.add("and of EmotiVoice's without its prompt's", ours_s / without_s, "share")


def _speakers(report: Report, folder: Path, device: str, turns: int) -> None:
    """A further speaker whose base is resident: all that is loaded is a vector."""
    cache = folder / "cache"
    with (
        serving(
            folder / "registry", cache_dir=cache, device=device, allow_fabricated="true"
        ) as server,
        Client(server.address, timeout_s=60) as client,
    ):
        base_ms = client.load(_FIRST).load_ms
        load_ms = []
        for _ in range(5 * turns):
            load_ms.append(client.load(_SECOND).load_ms)
            client.unload(_SECOND)  # the base stays: the first voice uses it
    further_ms = statistics.median(load_ms)
    report.add(
        "a further speaker; peer: a first one, with the base", further_ms, "ms", peer=base_ms
    )
