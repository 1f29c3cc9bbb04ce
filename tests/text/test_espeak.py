from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.text.by_hand import GOLDEN, PIPER, by_hand, check, said, said_by_word
from voxswap_families.text import NormalizedText, SymbolSequence, Word
from voxswap_registry.errors import FrontEndBusyError, FrontEndError, UnreadableTextError
from voxswap_server.compute.workers.errors import RequestKillsError, WorkerEnd
from voxswap_server.compute.workers.pool import WorkerPool
from voxswap_server.text.espeak.front_end import EspeakFrontEnd
from voxswap_server.text.espeak.library import Espeak, _clauses

# The dictionaries of espeak-ng 1.52.0.1 (Piper's) and 1.52.0 differ in this.
HAS_BEEN = {"hɐzbɪn": "hˈæzbiːn", "ɹˈɛd": "ɹˈiːd"}


@pytest.fixture(scope="module")
def american(espeak: Espeak) -> EspeakFrontEnd:
    return EspeakFrontEnd(PIPER, espeak)


def as_the_release_says_it(phonemes: str, voice: str, text: str) -> str:
    """Piper's phonemes without the two faults of its espeak-ng build, and "has been"."""
    phonemes = phonemes.replace("ʲ", "")
    if voice == "de":
        phonemes = phonemes.replace("tr", "tɾ").replace("dr", "dɾ")
    if "has been" in text:
        for theirs, ours in HAS_BEEN.items():
            phonemes = phonemes.replace(theirs, ours)
    return phonemes


@pytest.mark.parametrize(
    "row", GOLDEN["sentences"], ids=lambda row: f"{row['voice']} {row['text']}"
)
def test_ids_equal_pipers(row: dict[str, Any], espeak: Espeak) -> None:
    voice, text = row["voice"], by_hand(row["text"])
    sequence = EspeakFrontEnd(PIPER, espeak, voice).symbols(text)
    expected = as_the_release_says_it(row["phonemes"], voice, row["text"])
    if expected == row["phonemes"]:
        assert sequence.ids == tuple(row["ids"])
    ids = [1, 0]
    for symbol in expected:
        ids += [*PIPER.symbols.get(symbol, ()), *((0,) if symbol in PIPER.symbols else ())]
    assert sequence.ids == (*ids, 2)
    check(text, sequence)


def test_most_golden_sentences_need_no_excuse() -> None:
    rows = [row for row in GOLDEN["sentences"] if row["voice"] == "en-us"]
    plain = [
        row
        for row in rows
        if as_the_release_says_it(row["phonemes"], "en-us", row["text"]) == row["phonemes"]
    ]
    assert len(rows) >= 200
    assert len(plain) >= 190


@pytest.mark.parametrize(
    "row", GOLDEN["sentences"], ids=lambda row: f"{row['voice']} {row['text']}"
)
def test_every_word_with_letters_gets_phones(row: dict[str, Any], espeak: Espeak) -> None:
    text = by_hand(row["text"])
    sequence = EspeakFrontEnd(PIPER, espeak, row["voice"]).symbols(text)
    owners = {phone.word for phone in sequence.phones}
    for index, word in enumerate(text.words):
        if any(map(str.isalnum, word.text)):
            assert index in owners, word.text


def test_words_that_espeak_joins_or_parts_keep_their_phones(american: EspeakFrontEnd) -> None:
    text = by_hand("Out of the blue came forty-two of those 3:30 trains, for a FBI-man.")
    assert said_by_word(text, american.symbols(text)) == {
        "Out": "ˌaʊɾ",
        "of": "əvʌv",  # the first and the second
        "the": "ðə",
        "blue": "blˈuː",
        "came": "kˈeɪm",
        "forty-two": "fˈɔːɹɾitˈuː",
        "those": "ðoʊz",
        "3:30": "θɹˈiːθˈɜːɾi",
        "trains,": "tɹˈeɪnz",
        "for": "fɚɹ",
        "a": "ə",
        "FBI-man.": "ˌɛfbˌiːˈaɪmˈæn",
    }


