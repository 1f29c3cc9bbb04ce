"""Numbers, money, units, ranges, fractions and digits, by the table of a language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from voxswap_server.text.english.rules.rule import Rule, after, any_of, before
from voxswap_server.text.languages.language import SIGNS, Amount, Language, Noun, next_word, noun

VULGAR: Final = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}

_MOST_GROUPS: Final = 5
_TO: Final = r" ?- ?"


def _grouped(separator: str, least: int = 1) -> str:
    return rf"[1-9]\d{{0,2}}(?>(?:{separator}\d{{3}}){{{least},{_MOST_GROUPS - 1}}})(?!\d)"


INTEGER: Final = rf"(?:{_grouped('[.]')}|{_grouped(' ')}|{_grouped(chr(39))}|\d++)"
#: Decimal commas; a point where it can be no thousands. English thousands if there are several.
NUMBER: Final = (
    rf"(?:{_grouped(',')}\.\d++(?![.,]?\d)|{_grouped(',', 2)}(?!,\d)"
    rf"|(?:{_grouped('[.]')}|{_grouped(' ')}|{_grouped(chr(39))}),\d++(?!,?\d)"
    rf"|{_grouped('[.]')}(?![.]\d)|{_grouped(' ')}|{_grouped(chr(39))}"
    r"|\d++[.,]\d++(?![.,]\d)|\d++)"
)


def parse(text: str) -> Amount:
    """What `NUMBER` matched."""
    plain = text.replace(" ", "").replace("'", "")
    comma, dot = plain.count(","), plain.count(".")
    if comma > 1 or (comma and dot and plain.index(",") < plain.index(".")):
        integer, _, decimals = plain.replace(",", "").partition(".")
        return Amount(integer, decimals, "," if decimals else "")
    if comma:
        integer, _, decimals = plain.partition(",")
        return Amount(integer.replace(".", ""), decimals, ",")
    first, *rest = plain.split(".")
    if rest and first[0] != "0" and len(first) <= 3 and all(len(part) == 3 for part in rest):
        return Amount("".join((first, *rest)))
    return Amount(first, rest[0], ".") if rest else Amount(first)


def spellings(table: Mapping[str, str]) -> dict[str, str]:
    """A table of units with a row for each spelling."""
    return {spelling: said for written, said in table.items() for spelling in written.split()}


def signed(language: Language, sign: str | None, words: str) -> str:
    """``words`` with what ``sign`` is called in front."""
    return f"{getattr(language, SIGNS[sign])} {words}" if sign else words


def currency_pattern(language: Language) -> str:
    """What stands for money before a number or behind it."""
    return any_of(spellings(language.currencies))


def amount_rules(language: Language) -> tuple[Rule, ...]:
    """The rules of everything that is counted or measured, in the order in which they are tried."""
    return (
        *_money_rules(language),
        _units_rule(language),
        *_digits_rules(language),
        *_ordinal_rules(language),
        *_combined_rules(language),
        _plain_rule(language),
    )


def _rule(pattern: str, read: Callable[[re.Match[str]], str | None]) -> Rule:
    return Rule(re.compile(pattern), read)


def _money_rules(language: Language) -> Iterable[Rule]:
    table = spellings(language.currencies)
    pattern = any_of(table)

    def read(match: re.Match[str]) -> str:
        first = parse(match["amount"])
        whole, _, cent = table[match["currency"]].partition(";")
        if match["last"]:
            last = parse(match["last"])
            words = language.range(first, last, before(match, 8).lower())
            words += f" {language.form(noun(whole), last)}"
        elif cent and len(first.decimals) == 2:
            words = _with_cents(language, first, noun(whole), noun(cent))
        else:
            words = language.count(noun(whole), first)
        if match["per"] or match["slash"]:
            per = f" {noun(units[match['per']]).forms[0]}" if match["per"] else ""
            words += f" {language.per}{per}"
        return signed(language, match["sign"], words)

    units = spellings(language.units)
    per = rf"(?:/(?P<per>{any_of(units)})(?!\w)|(?P<slash>/(?=[^\W\d_])))?"
    sign, last = "(?P<sign>[+-])?", rf"(?:{_TO}(?P<last>{NUMBER}))?"
    currency = rf"(?P<currency>{pattern})"
    million = any_of(language.scales)
    yield _rule(rf"{sign}{currency} ?(?P<amount>{NUMBER}){last}(?! ?{million}){per}", read)
    yield _rule(rf"{sign}(?P<amount>{NUMBER}){last} ?{currency}(?!\w){per}", read)
    if scales := [scale for scale in language.scales if scale in units]:

        def scaled(match: re.Match[str]) -> str:
            words = language.count(noun(units[match["scale"]]), parse(match["amount"]))
            whole = table[match["currency"]].partition(";")[0]
            many = language.form(noun(whole), Amount("5"))
            return signed(language, match["sign"], f"{words} {many}")

        scale = rf"(?P<scale>{any_of(scales)})"
        yield _rule(rf"{sign}(?P<amount>{NUMBER}) ?{scale} ?{currency}(?!\w)", scaled)


def _with_cents(language: Language, amount: Amount, whole: Noun, cent: Noun) -> str:
    cents = Amount(amount.decimals.lstrip("0") or "0")
    integer = Amount(amount.integer)
    if cents.integer == "0":
        return language.count(whole, integer)
    if not integer.integer.strip("0"):
        return language.count(cent, cents)
    return language.cents.format(
        whole=language.count(whole, integer),
        cents=language.amount(cents, cent.gender),
        cent=language.form(cent, cents),
    )


def _units_rule(language: Language) -> Rule:
    table = spellings(language.units)

    def read(match: re.Match[str]) -> str | None:
        unit = match["unit"]
        alone = match["space"] and after(match, 2).lstrip(" ")[:1].isalnum()
        if alone and unit in language.only_joined:
            return None
        amount = parse(match["amount"])
        if match["last"]:
            last = parse(match["last"])
            words = language.range(amount, last, before(match, 8).lower())
            words += f" {language.form(noun(table[unit]), last)}"
        else:
            words = language.count(noun(table[unit]), amount)
        if match["per"]:
            words += f" {language.per} {noun(table[match['per']]).forms[0]}"
        return signed(language, match["sign"], words)

    units = any_of(table)
    return _rule(
        rf"(?P<sign>[+-])?(?P<amount>{NUMBER})(?:(?: ?{units})?{_TO}(?P<last>{NUMBER}))?"
        r"(?P<space> ?)"
        rf"(?P<unit>{units})(?![\w²³])(?:/(?P<per>{units})(?!\w))?",
        read,
    )


def _digits_rules(language: Language) -> Iterable[Rule]:
    """Telephone numbers, versions, addresses of computers: digits that count nothing."""

    def groups(match: re.Match[str]) -> str | None:
        said = [language.spell(group) for group in re.findall(r"\d+", match[0])]
        if sum(map(str.isdigit, match[0])) < 7:
            return None
        return signed(language, "+" if match[0][0] == "+" else None, ", ".join(said))

    def dotted(match: re.Match[str]) -> str | None:
        parts = match[0].split(".")
        if _are_thousands(parts):
            return None
        return f" {language.dot} ".join(map(language.whole, parts))

    def listed(match: re.Match[str]) -> str | None:
        parts = match[0].split(",")
        if _are_thousands(parts):
            return None
        return ", ".join(map(language.whole, parts))

    yield _rule(r"\+\d{1,3}(?:[ ./-]?\(?\d{1,9}\)?){1,6}(?!\d)", groups)

    def spaced(match: re.Match[str]) -> str | None:
        first, *rest = match[0].split(" ")
        if all(len(part) == 3 for part in rest) or not any(
            len(part) > 2 for part in (first, *rest)
        ):
            return None
        return groups(match)

    yield _rule(r"\d{1,3} ?\(\d{2,5}\) ?\d{1,4}(?:[ -]\d{2,4}){1,3}(?!\d)", groups)
    yield _rule(r"[1-9]\d{0,2}(?: \d{2,4}){2,5}(?! ?\d)", spaced)
    yield _rule(r"0\d{1,5}(?:[ ./-]\d{2,9}){1,5}(?!\d)", groups)
    yield _rule(r"\d{2,4}-\d{4}(?![\d-])|\d++(?>(?:-\d++){2,})", groups)
    yield _rule(r"\d++(?>(?:\.\d++){2,})", dotted)
    yield _rule(r"\d++(?>(?:,\d++){2,})(?![.]\d)", listed)


def _are_thousands(parts: list[str]) -> bool:
    if len(parts) > _MOST_GROUPS or parts[0][0] == "0" or len(parts[0]) > 3:
        return False
    return all(len(part) == 3 for part in parts[1:])


def _ordinal_rules(language: Language) -> Iterable[Rule]:
    if language.numbered:
        ending, read = language.numbered

        def ordinal(match: re.Match[str]) -> str | None:
            return read(language, int(match["number"]), match)

        def ranged(match: re.Match[str]) -> str | None:
            first, last = (read(language, int(match[name]), match) for name in ("first", "last"))
            return f"{first} {language.to} {last}" if first and last else None

        if ending.startswith(r"\."):
            day = r"[1-9]\d{0,2}"
            yield _rule(rf"(?P<first>{day})\. ?- ?(?P<last>{day})\.(?= [^\W\d_])", ranged)
        yield _rule(rf"(?P<number>[1-9]\d{{0,3}})(?:{ending})", ordinal)


def _combined_rules(language: Language) -> Iterable[Rule]:
    units = spellings(language.units)

    def joined(word: str) -> Callable[[re.Match[str]], str]:
        return lambda match: f" {word} ".replace("  ", " ").join(
            language.amount(parse(number)) for number in re.findall(NUMBER, match[0])
        )

    def dimensions(match: re.Match[str]) -> str:
        said = f" {language.times} ".join(
            language.amount(parse(number)) for number in re.findall(NUMBER, match["sides"])
        )
        if not match["unit"]:
            return said
        last = parse(re.findall(NUMBER, match["sides"])[-1])
        return f"{said} {language.form(noun(units[match['unit']]), last)}"

    def mixed(whole: str, part: str, words: str) -> str:
        rest = language.halves.get(f"+{part}", words)
        if rest.startswith("-"):  # one word: eineinhalb
            return language.amount(Amount(whole), "m") + rest[1:]
        return f"{language.whole(whole)} {rest}"

    def measured(words: str, match: re.Match[str]) -> str:
        if not match["unit"]:
            return words
        unit = noun(units[match["unit"]])
        amount = Amount(match["whole"] or "0", "5", ",")
        if match["whole"] or language.forms(amount) > 1:
            return f"{words} {language.form(unit, amount)}"
        return f"{words} {unit.forms[0]}"

    def fraction(match: re.Match[str]) -> str:
        words = language.halves.get(match["fraction"])
        if match["fraction"] == "24/7":
            return f"{language.whole('24')} {language.whole('7')}"
        if words is None or _counts_pages(match):
            first, last = match["fraction"].split("/")
            words = f"{language.whole(first)} {language.over} {language.whole(last)}"
        if match["whole"]:
            words = mixed(match["whole"], match["fraction"], words)
        return signed(language, match["sign"], measured(words, match))

    def ranged(match: re.Match[str]) -> str:
        first, last = match["first"], match["last"]
        if after(match, 2).lstrip()[:1] == "=":
            said = f" {language.minus} ".join(
                language.amount(parse(part)) for part in (first, last)
            )
        elif language.between:
            said = language.range(parse(first), parse(last), before(match, 8).lower())
        else:
            descends = parse(first).size > parse(last).size
            word = language.ratio if descends else language.to  # else a score
            said = f" {word} ".replace("  ", " ").join(
                _plain(language, part, match) for part in (first, last)
            )
        return signed(language, match["sign"], said)

    def vulgar(match: re.Match[str]) -> str:
        fraction = VULGAR[match["fraction"]]
        if not match["whole"]:
            return measured(language.halves[fraction], match)
        return measured(mixed(match["whole"], fraction, language.halves[fraction]), match)

    unit = rf"(?: ?(?P<unit>{any_of(units)})(?![\w²³/]))?"
    one = f"[{''.join(VULGAR)}]"
    yield _rule(rf"(?:(?P<whole>\d{{1,4}}) ?)?(?P<fraction>{one}){unit}", vulgar)
    yield _rule(
        rf"(?P<sides>{NUMBER}(?>(?: ?[x×] ?{NUMBER})+)){unit}",
        dimensions,
    )
    yield _rule(rf"{NUMBER}(?>(?: \* {NUMBER})+)", joined(language.times))
    yield _rule(
        r"(?P<sign>[+-])?(?:(?P<whole>\d{1,4}) )?(?P<fraction>\d{1,3}/\d{1,3})(?![\d/])" + unit,
        fraction,
    )
    yield _rule(r"\d{1,3}:\d{1,3}(?![\d:])", joined(language.ratio))
    yield _rule(rf"(?P<sign>[+-])?(?P<first>{NUMBER}){_TO}(?P<last>{NUMBER})(?![\w-])", ranged)


_LABEL: Final = re.compile(r"[^\W\d_]\w{3,20} \Z")


def _counts_pages(match: re.Match[str]) -> bool:
    """Whether a fraction is a place among so many: "Seite 1/3", and not "Nimm 1/3 Tasse"."""
    label = _LABEL.search(before(match, 22))
    named = label and label[0][0].isupper() and not (match["whole"] or match["unit"])
    return bool(named) and not after(match, 2)[1:].isalpha()


def _plain_rule(language: Language) -> Rule:
    def read(match: re.Match[str]) -> str:
        return signed(language, match["sign"], _plain(language, match["amount"], match))

    return _rule(rf"(?P<sign>[+-])?(?P<amount>{NUMBER})", read)


def _plain(language: Language, written: str, match: re.Match[str]) -> str:
    """A number that stands by itself or before a noun."""
    amount = parse(written)
    if before(match, 1).isalpha() and len(amount.integer) > 3:
        return language.spell(amount.integer) if not amount.decimals else language.amount(amount)
    if language.years_in_hundreds and re.fullmatch(r"1[1-9]\d\d", written):
        return language.year(language, int(written))
    follows = next_word(match)
    gender = language.gender_before(amount.integer, follows) if follows else ""
    return language.amount(amount, gender)
