"""Decides whether a full stop, and what stands around it, ends a sentence."""

from __future__ import annotations

import re

from voxswap_server.text.segmentation.layout import (
    DASH_PAUSE_MS,
    ELLIPSIS_PAUSE_MS,
    LONGEST_GAP,
    SENTENCE_PAUSE_MS,
)

# Western marks that also stand inside words, numbers and addresses: space must follow them.
_WEAK_MARKS = ".!?…‥"
# Marks that end a sentence whether or not space follows: ideographic, Arabic, Indic, Armenian,
# Ethiopic, Khmer, Myanmar and Tibetan full stops, and the fused interrobangs.
_STRONG_MARKS = "。｡．！？︒﹒﹖﹗؟۔\u037e।॥։።፧፨។៕။།‼⁇⁈⁉‽"
MARKS = _WEAK_MARKS + _STRONG_MARKS
"""What may end a sentence, for a class of characters."""
DASH = r"(?:—|--|(?<=\s)[–-])"
"""Where a dash begins that may part two clauses, unlike a hyphen."""
_CLOSING = r"”’\)\]\}」』】〉》〕〗〙〛）］｝｣"
# Marks that open in one language or place and close in another: they close before no letter.
_EITHER = "\"'“‘«»‹›*_~"
_PICTOGRAPHS = "\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff\ufe0f\u200d"

# Possessive throughout, so that a run is read once; and bounded, because text that comes bit by bit
# has its end read again and again.
SENTENCE_END = re.compile(
    rf"(?P<mark>\.(?>(?:[ \u00a0]\.){{2,200}})|[{MARKS}]{{1,400}}+|{DASH}[—–-]{{0,400}}+)"
    rf"(?P<closers>(?>(?:[{_CLOSING}]|[{_EITHER}](?!\w)|[{_PICTOGRAPHS}]){{0,400}})"
    r"(?>(?:[ \u00a0\u202f][»›](?!\w))?))"
    r"(?>(?:\[\d{1,3}\]){0,20})"
    rf"(?P<space>\s{{0,{LONGEST_GAP}}}+)"
)
_CITATION_BEGUN = re.compile(r"\[\d{0,3}\Z")

_QUOTE = re.compile(f"[{_CLOSING}{_EITHER}]")
_STRONG = re.compile(f"[{_STRONG_MARKS}]")
_DASH = re.compile(DASH)
_DOTS, _DASHES = frozenset(".…‥ \u00a0"), frozenset("—–-")
# More of them are a rule or a decoration.
_MOST_DASHES = 3
# A dash after fewer words is an insertion or a stammer, which a comma's pause does better.
_LEAST_WORDS_BEFORE_DASH = 3
_LONGEST_LOOK_BACK = 32
_EAST_ASIAN = re.compile("[\u2e80-\u2fdf\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff「『]")
_MOST_BEFORE_WORD = 8
_NEXT_WORD = re.compile(rf"[^\w]{{0,{_MOST_BEFORE_WORD}}}(?P<word>\w[\w'’]{{0,20}})(?P<dot>\.?)")
_SAYING = (
    "said|says|asked|asks|cried|shouted|yelled|called|replied|answered|whispered|muttered"
    "|murmured|exclaimed|added|demanded|screamed|growled|laughed|sighed|snapped"
)
_NAME = r"[A-Z][\w.'’-]{0,20}"
_ATTRIBUTION = re.compile(rf"(?:{_NAME}\s){{1,3}}(?:{_SAYING})\b")
_ATTRIBUTION_BEGUN = re.compile(
    rf"(?:{_NAME}\s){{0,2}}{_NAME}\Z|(?:{_NAME}\s){{1,3}}(?P<saying>[a-z]*)\Z"
)
_INITIALISM = re.compile(r"[^\W\d_](?:[^\W\d_]?\.[^\W\d_]{1,2})*")
_NUMERAL = re.compile(r"\d|[IVXLC]{2,}\b|[VX]\b")
_LONGEST_ABBREVIATION = 16


def _words(listing: str) -> frozenset[str]:
    return frozenset(listing.split())


