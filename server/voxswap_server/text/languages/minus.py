"""What a minus is called, in languages whose figures are left to their front-ends.

Most of these read "-5" as 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from voxswap_server.text.english.normalization import Rewrite

_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("da", "no", "nb", "nn", "ro", "sl", "hr", "bs", "lb", "fo", "et"), "minus"),
    **dict.fromkeys(("af", "id", "ms", "sw"), "minus"),
    **dict.fromkeys(("sk", "is"), "mínus"),
    **dict.fromkeys(("bg", "sr", "mk", "kk", "ky", "tt"), "минус"),
    **dict.fromkeys(("hi", "ne", "mr"), "माइनस"),
    **dict.fromkeys(("fa", "ur"), "منفی"),
    "ar": "ناقص",
    "be": "мінус",
    "bn": "মাইনাস",
    "ca": "menys",
    "cy": "minws",
    "el": "μείον",
    "eo": "minus",
    "eu": "minus",
    "fi": "miinus",
    "gl": "menos",
    "he": "מינוס",
    "hu": "mínusz",
    "hy": "մինուս",
    "ka": "მინუს",
    "lt": "minus",
    "lv": "mīnus",
    "ml": "മൈനസ്",
    "sq": "minus",
    "ta": "மைனஸ்",
    "te": "మైనస్",
    "th": "ลบ",
    "vi": "âm",
}
_MINUS: Final = re.compile(r"(?<![\w)\]%°.,'/-])-(?=[.,]?\d)")


def minus_rewrites(text: str, language: str) -> Iterator[Rewrite]:
    """Each minus before a number by its name; none where the language is not known.

    ``language`` is the primary part of a tag. Takes linear time.
    """
    name = _NAMES.get(language)
    if name is not None:
        for found in _MINUS.finditer(text):
            yield Rewrite(*found.span(), name)
