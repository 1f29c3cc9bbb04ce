"""Tidies text character by character: NFC, plain quotes and dashes, nothing unreadable, no markup.

Entities of HTML are what they stand for, and links of Markdown their text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape

_TIDY = re.compile(r"[!-Z\\^_a-z|~]++(?>(?: [!-Z\\^_a-z|~]++)*)")
# One spelling for each kind of quote, dash and dots, of those that front-ends know.
_TYPOGRAPHY: Mapping[str, str] = {
    **dict.fromkeys("“”„‟«»″〝〞「」『』＂", '"'),
    **dict.fromkeys("‘’‚‛‹›′´`＇ʼ", "'"),
    **dict.fromkeys("‐‑‒–−﹣－", "-"),
    **dict.fromkeys("―⸺⸻", "—"),
    **dict(zip("…‥⋯‼⁇⁈⁉‽", ("...", "..", "...", "!!", "??", "?!", "!?", "?!"), strict=True)),
}
_ENGLISH_TYPOGRAPHY: Mapping[str, str] = {
    **dict.fromkeys("⁄∕", "/"),
    **dict.fromkeys("[{", "("),
    **dict.fromkeys("]}", ")"),
    **dict(zip("№。、｡､", ["No. ", ".", ",", ".", ","], strict=True)),
    **{char: f"^{power}" for char, power in zip("⁰¹⁴⁵⁶⁷⁸⁹", "01456789", strict=True)},
    **dict.fromkeys("²", "²"),  # Units have these: "m²". Unfolded they were bare digits.
    **dict.fromkeys("³", "³"),
    "˚": "°",
}
# Full width, mathematical, ligatures, Roman, circled, unit signs.
_COMPATIBLE = re.compile(
    "[\uff01-\uff5e\U0001d400-\U0001d7ff\ufb00-\ufb06\u2160-\u217f\u2460-\u24ff\u3380-\u33df℃℉]"
)
_SYMBOLS_KEPT = frozenset("°©®™℃℉№")
# Formally marks and letters, but nothing that can be read.
_INVISIBLE = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u034f\u115f\u1160\u3164\uffa0•‣⁃]")
_JOINERS = "\u200c\u200d"
_SPELT_WITH_JOINERS = re.compile("[\u0600-\u109f\u1780-\u18af]")
_PICTOGRAPHS = frozenset({"So", "Sk"})
_UNREADABLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Me"}) | _PICTOGRAPHS
_JAMO = re.compile("[\u1161-\u11ff\ud7b0-\ud7ff]")
# The limit of Unicode's stream-safe text; it also keeps the reordering of marks linear.
_MOST_MARKS = 30

# Entities, some of them escaped twice; the two ends of a link, and of an image, in Markdown.
_MARKUP = re.compile(
    r"&(?:amp;){0,4}(?P<entity>[A-Za-z][A-Za-z0-9]{1,30}|#\d{1,7}|#[xX][0-9A-Fa-f]{1,6});"
    r"|(?P<opening>!?\[)(?=[^\[\]\n]{1,300}\]\((?P<target>[^()\s]{1,300})\))"
    r"|\]\((?P<address>[^()\s]{1,300})\)"
)
_ADDRESS = re.compile(r"[a-z]{1,9}:|[\w~-]*[./#]")
# What decorates text in languages but English, whose rules know more of symbols.
_DECORATION = re.compile(
    r"(?P<marks>[*_~|]+)|'{2,}|={3,}|\A(?:#{1,6}|>+)(?= )|\\(?=[^\w\s])"
    r"|<(?=/?[A-Za-z])|(?<=[A-Za-z/'\"])>|(?<=\s)#{1,6}(?=\s|\Z)"
)
_FIRST_IDEOGRAPH = "\u3000"
_IN_ADDRESS = re.compile(r"@|://|(?<!\w)www\.")


@dataclass(frozen=True, slots=True)
class CleanText:
    """Tidied text; character ``i`` of it was written as ``source[starts[i]:ends[i]]``.

    ``starts`` and ``ends`` never decrease. ``dropped`` counts the characters left out.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    dropped: Mapping[str, int]

    def without(self, spans: Sequence[tuple[int, int]]) -> CleanText:
        """The text less these spans of it, given in order. Words on either side stay apart."""
        if not spans:
            return self
        chars: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        dropped = Counter(self.dropped)
        position = 0

        def keep(char: str, i: int) -> None:
            chars.append(char)
            starts.append(self.starts[i])
            ends.append(self.ends[i])

        for first, last in [*spans, (len(self.text), len(self.text))]:
            if chars and first > position and chars[-1].isalnum() and self.text[position].isalnum():
                keep(" ", position - 1)
            for i in range(position, first):
                if self.text[i] != " " or (chars and chars[-1] != " "):
                    keep(self.text[i], i)
            dropped.update(self.text[first:last])
            position = last
        return CleanText("".join(chars), starts, ends, dropped)


