"""Speech as it is written in dialogue: stammers, interjections, words that are drawn out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from voxswap_server.text.english.rules.rule import before

_CONSONANT = "b-df-hj-np-tv-zB-DF-HJ-NP-TV-Z"
# Words that begin as a stammer does.
_NO_STAMMER = (
    r"(?!(?i:d-day|b-boys?|b-ball|b-side|c-class|c-cup|s-shaped?|t-tests?|t-tail|t-top)\b)"
)
STAMMER = (
    rf"(?<![\w'-]){_NO_STAMMER}(?P<onset>[{_CONSONANT}]{{1,3}}|[A-Za-z])-"
    r"(?>(?i:(?P=onset)-){0,8})(?=(?i:(?P=onset))[A-Za-z])"
)
"""What is stammered before a word, with its hyphens: the "W-w-" of "W-w-what"."""
_VOICED_TH = frozenset(
    re.findall(
        r"[a-z']+",
        "that that's thats this the they they're they've they'll them there there's then those "
        "these their than though thus",
    )
)
_SOUNDS: Mapping[str, str] = {
    sound.split("=")[0]: sound.split("=")[1]
    for sound in (
        *("a=ah", "e=uh", "i=ih", "o=oh", "u=uh", "c=kuh", "x=zuh", "q=kwuh", "qu=kwuh", "kn=nuh"),
        *("wr=ruh", "wh=wuh", "ph=fuh", "gn=nuh", "ck=kuh", "sch=skuh", "ps=suh"),
    )
}
_WORD = re.compile(r"[A-Za-z']{1,20}")
_SPELLED = {"kn": "nuh", "wr": "ruh", "ph": "fuh", "gn": "nuh", "ps": "suh"}

# Sounds without a vowel, and their like, by how they are spelled in small letters; front-ends would
# spell them, so each becomes a word that sounds about the same.
_INTERJECTIONS = tuple(
    (re.compile(pattern), spoken)
    for pattern, spoken in (
        ("h+m+", "hmm"),
        ("m{2,}", "umm"),
        ("m+h+m+", "uh-huh"),
        ("s+h{2,}|s{2,}h+|sh", "shush"),
        ("gr{2,}", "gurr"),
        ("br{2,}", "burr"),
        ("pr{2,}", "purr"),
        ("r{3,}", "rurr"),
        ("z{3,}", "zizz"),
        ("b+z{2,}t?", "buzz"),
        ("pf{1,}t{1,}", "puft"),
        ("pf{2,}", "puff"),
        ("p+s+h+t*|p+h+t+", "pish"),
        ("p+s{1,}t+", "psst"),
        ("h+m+p+h+|h+r+m+p+h+|h+m+f+", "humph"),
        ("h+r+m+", "hurm"),
        ("t+s+k", "tisk"),
        ("t+c+h+", "tut"),
        ("t+s{2,}|s{3,}", "hiss"),
        ("n+g+h+|h+n+g+h*", "nug"),
        ("f{3,}", "fuff"),
        ("k+s+h+h*", "kish"),
        ("e+w{2,}", "ew"),
        ("a+w{2,}", "aw"),
        ("a{3,}h*|a{2,}h+|a+h{2,}", "ah"),
        ("o{2,}h+", "ooh"),
        ("o+h{2,}", "oh"),
        ("u{2,}h+|u+h{2,}", "uh"),
        ("u+m{3,}", "umm"),
        ("u+g+h{2,}|u{2,}g+h+", "ugh"),
        ("a{2,}r+g*h+|a+r+g+h{2,}|a+r{2,}g*h+", "argh"),
        ("e{2,}k+", "eek"),
        ("y+a{2,}y+", "yay"),
        ("(?:ha){2,}h?|a(?:ha){2,}h?", "ha ha"),
        ("(?:he){3,}h?", "he he"),
    )
)
_MAY_BE_INTERJECTION = re.compile(
    r"[^aeiouy]{2,24}|[aeou]{1,24}[hwmgkr]{1,24}|[aeo]{2,24}h{0,24}|y+a{2,}y+|a?(?:ha){2,8}h?"
    r"|(?:he){3,8}h?"
)
_UNIT_BEFORE = re.compile(r"\b(?:in|of|per|to|a|the|\d) \Z")

_DRAWN_OUT = re.compile(r"([A-Za-z])\1{2,}")
_TOO_OFTEN = re.compile(r"([a-z])\1{2,}")
# Words with a letter twice, which may be drawn out there.
_DOUBLED = frozenset(
    re.findall(
        r"\w+",
        "good cool food mood look looks book cook took school room rooms soon moon noon fool "
        "fools pool tool too zoo boo moo woo wool wood stood blood door floor poor boom doom "
        "zoom spoon goose loose choose shoot boot boots root roof proof tooth smooth see feel "
        "feels need sleep free tree three feed speed seen been keep deep sweet meet street week "
        "green queen wheel steel peel sheep feet indeed agree bleed speech wee whee yippee all "
        "ball call fall hall tall wall will kill hill still tell hell well bell sell yell smell "
        "spell small full pull bull fill chill thrill skill shall hello really finally totally "
        "follow yellow silly bully holly jolly dolly off stuff stiff sniff miss kiss pass boss "
        "loss less mess bless dress press cross class grass glass hiss pissed gross happy sorry "
        "hurry funny carry merry pretty little better letter bitter matter butter puppy daddy "
        "mommy mummy bunny bummer summer dinner winner hammer stopped buddy teddy add egg odd "
        "inn butt mutt yikes coffee sheesh geez jeez freeze breeze sneeze cheese please creep "
        "creepy weep beep jeep",
    )
)


def read_stammer(match: re.Match[str]) -> tuple[int, str] | None:
    """ "W-w-" as "wuh-wuh-": the sound that the word begins with. None where nobody stammers."""
    onset, times = match["onset"], match[0].count("-")
    word = _WORD.match(match.string, match.end())
    following = word[0].lower() if word else ""
    if len(onset) == 1 and onset in "IA" and following in {"i", "i'm", "i'll", "i've", "i'd"}:
        return match.end(), f"{onset}-" * times
    return match.end(), f"{_sound(onset.lower(), following)}-" * times


def _sound(onset: str, word: str) -> str:
    if word[:2] in _SPELLED and onset in {word[:1], word[:2]}:
        return _SPELLED[word[:2]]
    if word[:3] == "who" and word[:4] not in {"whop", "whoo"}:
        return "huh"
    if onset == "th":
        return "the" if word in _VOICED_TH else "thuh"
    if onset == "c" and word[1:2] in {"e", "i", "y"}:
        return "suh"
    if onset == "g" and word[1:3] in {"en", "em", "in", "eo"} and word[:4] not in {"give", "gene"}:
        return "juh"
    return _SOUNDS.get(onset) or f"{onset}uh"


def read_interjection(match: re.Match[str]) -> str | None:
    """ "Mmm" as "Umm"; None for what is no sound."""
    word = match[0]
    plain = word.lower()
    if not _MAY_BE_INTERJECTION.fullmatch(plain) or not (word[1:].islower() or word.isupper()):
        return None
    if len(word) <= 3 and word.isupper() and word not in {"SHH", "GRR", "BRR", "HMM", "MMM", "ZZZ"}:
        return None  # "HM", "MM", "SH", "AAA"
    if plain == "mm" and _UNIT_BEFORE.search(before(match, 5)):
        return "millimeters"
    for pattern, spoken in _INTERJECTIONS:
        if pattern.fullmatch(plain):
            return None if spoken == word else like(word, spoken)
    return None


def read_drawn_out(match: re.Match[str]) -> str | None:
    """ "Nooooo" as "No", "Gooood" as "Good"; None for other words."""
    word = match[0]
    if not _DRAWN_OUT.search(word[0].lower() + word[1:] if word[1:].islower() else word):
        return None
    plain = word.lower()
    if not word.isascii() or not (word.isupper() or word[1:].islower()):
        return None
    if len(set(plain)) == 1 or plain.startswith("www") or (word.isupper() and len(word) < 5):
        return None
    once = _TOO_OFTEN.sub(r"\1", plain)
    twice = _TOO_OFTEN.sub(r"\1\1", plain)
    spoken = once
    for choice in (twice, *_each_once(plain)):
        if choice in _DOUBLED:
            spoken = choice
            break
    return like(word, spoken)


def _each_once(plain: str) -> list[str]:
    """A word with several letters drawn out, with each in turn said once and the others twice."""
    runs = list(_TOO_OFTEN.finditer(plain))
    if not 1 < len(runs) < 4:
        return []
    found = []
    for chosen in runs:
        parts, position = [], 0
        for run in runs:
            parts += [plain[position : run.start()], run[1] * (1 if run is chosen else 2)]
            position = run.end()
        found.append("".join(parts) + plain[position:])
        parts, position = [], 0
        for run in runs:
            parts += [plain[position : run.start()], run[1] * (2 if run is chosen else 1)]
            position = run.end()
        found.append("".join(parts) + plain[position:])
    return found


def like(written: str, spoken: str) -> str:
    """``spoken`` with a capital if ``written`` begins with one and goes on in small letters."""
    capital = written[0].isupper() and not written.isupper()
    return spoken[0].upper() + spoken[1:] if capital else spoken
