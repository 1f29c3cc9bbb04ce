"""Shouted lines: "MOVE IT!" is two words, and USA in it is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_LETTERS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_CAPITALS = re.compile("[A-Z]'?[A-Z]")
_JOINED_BEFORE = re.compile(r"[\d_&.]\Z|\d-\Z")
_JOINED_AFTER = re.compile(r"-?\d|[_&]|\.[A-Z]")
_VOWEL = re.compile("[AEIOUY]")
_SYLLABLE = re.compile("[BCDFGHJKLMNPQRSTVWXYZ][AEIOUY][BCDFGHJKLMNPRSTVWXZ]")
_NUMERAL = re.compile("[IVX]+")
_HARD = re.compile("[BCDFGHJKLMNPQRSTVWXZ]{5}|[AEIOUY]{4}|Q(?!U)")


def _words(listing: str) -> frozenset[str]:
    return frozenset(listing.upper().split())


# Of two or three letters; of three also what `_SYLLABLE` matches.
_SHORT = _words(
    "ah am an as at be by do go ha he hi ho if in is it me my no of oh on or ow so to up us we "
    "ye yo ace act add ado age ago aid aim air ale all and ant any ape arc are ark arm art ash "
    "ask ate awe axe aye bad bee boo bow boy bye cow coy cry cue day dew die doe dry due ear "
    "eat ebb egg ego eke elf elk elm end era eve eye few fly foe fry fur goo guy hay her hey "
    "hoe how hue ice icy ill imp ink inn ion its ivy jaw jay joy key law lay let lie low may "
    "mew nay new now nun oak oar oat odd off oft oil old one ore our out owe owl own pay pea "
    "pie ply pry raw ray roe row rue rye saw say sea see sew she shy sir sky sly son sow soy "
    "spa spy sue tea the tie toe too toy try two use via vow war was way web who why woe woo "
    "wow yea yes yet you zoo ugh aha ooh uh um eh nah yay ahh"
)
# What looks like a word and is spelled all the same.
_SPELLED = _words(
    "abc ads aka bbc cbs ceo cfo cia cto cvs dea dhl diy dna dob doj dui dvd eta eul faq fda "
    "fbi gop gps hbo hdd hiv hp hr id ie imf ios ipo iq irs isp iv jfk kfc lcd led lgb lol mba "
    "mit mlb mri mtv nba nbc nes nfl nhl npc nsa ocd odb pac pdf pov pta pto ptsd pvp pve qos "
    "rip rna rpg sec sos sql suv tba tbd tnt tv uae ucl ufc ufo uk un usa usb usd vat vip vpn "
    "wip www xp ymca ieee nasa nato fifa uefa opec unesco unicef html http https json yaml xml "
    "asap imho iirc afaik isbn mmorpg ncaa aarp nyse ussr nypd lapd swat ftse hdmi bios vga rgb "
    "dj mc bmw vw gmc hm ok okc nyc dc la sf ap ar ai api app ide gui cvc dlc gdp gnp hud dps "
    "afk brb omg wtf tldr fyi rsvp rss pms dod dot gif jpg jpeg mp3 mpeg covid hvac ocr oem "
    "msrp wwi wwii aoe gsm sim lte ram rom cpu gpu ssd"
)
# Words in shouts that are abbreviations as well: whether they are shouted, their neighbours say.
_DOUBTFUL = frozenset({"IT", "US"})
_RATHER_WORDS = _words("sec dot app led ram sim rip ads swat gif sos pac")
_NOT_AFTER = frozenset({"THE", "A", "AN", "IN", "OUR", "YOUR", "MY"})
_AFTER_IT = re.compile(
    r"(?:IS|WAS|WILL|CAN|HAS|HAD|DOES|DID|MUST|MAY|WON'T|ISN'T|CAN'T|[A-Z]{3,}S|JUST|NEVER|ALL)\Z"
)


class _Word(NamedTuple):
    """A word in capitals, its place, and whether only spaces or commas part it from the last.

    Of ``compound`` ones, such as "KAN-TTS", nobody can tell whether they are shouted.
    """

    text: str
    start: int
    follows: bool
    compound: bool


def shouted_words(text: str) -> frozenset[int]:
    """Where the words of ``text`` begin that are in capitals because somebody shouts.

    That is a run of words in capitals, two of them or more, or one that is all there is. What may
    be an abbreviation does not count. Takes linear time.
    """
    if not _CAPITALS.search(text):
        return frozenset()
    found: set[int] = set()
    run: list[_Word] = []
    end = 0
    for match in _LETTERS.finditer(text):
        word = match[0].replace("'", "")
        if not word.isupper() or not word.isascii():
            found |= _in_run(run, text)
            run = []
        elif not _is_joined(text, match):
            follows = text[end : match.start()].strip(", ") == ""
            compound = (
                "-"
                in text[max(0, match.start() - 1) : match.start()]
                + text[match.end() : match.end() + 1]
            )
            run.append(_Word(match[0], match.start(), follows, compound))
        end = match.end()
    return frozenset(found | _in_run(run, text))


def _is_joined(text: str, match: re.Match[str]) -> bool:
    """Whether digits or stops are part of it: "COVID-19", "MP3", "U.S.", ".NET"."""
    return bool(_JOINED_BEFORE.search(text[max(0, match.start() - 2) : match.start()])) or bool(
        _JOINED_AFTER.match(text, match.end())
    )


def _in_run(run: Sequence[_Word], text: str) -> set[int]:
    words = [word.text for word in run if len(word.text) > 1 and not word.compound]
    words = [word for word in words if word in _DOUBTFUL or _is_word(word)]
    if not any(map(str.islower, text)):  # all that there is
        shouted = len(words) > 1 or not _DOUBTFUL.issuperset(words)
    else:
        shouted = len(words) > 1 and not _DOUBTFUL.issuperset(words)
    if not shouted:
        return set()
    found = set()
    for i, word in enumerate(run):
        before = run[i - 1].text if i and word.follows else ""
        after = run[i + 1].text if i + 1 < len(run) and run[i + 1].follows else ""
        if len(word.text) > 1 and _is_shouted(word.text, before, after):
            found.add(word.start)
    return found


def _is_shouted(word: str, before: str, after: str) -> bool:
    if word == "IT":
        return before not in _NOT_AFTER and bool(before or _AFTER_IT.match(after))
    if word == "US":
        return bool(before) and before not in _NOT_AFTER and before not in {"AND", "VS"}
    return _is_word(word)


def _is_word(written: str) -> bool:
    """Whether capitals spell a word that is read as one."""
    if _NUMERAL.fullmatch(written):
        return False
    written, _, ending = written.partition("'")
    if ending not in {"", "S"} or len(written) == 1:
        return True
    if written in _SHORT or written in _RATHER_WORDS:
        return True
    if written in _SPELLED or len(written) < 3 or not _VOWEL.search(written):
        return False
    if len(written) == 3:
        return bool(_SYLLABLE.fullmatch(written))
    return not _HARD.search(written)
