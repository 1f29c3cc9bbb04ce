"""Languages that espeak-ng reads, as misaki writes them.

What is expected of whole lines is what misaki 0.9.4 wrote of them (phonemizer-fork 3.3.2,
espeakng-loader 0.2.4), less the two marks that Kokoro has no symbol for.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.text.by_hand import by_hand, check, said_by_word
from voxswap_families.kokoro.format import SYMBOLS, symbol_table_json
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import SymbolSequence
from voxswap_registry.manifest import FrontEndSpec
from voxswap_server.audio.visemes import VISEMES, viseme
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.espeak.misaki import MisakiEspeakFrontEnd
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.normalization import normalize

KOKORO = SymbolTable.from_json(symbol_table_json(SYMBOLS))
LETTERS = {index: symbol for symbol, index in SYMBOLS.items()}


def written(sequence: SymbolSequence) -> str:
    """The ids as Kokoro's own letters, without the boundaries around them."""
    assert sequence.ids[0] == sequence.ids[-1] == 0
    return "".join(LETTERS[i] for i in sequence.ids[1:-1])


@pytest.mark.parametrize(
    ("voice", "text", "expected"),
    [
        ("es", "Hola, ¿cómo estás?", "ˈola, kˈomo estˈas?"),
        (
            "es",
            "«La ciudad», pensó, (muy vieja) y chica.",
            "“la θjuðˈad”, pensˈo, (mˈuj βjˈexa) i ʧˈika.",
        ),
        ("fr-fr", "L'homme a dit : « Attention ! »", "lˈɔm a dˈi : “ atɑ̃sjˈɔ̃ ! ”"),
        (
            "fr-fr",
            "Il est 14 heures et nous avons un bon vin blanc, n'est-ce pas ?",
            "il ɛ katˈɔʁz ˈœʁz e nuz avˈɔ̃z œ̃ bˈɔ̃ vˈɛ̃ blˈɑ̃, nˈɛs pˈa ?",
        ),
        ("hi", "नमस्ते, आप कैसे हैं?", "nəmˈʌsteː, ˌaːp kˈɛːseː hɛ̃?"),
        ("hi", "मुझे पाँच सेब चाहिए।", "mˌʊɟʰeː pˈa\u0303nc sˈeːb cˈaːhɪˌeː"),
        (
            "it",
            "La pizza e le zucchine; mezzo giorno, gli gnocchi.",
            "la pˈiʦːa e le ʣʊkːˈine; mˈɛʣːo ʤˈorno, ʎɪ ɲˈokːɪ.",
        ),
        ("pt-br", "Olá, tudo bem?", "olˈa, tˈudʊ bˈAŋ?"),
    ],
)
def test_lines_are_as_misaki_writes_them(
    voice: str, text: str, expected: str, espeak: Espeak
) -> None:
    normalized = normalize(text, voice)
    sequence = MisakiEspeakFrontEnd(KOKORO, espeak, voice).symbols(normalized)
    assert written(sequence) == expected
    assert not sequence.unknown
    check(normalized, sequence)


@pytest.mark.parametrize(
    ("voice", "text", "expected"),
    [
        ("it", "Che ore sono? Sono le 15.", "ke ˈore sˈono? sˌono le kwˈimdiʧɪ."),
        (
            "pt-br",
            "Tchau! Até amanhã, às 10 horas.",
            "tʃˈW! atˌɛ ˌæmɐ̃ɲˈɐ̃, aːs dˈɛz ˈɔɾæs.",
        ),
    ],
)
def test_figures_that_nobody_read_before(
    voice: str, text: str, expected: str, espeak: Espeak
) -> None:
    assert written(MisakiEspeakFrontEnd(KOKORO, espeak, voice).symbols(by_hand(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Son 3,50 o 10:30.", "sˈon tɾˈes komˌa θinkwˈɛnta o ðjˈɛθ tɾˈAnta."),
        ("Sí... no", "sˈi… nˈo"),
        ("Sí,, no", "sˈi, nˈo"),
        ("Sí,no", "sˈi,nˈo"),
        ("¿", ""),
        ("", ""),
    ],
)
def test_marks(text: str, expected: str, espeak: Espeak) -> None:
    """A comma in a number is none, which misaki takes for one; else as it has them."""
    assert written(MisakiEspeakFrontEnd(KOKORO, espeak, "es").symbols(by_hand(text))) == expected


def test_phones_are_ipa_and_know_their_words(espeak: Espeak) -> None:
    text = by_hand("Ciao, la pizza oggi.")
    front_end = MisakiEspeakFrontEnd(KOKORO, espeak, "it")
    said = said_by_word(text, front_end.symbols(text))
    assert said == {"Ciao,": "tʃˈao", "la": "la", "pizza": "pˈitsːa", "oggi.": "ˈɔdʒːɪ"}


def test_a_manifest_asks_for_it(espeak: Espeak) -> None:
    spec = FrontEndSpec("espeak", {"voice": "pt-br", "alphabet": "misaki"})
    made = make_front_end(spec, KOKORO, "pt-BR", espeak=espeak)
    assert repr(made) == "MisakiEspeakFrontEnd(voice='pt-br')"


@pytest.fixture(scope="module")
def spanish(espeak: Espeak) -> MisakiEspeakFrontEnd:
    return MisakiEspeakFrontEnd(KOKORO, espeak, "es")


@examples(100)
@given(text=st.one_of(st.text(), st.text("aBñ1 .,;:?!-–—…\"'()[]¿¡£²«»")))
def test_any_text_is_read(spanish: MisakiEspeakFrontEnd, text: str) -> None:
    for normalized in (by_hand(text), normalize(text, "es")):
        sequence = spanish.symbols(normalized)
        check(normalized, sequence)
        assert all(viseme(phone.text) in VISEMES for phone in sequence.phones)
