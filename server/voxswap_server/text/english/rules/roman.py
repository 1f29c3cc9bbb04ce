"""Roman numerals in English: after names and numbered things, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from voxswap_server.text.english.rules.numerals import cardinal, ordinal, year
from voxswap_server.text.english.rules.rule import after, before


def _words(listing: str) -> frozenset[str]:
    return frozenset(listing.split())


_NUMBERED = _words(
    "Act Age Annex Appendix Apollo Article Auto Battlefield Battlegrounds Book Bowl Canto Caste "
    "Category Century Chapter Ch Civilization Class Column Corps Cycle Day Division Doom "
    "Dynasty Edition Ep Episode Era Exodus Fallout Fantasy Fighter Fig Figure Gemini Generation "
    "Genesis Grade GTA Hades Issue Kombat Legion Level Lv Mark Mk Mission Model Movement "
    "Olympiad Overlord Part Phase Pt Quake Quarter Quest Round Scene Schedule Scrolls Sec "
    "Section Sector Season Series Soldier Sonata Souls Stage Star Step Symphony Table Tekken "
    "Tier Title Type Unit Vatican Verse Ver Version Vol Volume War Warcraft Wave World Zone Op "
    "Opus Prelude Nocturne Psalm Factor Factors Nerve Collagen Hypothesis Theorem Lemma Axiom "
    "Protocol Directive Clause"
)
_REGNAL = _words(
    "Abdullah Adrian Afonso Albert Alexander Alexios Alfonso Amenhotep Andronikos Antiochus "
    "Artaxerxes Ashurnasirpal Attalus Baldwin Baudouin Basil Bela Benedict Berenice Boleslaw "
    "Boniface Boris Callixtus Canute Carlos Casimir Catherine Celestine Charles Christian "
    "Cleopatra Clement Cnut Conrad Constans Constantine Constantius Darius David Demetrius "
    "Edmund Edward Elizabeth Emmanuel Eric Erik Eugene Farouk Felipe Feodor Ferdinand Fernando "
    "Francis Franz Frederick Friedrich Fuad George Gregory Gustav Haakon Hadrian Harald Harold "
    "Heinrich Henri Henry Honorius Hussein Innocent Isabel Isabella Ivan James Jean Joao Johan "
    "John Joseph Juan Julius Justinian Kamehameha Karl Ladislaus Leo Leopold Lothair Louis "
    "Lucius Magnus Manuel Margaret Maria Marcellus Mary Matthias Maximilian Mehmed "
    "Michael Mithridates Mohammed Montezuma Moctezuma Murad Napoleon Nebuchadnezzar Nicholas "
    "Norodom Olaf Olav Otto Paul Pedro Peter Philip Pius Ptolemy Rama Rameses Ramesses Ramses "
    "Rainier Richard Robert Roger Romanos Rudolf Sancho Sargon Selim Seti Shalmaneser Sigismund "
    "Sixtus Stephen Suleiman Sverre Sweyn Theodore Theodosius Thutmose Tutmosis Umberto Urban "
    "Valdemar Vasily Victor Victoria Vittorio Vladimir Vladislav Wenceslaus Wilhelm Willem "
    "William Xerxes Yaroslav Zog"
)
_TITLED = re.compile(
    r"\b(?:King|Queen|Pope|Emperor|Empress|Tsar|Czar|Tsarina|Pharaoh|Sultan|Prince|Princess|Duke"
    r"|Duchess|Earl|Shah|Kaiser|Khan|Baron|Count|Patriarch|Archbishop|Caliph|Lord|Lady|Sir|Emir)"
    r" (?:[A-Z][\w'-]+ )?[A-Z][\w'-]+[ —-]\Z"
)
_REGNAL_ENDING = re.compile(r"(?:mose|hotep|mses|messes|ustus)\Z")
_SON_BEFORE = re.compile(r"([A-Z][a-z]+) (?:[A-Z]\. )?[A-Z][a-z]+,? \Z")
_ROMAN = re.compile(r"(?=[CLXVI][CLXVI]|[IVX])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ORDINAL = re.compile(r"([IVXL]{1,8})(?:st|nd|rd|th)")
_YEAR = re.compile(r"M{1,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_IN_CAPITALS = re.compile("[IVX]{2,}")
# Abbreviations, where nothing is numbered.
_LETTERS = frozenset({"IV", "VI", "XI", "XV", "XX", "XXX", "IX"})
_VALUES: Mapping[str, int] = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_CLOSES = re.compile(r"[,.;:!?)]|\s*\Z|\s(?:of|was|and|the|in|had)\b")
_LAST_WORD = re.compile(r"(?:\A|[^\w.])([\w']+)[. —-]+\Z")
_INTRAVENOUS = re.compile(
    r"[ -](?:drips?|lines?|fluids?|bags?|poles?|antibiotics|medications?|meds|therapy|access|push"
    r"|sites?|catheters?|treatments?|infusions?|needles?|tubes?|drugs?|morphine|saline|out)\b"
)
# What has a capital at the start of a sentence, and names nothing.
_NO_NAME = frozenset(
    re.findall(
        r"\w+",
        "a add an and another any are as at attach be because but by can check do does each every "
        "few find first for from get give go hang has have he her here his how i if in insert is "
        "it its just keep let look many may me more most my need next no not now of on one only or "
        "our place please press put remove see set she so some start stop take that the their then "
        "there these they this those to try two under until up use was we were what when where "
        "which who why will with without yes you your via per",
    )
)
_MOST_BY_RULE = 39


def read_roman(match: re.Match[str]) -> tuple[int, str] | None:
    """ "Chapter IV", "Henry VIII", "Rocky III"; but letters in "an IV drip". None: no numeral."""
    numeral = match[0]
    if (nth := _ORDINAL.fullmatch(numeral)) and _ROMAN.fullmatch(nth[1]):
        return match.end(), ordinal(_value(nth[1]))
    if len(numeral) > 3 and _YEAR.fullmatch(numeral):
        return match.end(), year(_value(numeral))
    if not _ROMAN.fullmatch(numeral):
        return None
    value = _value(numeral)
    previous = _LAST_WORD.search(before(match, 20))
    if previous:
        found = _after_name(match, previous[1], value)
        if found:
            return match.end(), found
    if not _IN_CAPITALS.fullmatch(numeral):
        return None
    # espeak-ng would say "Roman four".
    return match.end(), " ".join(numeral) if numeral in _LETTERS else cardinal(value)


def _after_name(match: re.Match[str], name: str, value: int) -> str | None:
    numeral, shouted = match[0], len(name) > 1 and name.isupper()
    plain = name.capitalize() if shouted else name
    if numeral == "IV" and _INTRAVENOUS.match(after(match, 14)):
        return None
    if name in _NUMBERED or plain in _NUMBERED:
        return cardinal(value)
    if plain in _REGNAL and (numeral != "I" or _CLOSES.match(after(match, 5))):
        return f"the {ordinal(value)}"
    if len(numeral) < 2 or value > _MOST_BY_RULE or "L" in numeral:
        return None
    if not name[0].isupper() or name.lower() in _NO_NAME or (shouted and numeral == "IV"):
        return None
    front = before(match, 40)
    son = _SON_BEFORE.search(front)
    if _TITLED.search(front) or _REGNAL_ENDING.search(name) or (son and son[1] in _REGNAL):
        return f"the {ordinal(value)}"
    return cardinal(value)


def _value(numeral: str) -> int:
    values = [_VALUES[char] for char in numeral]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-value if value < following else value for value, following in pairs)
