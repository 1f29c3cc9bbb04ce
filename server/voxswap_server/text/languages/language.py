"""What a table of a language holds, and how it counts: words of numbers, forms of nouns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Final, NamedTuple

from voxswap_server.text.english.rules.rule import Rule
from voxswap_server.text.languages import numerals


class Noun(NamedTuple):
    """What is counted. ``forms`` are as many as the language tells apart; see `Language.count`."""

    forms: tuple[str, ...]
    gender: str = ""


@cache
def noun(written: str) -> Noun:
    """A noun as tables have it: "f:секунда|секунды|секунд"."""
    gender, _, forms = written.rpartition(":")
    return Noun(tuple(forms.split("|")), gender)


class Amount(NamedTuple):
    """A number as it was written: its digits, those behind the decimal mark, and that mark."""

    integer: str
    decimals: str = ""
    mark: str = ""

    @property
    def size(self) -> tuple[int, str]:
        """Orders integers of any length without making them numbers."""
        digits = self.integer.lstrip("0")
        return len(digits), digits

    @property
    def is_one(self) -> bool:
        """Whether it takes the singular everywhere."""
        return self.integer == "1" and not self.decimals


_NEXT_WORD: Final = re.compile(r" ([^\W\d_]+)")


def next_word(match: re.Match[str]) -> str:
    """The word behind a match, or nothing."""
    found = _NEXT_WORD.match(match.string, match.end())
    return found[1] if found else ""


Plural = Callable[[Amount], int]


def singular_for_one(amount: Amount) -> int:
    """One Kilometer, all else many."""
    return 0 if amount.is_one else 1


def singular_below_two(amount: Amount) -> int:
    """As French and Portuguese count: 1,5 kilomètre."""
    return 0 if amount.integer.lstrip("0") in ("", "1") else 1


def always_singular(amount: Amount) -> int:
    """As Turkish counts."""
    del amount
    return 0


def east_slavic(amount: Amount) -> int:
    """One, few, many; a fraction has its own form, or that of few: 3,5 километра."""
    if amount.decimals:
        return 3
    last, teen = amount.integer[-1], amount.integer[-2:-1] == "1"
    if last == "1" and not teen:
        return 0
    return 1 if last in "234" and not teen else 2


def polish(amount: Amount) -> int:
    """As `east_slavic`, but 21 are many."""
    found = east_slavic(amount)
    return 2 if found == 0 and not amount.is_one else found


def czech(amount: Amount) -> int:
    """Few are 2, 3 and 4 alone."""
    if amount.decimals:
        return 3
    return 0 if amount.is_one else 1 if amount.integer in ("2", "3", "4") else 2


Decimals = Callable[["Language", Amount], str]


def decimals_as_number(language: Language, amount: Amount) -> str:
    """ "trois virgule zéro cinq": zeros one by one, then a number; digits if there are many."""
    digits = amount.decimals
    rest = digits.lstrip("0")
    zeros = language.spell(digits[: len(digits) - len(rest)])
    said = language.spell(rest) if len(rest) > 3 else language.cardinal(rest) if rest else ""
    words = (language.whole(amount.integer), language.mark(amount), zeros, said)
    return " ".join(filter(None, words))


def decimals_one_by_one(language: Language, amount: Amount) -> str:
    """ "drei Komma eins vier"."""
    whole = language.whole(amount.integer)
    return f"{whole} {language.mark(amount)} {language.spell(amount.decimals)}"


@dataclass(frozen=True)
class Language:
    """A language's table.

    Nouns are as `noun` takes them; blanks part the spellings of a unit. ``forms`` tells for an
    amount which of a noun's forms it takes. ``agreement`` has for each gender patterns in the words
    of a number, and what they are before such a noun. ``gender_before`` guesses a gender from the
    number and the word behind it. ``cents`` joins the parts of money: {whole}, {cents}, {cent}.
    ``day`` and ``clock`` say a day of the month and a time of day; they get what stands before it,
    in lower case. ``in_range`` says the numbers of a range, and ``between`` is what stands before
    the first, as in "от десяти до двадцати". ``numbered`` is a pattern of ordinals' endings and
    what says one. ``labels`` stand before numbers. ``scales``
    follow a number, and money follows them. ``only_joined`` are units that are words where a blank
    parts them from their number. ``mend`` has what num2words spells wrongly. ``rules`` are tried
    before all others.
    """

    locale: str
    minus: str
    plus: str
    comma: str
    dot: str
    to: str
    ratio: str
    over: str
    times: str
    equals: str
    per: str
    months: tuple[str, ...]
    units: Mapping[str, str]
    currencies: Mapping[str, str]
    symbols: Mapping[str, str]
    labels: Mapping[str, str]
    halves: Mapping[str, str]
    scales: tuple[str, ...]
    other_months: tuple[str, ...] = ()
    only_joined: frozenset[str] = frozenset()
    dotted_dates: bool = False
    years_in_hundreds: bool = False
    clock_words: str = ""
    clock_before: str = ""
    date: str = "{day} {month} {year}"
    cents: str = "{whole} {cents}"
    forms: Plural = singular_for_one
    decimals: Decimals = decimals_as_number
    agreement: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    gender_before: Callable[[str, str], str] = lambda digits, word: ""
    day: Callable[[Language, int, str], str] = lambda language, day, before: language.words(day)
    year: Callable[[Language, int], str] = lambda language, year: language.words(year)
    clock: Callable[[Language, int, int, str], str] = lambda language, hour, minute, before: (
        language.time(hour, minute, "")
    )
    between: str = ""
    in_range: Callable[[Language, Amount], str] = lambda language, amount: language.amount(amount)
    numbered: tuple[str, Callable[[Language, int, re.Match[str]], str | None]] | None = None
    mend: tuple[tuple[str, str], ...] = ()
    rules: Callable[[Language], tuple[Rule, ...]] = lambda language: ()

    def __hash__(self) -> int:
        return id(self)

    def words(self, value: int) -> str:
        """A number in words, as it is counted."""
        words = numerals.cardinal(self.locale, value)
        for pattern, replacement in self.mend:
            words = re.sub(pattern, replacement, words)
        return words.strip()

    def cardinal(self, digits: str) -> str:
        """Digits as a quantity, or one by one if they are too many for one."""
        if len(digits) > numerals.MOST_DIGITS:
            return self.spell(digits)
        return self.words(int(digits))

    def whole(self, digits: str) -> str:
        """Digits as a quantity, or one by one where they are a name: "007"."""
        if len(digits) > 1 and digits[0] == "0":
            return self.spell(digits)
        return self.cardinal(digits)

    def spell(self, digits: str) -> str:
        """Digits one by one."""
        return " ".join(self._digits[int(digit)] for digit in digits)

    @cached_property
    def _digits(self) -> tuple[str, ...]:
        return tuple(self.words(digit) for digit in range(10))

    def mark(self, amount: Amount) -> str:
        """The decimal mark in words."""
        return self.dot if amount.mark == "." else self.comma

    def amount(self, amount: Amount, gender: str = "") -> str:
        """A number in words, as it stands before a noun of that gender."""
        if amount.decimals:
            return self.decimals(self, amount)
        words = self.whole(amount.integer)
        for pattern, replacement in self.agreement.get(gender, ()):
            words = re.sub(pattern, replacement, words)
        return words

    def form(self, what: Noun, amount: Amount) -> str:
        """The noun as it stands after an amount."""
        index = self.forms(amount)
        if index >= len(what.forms):
            # A fraction is as few are; what has one form has it always.
            index = min(len(what.forms) - 1, 1 if index == 3 else index)
        return what.forms[index]

    def count(self, what: Noun, amount: Amount) -> str:
        """ "two kilometers"."""
        return f"{self.amount(amount, what.gender)} {self.form(what, amount)}"

    def range(self, first: Amount, last: Amount, before: str) -> str:
        """From one number to another; a score, if the second is less. ``before`` is in front."""
        if not self.between:
            return f"{self.amount(first)} {self.to} {self.in_range(self, last)}"
        if first.size >= last.size:
            return f"{self.amount(first)} {self.amount(last)}"
        said = f"{self.in_range(self, first)} {self.to} {self.in_range(self, last)}"
        told = before.endswith(f"{self.between} ")
        return said if told else f"{self.between} {said}"

    def time(self, hour: int, minute: int, joint: str) -> str:
        """Hour and minute as two numbers, with ``joint`` between them."""
        if not minute:
            return f"{self.words(hour)} {joint}".strip()
        minutes = self.words(minute) if minute > 9 else f"{self.words(0)} {self.words(minute)}"
        return " ".join(filter(None, (self.words(hour), joint, minutes)))


SIGNS: Final = {"-": "minus", "+": "plus"}
