"""Kokoro's voices of other languages, over real gRPC: is what they say what was written?

There is no recogniser of these languages that comes in a package. So pocketsphinx, whose model is
English, says which of ten orders of the line's words it finds likeliest, each as the phonemes that
came with the audio: nine of them are shuffled. Tones are nothing to it.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator

import numpy as np
import pytest

from bench.recognise import likeliest
from tests.e2e.servers import ServerThread, serving
from tests.families.pack_fakes import real_tarball
from tests.registry.drafts import root_of
from voxswap_client import Client, InvalidRequestError, SpeechResult
from voxswap_client.types import MarkKind
from voxswap_families.kokoro.pack_voices import add_packs
from voxswap_registry.store import Registry

LINES = {
    "bf_emma": "The harbour master refused to answer before the autumn ferry had gone.",
    "ef_dora": "El puente se cierra al anochecer, y nadie puede cruzar el río esta noche.",
    "ff_siwis": "Le pont ferme à la nuit tombée, et personne ne peut passer avant demain.",
    "hm_omega": "पुल रात को बंद हो जाता है और सुबह से पहले कोई पार नहीं जा सकता।",
    "if_sara": "Il ponte chiude dopo il tramonto, e nessuno può passare prima del mattino.",
    "pf_dora": "A ponte fecha depois do anoitecer, e ninguém pode passar antes da manhã.",
    "zf_xiaoxiao": "天黑以后，桥就关了，今晚想过桥的人，先回答我三个问题。",
    "zm_yunxi": "这家公司的行长昨天坐火车去了重庆，明天早上才能回来。",
}


@pytest.fixture(scope="module")
def server(
    kokoro_registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerThread]:
    """A server of these voices, all on the base that ships."""
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("espeakng_loader", reason="needs the extra espeak")
    folder = tmp_path_factory.mktemp("languages")
    shutil.copytree(root_of(kokoro_registry), folder / "registry")
    add_packs(Registry(folder / "registry"), real_tarball(folder), only=list(LINES))
    with serving(folder / "registry") as thread:
        yield thread


def spoken(server: ServerThread, name: str, text: str) -> SpeechResult:
    with Client(server.server.address, timeout_s=60) as client:
        return client.say(f"kokoro/{name}", text, marks=["word", "phoneme"])


def words_of(speech: SpeechResult) -> list[str]:
    """The phonemes of each word, as the marks tell them."""
    words = [mark for mark in speech.marks if mark.kind is MarkKind.WORD]
    said = [""] * len(words)
    for mark in speech.marks:
        if mark.kind is MarkKind.PHONEME:
            begun = [i for i, word in enumerate(words) if word.start_sample <= mark.start_sample]
            if begun:
                said[begun[-1]] += mark.text
    return [word for word in said if any(map(str.isalpha, word))]


def likeliest_of(speech: SpeechResult, orders: list[list[str]]) -> list[str]:
    audio = np.frombuffer(speech.audio, "<i2").astype(np.float32) / np.float32(32767)
    return orders[likeliest(audio, speech.header.sample_rate_hertz, orders)]


def shuffled(words: list[str]) -> list[list[str]]:
    """Nine other orders."""
    chance = random.Random(16)
    orders: list[list[str]] = []
    while len(orders) < 9:
        order = chance.sample(words, len(words))
        if order not in [words, *orders]:
            orders.append(order)
    return orders


@pytest.mark.parametrize("name", LINES)
def test_a_line_is_told_from_its_words_in_other_orders(name: str, server: ServerThread) -> None:
    speech = spoken(server, name, LINES[name])
    words = words_of(speech)
    assert len(words) > 6
    assert likeliest_of(speech, [*shuffled(words), words]) == words


def test_the_measure_goes_by_what_is_heard(server: ServerThread) -> None:
    """Two lines of the same words, each as likely as it is written."""
    first, second = "Il ponte chiude dopo il tramonto", "e nessuno può passare prima del mattino"
    one = spoken(server, "if_sara", f"{first}, {second}.")
    other = spoken(server, "if_sara", f"{second}, {first}.")
    orders = [words_of(one), words_of(other)]
    assert likeliest_of(one, orders) == orders[0]
    assert likeliest_of(other, orders) == orders[1]


def test_mandarin_is_the_same_after_it_was_evicted(server: ServerThread) -> None:
    before = spoken(server, "zf_xiaoxiao", "今天天气很好。")
    with Client(server.server.address, timeout_s=60) as client:
        client.unload("kokoro/zf_xiaoxiao")
    assert spoken(server, "zf_xiaoxiao", "今天天气很好。").audio == before.audio


def test_mandarin_is_nothing_to_a_voice_of_english(server: ServerThread) -> None:
    with pytest.raises(InvalidRequestError, match=r"it reads English \(en-GB\)"):
        spoken(server, "bf_emma", "今天天气很好。")


def test_voices_of_all_languages_have_one_base_in_memory(server: ServerThread) -> None:
    for name, text in {"bf_emma": "One.", "ef_dora": "Uno.", "jm_kumo": "One."}.items():
        spoken(server, name, text)
    parts = server.on_loop(server.house.manager.resident_parts)
    assert len([part for part in parts if part.role == "base"]) == 1
    assert len([part for part in parts if part.role == "style"]) >= 3