def clean(source: str, *, english: bool) -> CleanText:
    """Tidies ``source``; in English also unfolds digits and letters in other guises. Never raises.

    Whitespace becomes single spaces, and none at the start. Takes linear time.
    """
    if "&" in source or "](" in source:
        plain, starts, ends, marks = _without_markup(source)
        if len(plain) < len(source):
            found = _tidied(plain, english=english)
            return CleanText(
                found.text,
                [starts[start] for start in found.starts],
                [ends[end - 1] for end in found.ends],
                dict(Counter(found.dropped) + marks),
            )
    return _tidied(source, english=english)


def _without_markup(source: str) -> tuple[str, list[int], list[int], Counter[str]]:
    """``source`` without entities and links: its characters, where each begins and ends, and what
    marks were left out. Of an address only these count as such."""
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    marks: Counter[str] = Counter()
    position = 0
    for match in _MARKUP.finditer(source):
        start, end = match.span()
        said = ""
        if match["entity"]:
            entity = f"&{match['entity']};"
            said = unescape(entity)
            if said == entity or len(said) > 2:
                continue
        elif not _ADDRESS.match(match["target"] or match["address"]):
            continue
        else:
            marks.update(char for char in match[0] if char in "![]()")
        chars += source[position:start] + said
        starts += [*range(position, start), *[start] * len(said)]
        ends += [*range(position + 1, start + 1), *[end] * len(said)]
        position = end
    chars += source[position:]
    starts += range(position, len(source))
    ends += range(position + 1, len(source) + 1)
    return "".join(chars), starts, ends, marks


def without_decorations(source: CleanText) -> CleanText:
    """Leaves out what Markdown and HTML decorate text with, in languages but English.

    "**Attention**" is Attention. A symbol between or before figures stays, and so do those of an
    address. Takes linear time.
    """
    text = source.text
    marks = [
        found
        for found in _DECORATION.finditer(text)
        if not (found["marks"] and _is_of_numbers(text, *found.span()))
    ]
    if marks and _IN_ADDRESS.search(text):
        addresses = [
            token.span() for token in re.finditer(r"\S+", text) if _IN_ADDRESS.search(token[0])
        ]
        within = {place for start, end in addresses for place in range(start, end)}
        marks = [found for found in marks if found.start() not in within]
    # With the accents on them, which would go to what stands before.
    spans = [(found.start(), _past_accents(text, found.end())) for found in marks]
    return source.without(spans)


def _past_accents(text: str, position: int) -> int:
    while unicodedata.category(text[position : position + 1] or " ")[0] == "M":
        position += 1
    return position


def _is_of_numbers(text: str, start: int, end: int) -> bool:
    """Whether marks belong to figures: "5 * 3", "~5", "3~5"."""
    if end - start > 1 or text[start] in "_|":
        return False
    if text[start] == "~" and text[max(0, start - 1) : start] >= _FIRST_IDEOGRAPH:
        return True  # it lengthens what is said
    follows = text[end : end + 2].lstrip(" ")[:1].isdigit()
    return follows and (
        text[start] == "~" or text[max(0, start - 2) : start].rstrip(" ")[-1:].isalnum()
    )


