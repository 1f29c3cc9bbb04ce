"""Texts that are made to end whatever reads them, through every front-end there is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.hostile.texts import KILLERS, texts
from tests.text.by_hand import PIPER, by_hand, check
from tests.text.mandarin.tables import EMOTIVOICE, KOKORO, kantts_table
from voxswap_families.text import FrontEnd, LongReadingError
from voxswap_registry.errors import VoxswapError
from voxswap_registry.manifest import FrontEndSpec
from voxswap_server.speech.reader import parted, read_segment
from voxswap_server.text.espeak.front_end import EspeakFrontEnd
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.espeak.misaki import MisakiEspeakFrontEnd
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.mandarin.emotivoice import EmotiVoiceFrontEnd
from voxswap_server.text.mandarin.kantts import KanttsFrontEnd
from voxswap_server.text.mandarin.misaki import MisakiMandarinFrontEnd
from voxswap_server.text.segmentation.segments import segment
from voxswap_server.text.types import Segment

Make = Callable[[Espeak], FrontEnd]
FRONT_ENDS: dict[str, Make] = {
    "espeak": lambda espeak: EspeakFrontEnd(PIPER, espeak),
    "russian": lambda espeak: EspeakFrontEnd(PIPER, espeak, "ru"),
    "spanish": lambda espeak: MisakiEspeakFrontEnd(PIPER, espeak, "es"),
    "english": lambda _: make_front_end(
        FrontEndSpec("espeak", {}), PIPER, "en-us", prefer="english"
    ),
    "misaki": lambda _: make_front_end(FrontEndSpec("misaki", {}), PIPER, "en"),
    "characters": lambda _: make_front_end(FrontEndSpec("characters", {}), PIPER, "en"),
    "mandarin": lambda _: MisakiMandarinFrontEnd(KOKORO),
    "kantts": lambda _: KanttsFrontEnd(kantts_table()),
    "emotivoice": lambda _: EmotiVoiceFrontEnd(EMOTIVOICE),
}
CHINESE = ("mandarin", "kantts", "emotivoice")
LANGUAGES = {"russian": "ru", "spanish": "es", **dict.fromkeys(CHINESE, "zh-CN")}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_whatever_is_typed_is_read_or_refused(name: str, espeak: Espeak) -> None:
    if name in ("english", "misaki"):
        pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")
    if name in CHINESE:
        pytest.importorskip("kaldifst", reason="needs the extra mandarin")
    front_end = FRONT_ENDS[name](espeak)
    outcomes = set()
    for text in texts(250, seed=20):
        left = [*segment(text)]
        while left:
            part = left.pop()
            try:
                check(*read_segment(part.text, LANGUAGES.get(name, "en"), front_end))
            except LongReadingError as error:
                left += parted(part, error.excess)
            except VoxswapError as error:
                outcomes.add(error.reason)
    assert outcomes <= {"TEXT_UNREADABLE", "FRONT_END_UNAVAILABLE"}
    assert front_end.symbols(by_hand("Still here.")).speaks


# The last one is longer alone than in a clause, by a factor that no band of rows had.
@pytest.mark.parametrize("unit", ["한£", "½한", "東£", "1£한 ", "€ไ"])
@pytest.mark.parametrize("voice", ["en-us", "de", "ru"])
def test_signs_of_far_scripts_give_words(unit: str, voice: str, espeak: Espeak) -> None:
    front_end = EspeakFrontEnd(PIPER, espeak, voice)
    left = [Segment(unit * 58, 0, 0)]
    while left:
        try:
            text, sequence = read_segment(left[-1].text, voice, front_end)
        except LongReadingError as error:
            left += parted(left.pop(), error.excess)
            continue
        left.pop()
        check(text, sequence)
        assert not text.words or sequence.speaks


@pytest.mark.parametrize("text", [*KILLERS, "한£" * 58], ids=lambda text: f"{text[:4]} {len(text)}")
def test_the_known_killers_end_no_worker(text: str, espeak: Espeak) -> None:
    front_end = EspeakFrontEnd(PIPER, espeak)
    before = espeak.pids()
    left = [Segment(text, 0, 0)]
    while left:
        normalized = by_hand(left[-1].text)
        try:
            check(normalized, front_end.symbols(normalized))
            left.pop()
        except LongReadingError as error:
            left += parted(left.pop(), error.excess)
    assert espeak.pids() == before