def test_a_word_keeps_its_phones_when_its_spoken_form_has_many_words(
    american: EspeakFrontEnd,
) -> None:
    spoken = "Pay forty two dollars, fifty now."
    end = spoken.index(" now")
    words = (
        Word("Pay", 0, 3, 0, 3),
        Word("$42.50", 4, 10, 4, end),
        Word("now", 11, 14, end + 1, 33),
    )
    text = NormalizedText(spoken, words)
    assert said_by_word(text, american.symbols(text)) == {
        "Pay": "pˈeɪ",
        "$42.50": "fˈɔːɹɾitˈuːdˈɑːlɚzfˈɪfti",
        "now": "nˈaʊ",
    }


def test_pauses_belong_to_no_word(american: EspeakFrontEnd) -> None:
    sequence = american.symbols(by_hand("Yes, no."))
    assert [(phone.text, phone.word) for phone in sequence.phones] == [
        ("j", 0),
        ("ˈɛ", 0),
        ("s", 0),
        (",", None),
        (" ", None),
        ("n", 1),
        ("ˈoʊ", 1),
        (".", None),
    ]
    assert sequence.speaks
    assert not american.symbols(by_hand("?! ...")).speaks


def test_what_was_looked_ahead_at_does_not_leak_into_the_next_text(
    american: EspeakFrontEnd,
) -> None:
    expected = american.symbols(by_hand("Next one."))
    for text in ("Hello. A", "Hello...", "Hello.x", 'He said "no."', "a\x01b", "tail \x00 zero"):
        american.symbols(by_hand(text))
        assert american.symbols(by_hand("Next one.")) == expected


def test_control_characters_are_blanks(american: EspeakFrontEnd) -> None:
    expected = said(american.symbols(by_hand("one two three")))
    for blank in "\0\x01\n\t\ue000\u2028\ud800":
        assert said(american.symbols(by_hand(f"one{blank}two three"))) == expected


def test_language_switches_are_not_spoken(espeak: Espeak) -> None:
    german = EspeakFrontEnd(PIPER, espeak, "de")
    assert "(" not in said(german.symbols(by_hand("Das Meeting ist im Computer")))


def test_threads_on_two_voices_hear_what_one_thread_hears(espeak: Espeak) -> None:
    rows = [row for row in GOLDEN["sentences"] if row["voice"] in ("en-us", "de")][-120:]
    front_ends = {voice: EspeakFrontEnd(PIPER, espeak, voice) for voice in ("en-us", "de")}
    jobs = [(front_ends[voice], by_hand(row["text"])) for row in rows for voice in front_ends]
    expected = [front_end.symbols(text) for front_end, text in jobs]
    fresh = {old: EspeakFrontEnd(PIPER, espeak, voice) for voice, old in front_ends.items()}
    together = Barrier(8)

    def all_of_them(offset: int) -> list[SymbolSequence]:
        together.wait()
        turned = jobs[offset:] + jobs[:offset]
        heard = [fresh[front_end].symbols(text) for front_end, text in turned]
        return heard[len(jobs) - offset :] + heard[: len(jobs) - offset]

    with ThreadPoolExecutor(8) as pool:
        for heard in pool.map(all_of_them, range(0, 8 * 7, 7)):
            assert heard == expected


@pytest.mark.parametrize(
    "name", ["tlh-none", "", "../phontab", "../" * 10 + "dev/zero", "!v/f3", "en-us+f3", "en\0us"]
)
def test_what_is_no_voice_of_the_list_is_refused_and_harms_nobody(
    name: str, american: EspeakFrontEnd, espeak: Espeak
) -> None:
    before = american.symbols(by_hand("Still here."))
    with pytest.raises(FrontEndError, match="no voice"):
        EspeakFrontEnd(PIPER, espeak, name)
    with pytest.raises(UnreadableTextError):  # the worker does not believe us either
        espeak.read(name, ["Hello."], of=f"Hello from {name}.")
    assert american.symbols(by_hand("Still here.")) == before


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    with pytest.raises(FrontEndError, match=r"pip install 'voxswap\[espeak\]'"):
        EspeakFrontEnd(PIPER, Espeak(), "en-us")