def _tidied(source: str, *, english: bool) -> CleanText:
    """Tidies text without markup."""
    if _TIDY.fullmatch(source):
        return CleanText(source, range(len(source)), range(1, len(source) + 1), {})
    chars: list[str] = []
    origins: list[int] = []
    dropped: Counter[str] = Counter()
    parted = False  # A pictograph was left out here.
    for i, char in enumerate(source):
        if char.isspace():
            if chars and chars[-1] != " ":
                chars.append(" ")
                origins.append(i)
            continue
        plain = char.isascii() and char.isalnum()
        spelling = char if plain else _spelling(source, i, english=english)
        if spelling is None:
            dropped[char] += 1
            parted = parted or unicodedata.category(char) in _PICTOGRAPHS
            continue
        if chars and _would_fuse(chars[-1], char, spelling, parted=parted):
            spelling = f" {spelling}"
        chars += spelling
        origins += [i] * len(spelling)
        parted = False
    return _composed("".join(chars), origins, dropped)


def _would_fuse(before: str, char: str, spelling: str, *, parted: bool) -> bool:
    """Whether two would run into one: "2½" is "2 1/2", and "hi🎉there" is two words."""
    if parted:
        return before.isalnum() and spelling[0].isalnum()
    number = unicodedata.category(char) == "No" and char != spelling
    return number and before.isdigit() and spelling[0].isdigit()


def _spelling(source: str, i: int, *, english: bool) -> str | None:
    """How the character at ``i`` is written in tidy text; None if it cannot be read."""
    char = source[i]
    if char in _JOINERS and not english:
        around = source[i - 1 : i] + source[i + 1 : i + 2]
        return char if len(_SPELT_WITH_JOINERS.findall(around)) == 2 else None
    if char == "º" and english and source[max(0, i - 1) : i].isdigit():
        return "°"
    composed = unicodedata.normalize("NFC", char)
    spellings = [_readable(part, english=english) for part in composed]
    return None if None in spellings else "".join(filter(None, spellings))


def _readable(char: str, *, english: bool) -> str | None:
    if char in _TYPOGRAPHY:
        return _TYPOGRAPHY[char]
    if english and (unfolded := _unfolded(char)) is not None:
        return unfolded
    if char in _SYMBOLS_KEPT:
        return char
    unreadable = unicodedata.category(char) in _UNREADABLE or _INVISIBLE.match(char)
    return None if unreadable and char != "^" else char


def _unfolded(char: str) -> str | None:
    """ASCII for what English writes in other characters; None for everything else."""
    if char in _ENGLISH_TYPOGRAPHY:
        return _ENGLISH_TYPOGRAPHY[char]
    if _COMPATIBLE.match(char):
        plain = unicodedata.normalize("NFKC", char)
        return plain if plain != char else None
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(char) == "No" and "\u2044" in (
        plain := unicodedata.normalize("NFKC", char)
    ):
        return plain.replace("\u2044", "/")
    return None


def _composed(text: str, origins: Sequence[int], dropped: Counter[str]) -> CleanText:
    """NFC of ``text``. Characters composed from several span all of them."""
    ends = [origin + 1 for origin in origins]
    if unicodedata.is_normalized("NFC", text):
        return CleanText(text, origins, ends, dropped)
    parts: list[str] = []
    new_starts: list[int] = []
    new_ends: list[int] = []
    for first, last in _clusters(text):
        kept = min(last, first + 1 + _MOST_MARKS)
        dropped.update(text[kept:last])
        part = unicodedata.normalize("NFC", text[first:kept])
        parts.append(part)
        if len(part) == last - first:
            new_starts += origins[first:last]
            new_ends += ends[first:last]
        else:
            new_starts += [origins[first]] * len(part)
            new_ends += [ends[last - 1]] * len(part)
    return CleanText("".join(parts), new_starts, new_ends, dropped)


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Spans of characters that NFC may compose: a base and its marks; whitespace stands alone."""
    first = 0
    for i in range(1, len(text)):
        joins = unicodedata.category(text[i])[0] == "M" or _JAMO.match(text[i])
        if not joins or text[first].isspace():
            yield first, i
            first = i
    if text:
        yield first, len(text)
