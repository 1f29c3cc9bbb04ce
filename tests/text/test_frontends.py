from __future__ import annotations

import sys

import pytest

from tests.text.by_hand import PIPER
from tests.text.mandarin.tables import EMOTIVOICE
from voxswap_registry.errors import FrontEndError
from voxswap_registry.manifest import FrontEndSpec
from voxswap_server.text import frontends
from voxswap_server.text.characters import CharacterFrontEnd
from voxswap_server.text.english.front_end import EnglishFrontEnd
from voxswap_server.text.espeak.front_end import EspeakFrontEnd
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.mandarin import reader
from voxswap_server.text.mandarin.emotivoice import EmotiVoiceFrontEnd
from voxswap_server.text.mandarin.kantts import KanttsFrontEnd
from voxswap_server.text.mandarin.misaki import MisakiMandarinFrontEnd


@pytest.fixture
def without_espeak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontends, "espeak_is_installed", lambda: False)


@pytest.fixture
def hibari() -> None:
    pytest.importorskip("hibari.g2p", reason="needs hibari-tts (extra: server)")


def test_espeak_serves_where_it_is_installed(espeak: Espeak) -> None:
    made = make_front_end(FrontEndSpec("espeak", {"voice": "de"}), PIPER, "de-DE", espeak=espeak)
    assert isinstance(made, EspeakFrontEnd)
    assert repr(made) == "EspeakFrontEnd(voice='de')"


def test_without_a_voice_the_language_names_it(espeak: Espeak) -> None:
    made = make_front_end(FrontEndSpec("espeak", {}), PIPER, "en_US", espeak=espeak)
    assert repr(made) == "EspeakFrontEnd(voice='en-us')"


@pytest.mark.usefixtures("espeak")
def test_who_keeps_no_processes_of_espeak_reads_no_voice_with_it() -> None:
    with pytest.raises(FrontEndError, match="keeps no processes"):
        make_front_end(FrontEndSpec("espeak", {}), PIPER, "en_US")


@pytest.mark.usefixtures("hibari")
@pytest.mark.parametrize(
    ("voice", "british"), [("en-us", False), ("en-gb-x-rp", True), ("en", True), ("en-029", False)]
)
def test_hibari_reads_english_without_espeak(voice: str, british: bool) -> None:
    made = make_front_end(FrontEndSpec("espeak", {"voice": voice}), PIPER, "en", prefer="english")
    assert isinstance(made, EnglishFrontEnd)
    assert repr(made) == f"EnglishFrontEnd(british={british})"


@pytest.mark.usefixtures("without_espeak")
def test_other_languages_need_espeak() -> None:
    with pytest.raises(FrontEndError, match=r"'de'.*pip install 'voxswap\[espeak\]'"):
        make_front_end(FrontEndSpec("espeak", {"voice": "de"}), PIPER, "de", prefer="english")


@pytest.mark.usefixtures("espeak")
def test_forced_hibari_cannot_read_german() -> None:
    with pytest.raises(FrontEndError, match="'auto' or 'espeak'"):
        make_front_end(FrontEndSpec("espeak", {"voice": "de"}), PIPER, "de", prefer="english")


@pytest.mark.usefixtures("without_espeak")
def test_forced_espeak_never_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(FrontEndError, match=r"pip install 'voxswap\[espeak\]'"):
        make_front_end(
            FrontEndSpec("espeak", {"voice": "en-us"}),
            PIPER,
            "en",
            espeak=Espeak(),
            prefer="espeak",
        )


def test_characters() -> None:
    for lowercase in (True, False):
        made = make_front_end(FrontEndSpec("characters", {"lowercase": lowercase}), PIPER, "fr")
        assert isinstance(made, CharacterFrontEnd)
        assert repr(made) == f"CharacterFrontEnd(lowercase={lowercase})"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(FrontEndError, match="'pinyin'"):
        make_front_end(FrontEndSpec("pinyin", {}), PIPER, "zh")  # type: ignore[arg-type]


def test_mandarin_writes_the_alphabet_that_the_voice_was_trained_on() -> None:
    pytest.importorskip("kaldifst", reason="needs the extra mandarin")
    spec = FrontEndSpec("mandarin", {"alphabet": "misaki"})
    assert isinstance(make_front_end(spec, PIPER, "zh-CN"), MisakiMandarinFrontEnd)
    for options in ({}, {"alphabet": "kantts"}):
        made = make_front_end(FrontEndSpec("mandarin", options), PIPER, "zh-CN")
        assert isinstance(made, KanttsFrontEnd)
    made = make_front_end(FrontEndSpec("emotivoice", {}), EMOTIVOICE, "zh-CN")
    assert isinstance(made, EmotiVoiceFrontEnd)


@pytest.mark.parametrize("package", ["kaldifst", "rjieba", "pypinyin", "opencc"])
def test_without_its_extra_mandarin_says_so(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(reader, "_SHARED", reader._Shared())
    with pytest.raises(FrontEndError, match=r"pip install 'voxswap\[mandarin\]'") as caught:
        make_front_end(FrontEndSpec("mandarin", {}), PIPER, "zh-CN")
    assert caught.value.metadata == {"extra": "mandarin"}