# What always leads on to a word of the same sentence; the capitalised ones are words otherwise.
_LEADING = _words(
    "mr mrs ms mx dr prof messrs mme mlle srta e.g i.e eg ie cf vs viz ca approx esp resp incl "
    "aka a.k.a z.b d.h u.a bzw ggf evtl sog dipl p.ej"
)
_LEADING_NAMES = _words(
    "Gen Col Sgt Capt Cpt Lt Cmdr Adm Maj Cpl Pvt Rev Hon Gov Sen Rep Pres Supt Mgr Fr Sr Sra Mt "
    "Msgr Mgsr Mons Amb Atty Brig Insp Det Cllr Ald Ste Sts Ft Pte Flt Cdr Ens Dn Abp Bp"
)
# What leads on only to a number: "No. 5", but "No. I won't."
_BEFORE_NUMERAL = _words(
    "no nos nr núm p pp pg vol vols fig figs ch chap sec eq op ver art para abb apt rte rt ep eps "
    "lv lvl min max ext ste rm bldg pt pts mk bk app ex tab qty ca lin sect var ser ed mod dist"
)
# These also to a letter: "Fig. A".
_BEFORE_LETTER = _words("fig figs apt ste bldg rm app ex tab sec pt vol ch lv mk rte bk var ser")
# What may end a sentence as well as stand inside one.
_EITHER_WAY = _words(
    "etc al inc ltd co corp bros llc plc jr esq ave blvd rd st sq hwy dept div est govt univ assn "
    "avg tel misc ft hr hrs lb lbs oz yd tbsp tsp usw ud uds vd a.m p.m"
)
_EITHER_WAY_NAMES = _words(
    "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun"
)
_ENDS_BEFORE_CAPITAL = _words("etc usw a.m p.m")
_NEVER_FIRST = _words(
    "monday tuesday wednesday thursday friday saturday sunday january february march april june "
    "july august september october november december eastern central mountain pacific est edt "
    "cst cdt mst mdt pst pdt et ct mt pt gmt utc bst cet cest"
)
_OFTEN_FIRST = _words(
    "a all also although an and another are as at because before but can could did do does each "
    "every few finally first for he her here his how however i if in instead is it its last later "
    "let let's many maybe meanwhile most my next no nobody not nothing now of on once one only "
    "or our perhaps please she should since so some soon still such suddenly that the their then "
    "there these they this those though thus to today tomorrow we well what when where which "
    "while who why will with yes yesterday yet you your"
)
_AFTER_GERMAN_ORDINAL = _words(
    "januar jänner februar märz april mai juni juli august september oktober november dezember "
    "jahrhundert jahrhunderts"
)


def is_settled(text: str, end: re.Match[str]) -> bool:
    """Whether ``end``, a match of `SENTENCE_END`, stays as it is whatever comes after ``text``.

    But for ". ." that may become an ellipsis: `ends_sentence` waits for a word anyway.
    """
    if end.end() == len(text):
        return len(end["space"]) == LONGEST_GAP
    return bool(end["space"]) or not _CITATION_BEGUN.match(text, end.end())


def is_ellipsis(mark: str) -> bool:
    """Whether a match's mark is dots alone, and more than a full stop."""
    return mark != "." and _DOTS.issuperset(mark)


def pause_after(mark: str) -> int:
    """The silence after a mark that parts segments within a line."""
    if mark[0] in _DASHES:
        return DASH_PAUSE_MS
    return ELLIPSIS_PAUSE_MS if is_ellipsis(mark) else SENTENCE_PAUSE_MS


def ends_sentence(
    text: str, sentence_start: int, end: re.Match[str], *, whole: bool = True
) -> bool | None:
    """Whether ``end``, a match of `SENTENCE_END`, ends the sentence begun at ``sentence_start``.

    So do an ellipsis and a dash behind a clause, since after them too nothing is said for a while.
    None: what comes after ``text`` decides. Never if the text is ``whole``; else the match must be
    settled. Takes time bounded by a constant, whatever the text.
    """
    following = text[end.end() : end.end() + 1]
    if end["mark"][0] in _DASHES:
        return _dash_parts(text, sentence_start, end, whole=whole)
    if _STRONG.search(end["mark"]):
        return _strong_mark_ends(text, end, following)
    if not end["space"]:
        if is_ellipsis(end["mark"]):
            return _ellipsis_within(text, end)
        return not set("!?").isdisjoint(end["mark"]) and bool(_EAST_ASIAN.match(following))
    ahead = _NEXT_WORD.match(text, end.end())
    if ahead is None:
        return True if whole or len(text) - end.end() > _MOST_BEFORE_WORD else None
    word = ahead["word"]
    may_grow = not whole and ahead.end("word") == len(text)
    if _QUOTE.search(end["closers"]):  # "Halt!" he said. "Why?" Mary asked.
        said = _attribution(text, end.end(), whole=whole)
        if word[0].islower() or said:
            return False
        if said is None:
            return None
    if not set("!?").isdisjoint(end["mark"]):
        return True
    if end["mark"] != ".":
        return True  # an ellipsis: whether or not the sentence goes on, it waits
    before = _token_before(text, sentence_start, end.start())
    return _full_stop_ends(before, ahead, may_grow=may_grow)


