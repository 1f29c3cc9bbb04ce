"""Texts that are made to break whatever reads them. Pure: a seed gives the same ones for ever.

A text is at most a segment long unless asked otherwise, has no surrogates (protobuf takes none),
and is made of one or several of the shapes below.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

KILLERS: Final = (
    "p.m." * 100,
    "'s" * 80,
    "я." * 160,
    "ا." * 160,
    "a." * 200,
)
"""Each of these ends a process that hands it to libespeak-ng 1.52 in one call."""

_SCRIPTS: Final = (
    *("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "äöüßéèñçøåłž", "αβγδεζηθικλμ"),
    *("абвгдежзийклмя", "אבגדהוזחט", "ابتثجحخدذ", "अआइईउऊकखगघ", "กขคงจฉช", "あいうえおカキク"),
    *("한글말씀을", "你我他的是了在", "აბგდევზ", "աբգդեզէ", "አበገደሀወ", "ꓐꓑꓒꓓ", "ᚠᚢᚦᚨ", "𝒶𝓫𝖈𝟘"),
)
_MARKS: Final = ".,:;?!…·、。！？؟،।॥—–-'’\"“”«»()[]{}<>/\\|_*#~^`@&%§¶†°"
_COMBINING: Final = "\u0300\u0301\u0308\u0323\u0338\u20dd\u0489\u064b\u0651\u093c\u0e31\u3099"
_CONTROL: Final = "".join(map(chr, (*range(32), 127, *range(128, 160)))) + (
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\ufffe"
    "\uffff\ufff9\U000e0001\U000e0041\U0010ffff\ue000"
)
_EMOJI: Final = (
    "😀",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "👍🏽",
    "🇩🇪",
    "1️⃣",
    "❤️",
    "☃",
    "♞",
    "™",
    "½",
    "①",
    "Ⅷ",
    "㎏",
)
_ABBREVIATIONS: Final = (
    *("p.m.", "e.g.", "i.e.", "U.S.A.", "Dr.", "Mr.", "etc.", "No.", "St.", "z.B.", "т.д.", "д-р."),
)
_ENDINGS: Final = ("'s", "'ll", "n't", "'ve", "'", "’s", "-", "--", "_", "&", "+", "@", "/", "=")
_MONEY: Final = "$€£¥₽₩¢"
_MARKUP: Final = (
    *("<speak>", "</speak>", '<break time="9999999s"/>', '<audio src="file:///etc/passwd"/>'),
    *('<say-as interpret-as="characters">', '<voice name="../phontab">', "<!--", "]]>", "&#0;"),
    *("&amp;", "<!DOCTYPE x [<!ENTITY a 'b'>]>", "{{7*7}}", "%s%n%p", "${jndi:x}", "\\x00\\u0000"),
)
_PHONEMES: Final = ("[[", "]]", "[[h@l'oU]]", "[[_::_::]]", "[[(en)]]", "[[%%%%]]", "[[||||]]")
_WORDS: Final = (
    *("the", "of", "king", "bridge", "after", "dark", "and", "his", "horses", "went", "to", "you"),
    *(
        "strength",
        "Worcestershire",
        "queue",
        "gemütlich",
        "l'eau",
        "ñandú",
        "спасибо",
        "こんにちは",
    ),
)


def texts(count: int, seed: int, *, longest: int = 400) -> Iterator[str]:
    """``count`` texts: the killers first, then one of each shape, then mixtures."""
    rng = random.Random(seed)
    for number in range(count):
        if number < len(KILLERS):
            yield KILLERS[number][:longest]
            continue
        place = number - len(KILLERS)
        shapes = [_SHAPES[place]] if place < len(_SHAPES) else rng.choices(_SHAPES, k=_few(rng))
        text = rng.choice(("", " ", "  ", ", ", "\n")).join(shape(rng) for shape in shapes)
        yield text[: rng.choice((longest, longest, rng.randint(1, longest)))]


def _few(rng: random.Random) -> int:
    return rng.choice((1, 1, 2, 3, 5))


def _times(rng: random.Random) -> int:
    """Few or very many."""
    return rng.choice((rng.randint(1, 12), rng.randint(1, 120), 400))


def _letters(rng: random.Random, most: int) -> str:
    script = rng.choice(_SCRIPTS)
    return "".join(rng.choices(script, k=rng.randint(1, most)))


def _dotted_letters(rng: random.Random) -> str:
    letter = rng.choice(rng.choice(_SCRIPTS))
    return (letter + rng.choice(".,'-’·:/&@_")) * _times(rng)


def _runs_of_endings(rng: random.Random) -> str:
    return (rng.choice(("", _letters(rng, 2))) + rng.choice(_ENDINGS)) * _times(rng)


def _runs_of_abbreviations(rng: random.Random) -> str:
    some = rng.sample(_ABBREVIATIONS, rng.randint(1, 3))
    return rng.choice(("", " ")).join(rng.choices(some, k=_times(rng)))


def _repeated(rng: random.Random) -> str:
    unit = "".join(
        rng.choice((_letters(rng, 2), rng.choice(_MARKS), rng.choice(_MONEY), rng.choice("019 ")))
        for _ in range(rng.randint(1, 4))
    )
    return unit * _times(rng)


def _mixed_scripts(rng: random.Random) -> str:
    return "".join(_letters(rng, 3) for _ in range(_times(rng)))


def _marks(rng: random.Random) -> str:
    some = rng.sample(_MARKS, rng.randint(1, 6))
    return "".join(rng.choices(some, k=_times(rng)))


def _accents(rng: random.Random) -> str:
    return _letters(rng, 1) + "".join(rng.choices(_COMBINING, k=_times(rng)))


def _controls(rng: random.Random) -> str:
    return "".join(rng.choice((*_CONTROL, "a", " ", "\0")) for _ in range(_times(rng)))


def _pictures(rng: random.Random) -> str:
    return rng.choice(("", " ")).join(rng.choices(_EMOJI, k=_times(rng)))


def _long_word(rng: random.Random) -> str:
    return "".join(rng.choices(rng.choice(_SCRIPTS), k=400))


def _digits(rng: random.Random) -> str:
    digits = rng.choice(("0123456789", "01", "٠١٢٣٤٥٦٧٨٩", "०१२३", "①②③", "²³¹", "0123456789,."))
    number = "".join(rng.choices(digits, k=_times(rng)))
    return (
        rng.choice(("", "-", "$", "€", "#", "0x", "+")) + number + rng.choice(("", "st", "%", "kg"))
    )


def _markup(rng: random.Random) -> str:
    return "".join(rng.choice((*_MARKUP, "word ", "\0")) for _ in range(_times(rng)))


def _espeak_input(rng: random.Random) -> str:
    return "".join(rng.choice((*_PHONEMES, " a ", "'", "@")) for _ in range(_times(rng)))


def _anything(rng: random.Random) -> str:
    return "".join(
        chr(rng.choice((rng.randrange(0xD800), rng.randrange(0xE000, 0x110000))))
        for _ in range(_times(rng))
    )


def _prose(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=_times(rng)))


_SHAPES: Final[tuple[Callable[[random.Random], str], ...]] = (
    *(_dotted_letters, _runs_of_endings, _runs_of_abbreviations, _repeated, _mixed_scripts, _marks),
    *(_accents, _controls, _pictures, _long_word, _digits, _markup, _espeak_input, _anything),
    _prose,
)
