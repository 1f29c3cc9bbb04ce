"""Kokoro's packs as speakers for benchmarks of recordings: who says what, with whose delivery."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soxr

from bench.voices import load_voice
from voxswap_families.contract import Delivery
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.engine import KokoroEngine, KokoroVoice
from voxswap_families.kokoro.pack_files import read_packs
from voxswap_families.kokoro.pack_voices import add_packs
from voxswap_families.kokoro.packs import PACKS
from voxswap_families.prosody_measures import RATE_HERTZ, Prosody, frames_of, prosody_of
from voxswap_families.text import FrontEnd
from voxswap_families.work import Work, finished
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.progress import NullProgress
from voxswap_registry.store import Registry
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.normalization import normalize

Audio = npt.NDArray[np.float32]

_TARBALL: Final = Path(os.environ.get("VOXSWAP_PACKS", "var/kokoro-js-1.2.1.tgz"))

# By the first letter of a pack: the language that it is heard in, for the table.
LANGUAGES: Final = {
    "a": "en",
    "b": "en",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "en",
    "p": "pt",
    "z": "zh",
}
LINES: Final = {
    "en": (
        "The bridge is closed after dark, so we will have to find another way across.",
        "I never said that you could take the horses, and you know it very well.",
        "Where were you last night when the bells began to ring?",
        "She opened the old wooden box and found a letter from her brother.",
    ),
    "es": (
        "El puente está cerrado por la noche, así que tendremos que buscar otro camino.",
        "Nunca dije que pudieras llevarte los caballos, y lo sabes muy bien.",
        "¿Dónde estabas anoche cuando empezaron a sonar las campanas?",
        "Ella abrió la vieja caja de madera y encontró una carta de su hermano.",
    ),
    "fr": (
        "Le pont est fermé la nuit, il faudra donc trouver un autre chemin.",
        "Je n'ai jamais dit que tu pouvais prendre les chevaux, et tu le sais très bien.",
        "Où étais-tu hier soir quand les cloches ont commencé à sonner?",
        "Elle ouvrit la vieille boîte en bois et trouva une lettre de son frère.",
    ),
    "it": (
        "Il ponte è chiuso dopo il tramonto, dovremo trovare un'altra strada.",
        "Non ho mai detto che potevi prendere i cavalli, e lo sai benissimo.",
        "Dove eri ieri sera quando le campane hanno cominciato a suonare?",
        "Lei aprì la vecchia scatola di legno e trovò una lettera del fratello.",
    ),
    "pt": (
        "A ponte fecha depois do anoitecer, então teremos de achar outro caminho.",
        "Eu nunca disse que você podia levar os cavalos, e você sabe muito bem.",
        "Onde você estava ontem à noite quando os sinos começaram a tocar?",
        "Ela abriu a velha caixa de madeira e encontrou uma carta do irmão.",
    ),
    "hi": (
        "पुल रात के बाद बंद रहता है, इसलिए हमें दूसरा रास्ता खोजना होगा।",
        "मैंने कभी नहीं कहा था कि तुम घोड़े ले जा सकते हो।",
        "कल रात जब घंटियाँ बजने लगीं तब तुम कहाँ थे?",
        "उसने लकड़ी का पुराना बक्सा खोला और अपने भाई की चिट्ठी पाई।",
    ),
    "zh": (
        "这座桥天黑以后就关闭了，我们得另找一条路过去。",
        "我从来没有说过你可以把马带走，你心里很清楚。",
        "昨天晚上钟声响起的时候，你到底在哪里？",
        "她打开那只旧木箱，发现了哥哥写来的一封信。",
    ),
}
#: English that is in no table: clips, and what is spoken in their manner.
HELD_OUT: Final = (
    "There is nothing left for us here, and the winter is coming early this year.",
    "Bring me the map and the lantern before the guards come back from the village.",
)


class Stage:
    """All packs in a registry, and one base that speaks with any style. Not thread-safe."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._engine = KokoroEngine(
            threads=1, front_ends=functools.partial(make_front_end, espeak=Espeak())
        )
        self._front_ends: dict[str, FrontEnd] = {}
        loaded = load_voice(registry, "kokoro/af_heart", self._engine)
        assert isinstance(loaded.voice, KokoroVoice)
        self._session, self._is_steered = loaded.voice._session, loaded.voice._is_steered
        self._front_ends["a"] = loaded.front_end
        self.styles = {
            name: np.frombuffer(data, "<f4").reshape(kokoro.STYLE_SHAPE).astype(np.float32)
            for name, data in read_packs(_TARBALL, (), tuple(PACKS), NullProgress()).items()
        }

    def manifest(self, name: str) -> Manifest:
        """That of a pack's voice."""
        return self.registry.resolve(VoiceRef(f"kokoro/{name}"))

    def with_delivery_of(self, name: str, other: str) -> npt.NDArray[np.float32]:
        """The style of who sounds like ``name`` and speaks like ``other``."""
        style = self.styles[name].copy()
        style[:, kokoro.TIMBRE_SIZE :] = self.styles[other][:, kokoro.TIMBRE_SIZE :]
        return style

    def say(
        self,
        style: npt.NDArray[np.float32],
        text: str,
        *,
        letter: str = "a",
        values: tuple[float, ...] = (),
        rate: float = 1.0,
    ) -> Audio:
        """``text`` by ``style``, read as voices of ``letter`` read it; at `RATE_HERTZ`."""
        if letter not in self._front_ends:
            first = next(name for name in sorted(PACKS) if name[0] == letter)
            self._front_ends[letter] = load_voice(
                self.registry, f"kokoro/{first}", self._engine
            ).front_end
        ids = self._front_ends[letter].symbols(normalize(text, LANGUAGES[letter])).ids
        voice = KokoroVoice(self._session, style, is_steered=self._is_steered)
        utterance = finished(voice.prepare(ids, Delivery(rate=rate, seed=0, style=values)))
        audio = finished(utterance.decode(0, utterance.frames))
        found: Audio = soxr.resample(audio, kokoro.SAMPLE_RATE_HERTZ, RATE_HERTZ)
        return found.astype(np.float32)


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage of its own. Exits if there are no packs."""
    if not _TARBALL.exists():
        raise SystemExit(f"{_TARBALL} is not there: scripts/kokoro-packs fetches it")
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder:
        registry = Registry(Path(folder))
        add_packs(registry, _TARBALL)
        yield Stage(registry)


def heard(audio: Audio) -> Prosody:
    """How it is spoken."""
    return prosody_of(finished(Work(frames_of(audio))))