def _ellipsis_within(text: str, end: re.Match[str]) -> bool:
    """ "Well...I guess", but neither "0...5" nor a path."""
    around = text[max(0, end.start() - 1) : end.start()] + text[end.end() : end.end() + 1]
    long = len(end["mark"]) > 2 or "…" in end["mark"]
    apart = len(around) == 2 and around.isalpha() and not end["closers"]
    return long and apart and not _EAST_ASIAN.match(around[1])


def _dash_parts(text: str, sentence_start: int, end: re.Match[str], *, whole: bool) -> bool | None:
    """Whether a dash parts two clauses: "The door was open—nobody came out."."""
    mark = end["mark"]
    if end["closers"] or len(mark) > _MOST_DASHES or (mark in {"-", "–"} and not end["space"]):
        return False
    clause = text[max(sentence_start, end.start() - _LONGEST_LOOK_BACK) : end.start()]
    before = _DASH.split(clause)[-1].split()
    words = [token for token in before if any(map(str.isalpha, token))]
    if len(words) < _LEAST_WORDS_BEFORE_DASH:
        return False
    ahead = _NEXT_WORD.match(text, end.end())
    if ahead is None:
        return False if whole or len(text) - end.end() > _MOST_BEFORE_WORD else None
    word = ahead["word"]
    if not word[0].isalpha():
        return False
    # "Monday – Friday" goes on.
    return mark in {"—", "--", "---"} or not (before[-1][0].isupper() and word[0].isupper())


def _attribution(text: str, start: int, *, whole: bool) -> bool | None:
    """Whether "Mary said" or the like stands there; None if it may yet."""
    begun = None if whole else _ATTRIBUTION_BEGUN.match(text, start)
    if begun and any(saying.startswith(begun["saying"] or "") for saying in _SAYING.split("|")):
        return None
    return bool(_ATTRIBUTION.match(text, start))


def _strong_mark_ends(text: str, end: re.Match[str], following: str) -> bool:
    if end["mark"] == "．" and following.isdigit():
        return False
    # 「待て！」と言った: a quotation that runs on without space is part of its sentence.
    runs_on = end["closers"] and not end["space"] and following.isalnum()
    return not runs_on


def _token_before(text: str, sentence_start: int, stop: int) -> tuple[str, bool]:
    """The token that a full stop at ``stop`` follows, and whether it opens the sentence."""
    start = max(sentence_start, stop - _LONGEST_ABBREVIATION)
    parts = text[start:stop].split()
    token = parts[-1] if parts else ""
    opens = start == sentence_start and len(parts) == 1
    return token.lstrip("\"'“‘«‹„([{*_~¿¡-–—"), opens


def _full_stop_ends(
    before: tuple[str, bool], ahead: re.Match[str], *, may_grow: bool
) -> bool | None:
    """As `ends_sentence`; whether the word ``ahead`` ``may_grow``, it says."""
    token, opens = before
    word, key = ahead["word"], token.lower()
    if opens and (token.isdecimal() and len(token) <= 3):
        return False  # The number of a list's item.
    if key in _LEADING or token in _LEADING_NAMES:
        return False
    if key in _BEFORE_NUMERAL:
        if may_grow and (len(word) == 1 or not word.strip("IVXLC")):
            return None
        letter = key in _BEFORE_LETTER and len(word) == 1 and word.isupper()
        return not (letter or _NUMERAL.match(word))
    either_way = key in _EITHER_WAY or token in _EITHER_WAY_NAMES
    if either_way or _INITIALISM.fullmatch(token):
        if may_grow and not word[0].islower():
            return None
        if not _DASHES.isdisjoint(ahead.string[ahead.start() : ahead.start("word")]):
            return False  # "9 a.m. - 5 p.m."
        return _opens_sentence(word, after=key) and not (len(word) == 1 and ahead["dot"])
    if token.isdecimal():  # "am 3. Oktober", "den 3. oktober"
        month = word.lower()
        if may_grow and any(name.startswith(month) for name in _AFTER_GERMAN_ORDINAL):
            return False if word[0].islower() else None
        return not word[0].islower() and month not in _AFTER_GERMAN_ORDINAL
    return True


def _opens_sentence(word: str, *, after: str) -> bool:
    if word[0].islower() or word.lower() in _NEVER_FIRST:
        return False
    return after in _ENDS_BEFORE_CAPITAL or word.lower() in _OFTEN_FIRST