@examples(300)
@given(st.one_of(st.text(), st.text("aB1 .,;:?!-–—…\"'()[]<>&%\0\x01é漢")))
def test_any_text_is_read(american: EspeakFrontEnd, text: str) -> None:
    normalized = by_hand(text)
    check(normalized, american.symbols(normalized))


def test_a_front_end_goes_with_its_last_reference(espeak: Espeak) -> None:
    front_end = EspeakFrontEnd(PIPER, espeak)
    front_end.symbols(by_hand("Out of the blue."))
    gone = weakref.ref(front_end)
    gc.disable()
    try:
        del front_end
        assert gone() is None
    finally:
        gc.enable()


class Frail(Espeak):
    """Its workers die of a word, until they are mended."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.frail = True
        self.deaths = 0

    def _started(self) -> WorkerPool:
        pool = super()._started()
        if self.frail and not isinstance(pool, _FrailPool):
            self._pool = _FrailPool(self, pool)
        assert self._pool is not None
        return self._pool


class _FrailPool(WorkerPool):
    def __init__(self, espeak: Frail, pool: WorkerPool) -> None:
        super().__init__(pool._program, size=1)
        self._espeak = espeak

    def call(self, request: bytes, *args: Any, **limits: Any) -> Any:
        if self._espeak.frail and b"killer" in request:
            self._espeak.deaths += 1
            raise RequestKillsError(WorkerEnd.DIED)
        return super().call(request, *args, wait_s=60, **limits)


@pytest.mark.usefixtures("espeak")
def test_a_text_that_ended_a_worker_is_barred_for_a_minute() -> None:
    now_s = 100.0
    frail = Frail(lambda: now_s)
    front_end = EspeakFrontEnd(PIPER, frail)
    line = by_hand("The killer is here.")
    for _ in range(3):
        with pytest.raises(UnreadableTextError, match="text: cannot be read") as raised:
            front_end.symbols(line)
        assert [violation.field for violation in raised.value.violations] == ["text"]
        assert raised.value.reason == "TEXT_UNREADABLE"
        now_s += 19
    assert frail.deaths == 1
    assert front_end.symbols(by_hand("Nobody is here.")).speaks
    with pytest.raises(UnreadableTextError):
        EspeakFrontEnd(PIPER, frail, "de").symbols(line)  # another voice may not mind
    assert frail.deaths == 2
    now_s, frail.frail = 161.0, False
    assert front_end.symbols(line).speaks
    frail.close()


@pytest.mark.usefixtures("espeak")
def test_a_flood_of_killers_is_not_remembered_for_ever() -> None:
    frail = Frail(lambda: 0.0)
    front_end = EspeakFrontEnd(PIPER, frail)
    for number in range(1100):
        with pytest.raises(UnreadableTextError):
            front_end.symbols(by_hand(f"killer {number}"))
    assert len(frail._barred) == 1024
    frail.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        b"[" * 10_000,
        b"{}",
        b'{"read": 1}',
        b'{"read": [1]}',
        b'{"read": [[["a", 0, 99]]]}',
        b'{"read": [[["a", 3, 1]]]}',
        b'{"read": [[["a", 0, 2], ["a", 0, 2]]]}',
        b'{"read": [[["\\ud800", 0, 2]]]}',
        b'{"read": [[[1, 0, 2]]]}',
        b'{"read": [[["' + b"a" * 10_000 + b'", 0, 2]]]}',
        b'{"read": [[], []]}',
        b'{"refused": "why"}',
        b'{"read": 0.5}',
        b'{"read": NaN}',
        b'{"read": Infinity}',
    ],
)
def test_what_a_worker_says_is_believed_only_if_it_can_be_true(answer: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        _clauses(answer, ["Hello"])


def test_after_the_end_nobody_reads(espeak: Espeak) -> None:
    ended = Espeak()
    front_end = EspeakFrontEnd(PIPER, ended)
    ended.close()
    with pytest.raises(FrontEndBusyError, match="ended"):
        front_end.symbols(by_hand("Too late."))
    with pytest.raises(FrontEndBusyError, match="ended"):
        EspeakFrontEnd(PIPER, ended)
    assert ended.pids() == ()
    assert EspeakFrontEnd(PIPER, espeak).symbols(by_hand("Not for others.")).speaks
