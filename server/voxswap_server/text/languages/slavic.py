"""What Russian and Ukrainian share: decimals as tenths, hundredths and thousandths."""

from __future__ import annotations

from typing import NamedTuple

from voxswap_server.text.languages.language import Amount, Decimals, Language, east_slavic


class Parts(NamedTuple):
    """Names of a whole and of its tenths, hundredths and thousandths, one and many of each."""

    wholes: tuple[str, str]
    parts: tuple[tuple[str, str], ...]


def decimals_as_parts(names: Parts) -> Decimals:
    """ "три целых четырнадцать сотых"; digits behind a comma where there are many."""

    def said(language: Language, amount: Amount) -> str:
        digits = amount.decimals
        if amount.mark == "." or len(digits) > len(names.parts):
            whole = language.whole(amount.integer)
            return f"{whole} {language.mark(amount)} {language.spell(digits)}"
        return " ".join(
            f"{language.amount(part, 'f')} {name[min(1, east_slavic(part))]}"
            for part, name in (
                (Amount(amount.integer), names.wholes),
                (Amount(digits.lstrip("0") or "0"), names.parts[len(digits) - 1]),
            )
        )

    return said
