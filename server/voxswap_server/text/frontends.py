"""Which front-end a voice gets, from the two fields that its manifest has for it."""

from __future__ import annotations

import importlib.util
from typing import Literal

from voxswap_families.symbols import SymbolTable
from voxswap_families.text import FrontEnd
from voxswap_registry.errors import FrontEndError
from voxswap_registry.manifest import FrontEndSpec
from voxswap_server.text.characters import CharacterFrontEnd
from voxswap_server.text.english.front_end import EnglishFrontEnd
from voxswap_server.text.english.misaki import MisakiFrontEnd
from voxswap_server.text.espeak.front_end import EspeakFrontEnd
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.espeak.misaki import MisakiEspeakFrontEnd

FrontEndChoice = Literal["espeak", "english"]


def make_front_end(
    spec: FrontEndSpec,
    table: SymbolTable,
    language: str,
    *,
    espeak: Espeak | None = None,
    prefer: FrontEndChoice = "espeak",
) -> FrontEnd:
    """The front-end of a voice. Blocks for up to half a second while lexicons load.

    Kind "espeak" takes the option ``voice`` (espeak-ng's name; without it ``language``) and is
    served by ``espeak``, the processes of espeak-ng, or, if ``prefer`` says so and the voice speaks
    English, by hibari-tts; with the ``alphabet`` "misaki" its phonemes are written as misaki writes
    them. Kind "characters" takes ``lowercase`` (false), kind "misaki", which is English,
    ``british`` (false), kind "mandarin" the ``alphabet`` that it writes ("kantts"); kind
    "emotivoice", Mandarin and English, takes nothing. Raises `FrontEndError` with the remedy if the
    voice cannot be read here.
    """
    kind, options = spec.kind, spec.options
    if kind == "characters":
        lowercase = bool(options.get("lowercase", False))
        return CharacterFrontEnd(table, lowercase=lowercase, language=language)
    if kind == "misaki":
        return MisakiFrontEnd(table, british=bool(options.get("british", False)))
    if kind == "mandarin":
        return _mandarin(table, str(options.get("alphabet", "kantts")))
    if kind == "emotivoice":
        return _mandarin(table, kind)
    if kind != "espeak":
        raise FrontEndError(
            f"The voice asks for the front-end {kind!r}, which this server does not have; it has "
            "'espeak', 'characters', 'misaki', 'mandarin' and 'emotivoice'. Update the server, or "
            "import the voice again",
            metadata={"front_end": kind},
        )
    voice = str(options.get("voice") or language).lower().replace("_", "-")
    if prefer == "espeak":
        if espeak is None:
            raise FrontEndError(
                f"The voice speaks {voice!r:.80} by espeak-ng, and whoever loads it keeps no "
                "processes of espeak-ng; set the preferred front-end to 'english'",
                metadata={"espeak_voice": voice},
            )
        made = MisakiEspeakFrontEnd if options.get("alphabet") == "misaki" else EspeakFrontEnd
        return made(table, espeak, voice)
    if voice.split("-")[0] != "en":
        remedy = (
            "set the preferred front-end to 'auto' or 'espeak'"
            if espeak_is_installed()
            else "pip install 'voxswap[espeak]'"
        )
        raise FrontEndError(
            f"The voice speaks {voice!r}, which only espeak-ng can read here; {remedy}",
            metadata={"espeak_voice": voice, "extra": "espeak"},
        )
    # espeak-ng's plain "en" is British too.
    return EnglishFrontEnd(table, british=voice == "en" or voice.startswith("en-gb"))


def _mandarin(table: SymbolTable, alphabet: str) -> FrontEnd:
    # Its patterns take 0.1 s to compile, which a server without such a voice need not wait for.
    from voxswap_server.text.mandarin.emotivoice import EmotiVoiceFrontEnd
    from voxswap_server.text.mandarin.kantts import KanttsFrontEnd
    from voxswap_server.text.mandarin.misaki import MisakiMandarinFrontEnd

    if alphabet == "emotivoice":
        return EmotiVoiceFrontEnd(table)
    return KanttsFrontEnd(table) if alphabet == "kantts" else MisakiMandarinFrontEnd(table)


def espeak_is_installed() -> bool:
    """Whether the extra `espeak` is there; nothing of it is loaded to find out."""
    return importlib.util.find_spec("espeakng_loader") is not None
