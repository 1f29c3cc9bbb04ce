"""From the bytes of a script to records: names and values, with the line on which each begins."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

MAX_LINE_BYTES = 1 << 20
MAX_SHOWN = 20
_MAX_FAULT_CHARACTERS = 300
_BOMS_OF_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DELIMITERS = ",;\t"


class Record(NamedTuple):
    """One line of a script. Values of CSV are texts; those of JSON are what they are."""

    number: int
    fields: Mapping[str, object]


class Fault(NamedTuple):
    """What is wrong, and on which line; 0 is the script as a whole."""

    number: int
    message: str


@dataclass(slots=True)
class Faults:
    """All faults are counted, and the first of them are kept."""

    count: int = 0
    shown: list[Fault] = field(default_factory=list)

    def add(self, number: int, message: str) -> None:
        """One more."""
        self.count += 1
        if len(self.shown) < MAX_SHOWN:
            if len(message) > _MAX_FAULT_CHARACTERS:
                message = message[:_MAX_FAULT_CHARACTERS] + "…"
            self.shown.append(Fault(number, message))


def decoded(file: IO[bytes], faults: Faults) -> Iterator[str]:
    """The lines of ``file``, which is UTF-8. A line without end ends the script."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            if raw.startswith(_BOMS_OF_UTF16):
                faults.add(1, "the script is UTF-16; save it as UTF-8")
                return
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if len(raw) > MAX_LINE_BYTES:
            faults.add(number, f"is longer than {MAX_LINE_BYTES} bytes; what follows was not read")
            return
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            faults.add(number, f"byte {error.start + 1} is not UTF-8")
            text = raw.decode(errors="replace")
        yield text


def csv_records(
    header: str,
    rest: Iterator[str],
    blank: int,
    known: Sequence[str],
    required: Sequence[str],
    faults: Faults,
) -> Iterator[Record]:
    """The records of CSV whose first line is ``header``, after ``blank`` lines without anything.

    Columns are parted by whichever of comma, semicolon and tab the header has most of.
    """
    reader = csv.reader(
        itertools.chain([header] if header else [], rest),
        delimiter=max(_DELIMITERS, key=header.count),
        strict=True,
    )
    rows = _rows(reader, blank, faults)
    number, cells = next(rows, (1, []))
    if not cells:
        return
    names = [cell.strip().lower() for cell in cells]
    _check_header(names, number, known, faults)
    if missing := [name for name in required if name not in names]:
        told = " and ".join(f"the column {name}" for name in missing)
        faults.add(number, f"the header lacks {told}; the first line names the columns")
        return
    for number, cells in rows:
        if len(cells) > len(names):
            faults.add(
                number,
                f"has {len(cells)} cells where the header has {len(names)}; put text with a "
                'comma in "quotes"',
            )
            continue
        yield Record(number, dict(zip(names, cells, strict=False)))


def _rows(reader: Any, blank: int, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    while True:
        number = blank + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.add(number, f"is no CSV: {error}")
            continue
        if any(cells):
            yield number, cells


def _check_header(names: Sequence[str], number: int, known: Sequence[str], faults: Faults) -> None:
    for place, name in enumerate(names):
        if not name:
            faults.add(number, f"column {place + 1} has no name")
        elif name not in known:
            faults.add(number, _unknown(name, known))
        elif name in names[:place]:
            faults.add(number, f"there are two columns {name}")


def json_records(
    first: str, rest: Iterable[str], blank: int, known: Sequence[str], faults: Faults
) -> Iterator[Record]:
    """The records of JSONL: an object on each line. A field that is not known is told once."""
    told: set[str] = set()
    for number, text in enumerate(itertools.chain([first], rest), blank + 1):
        if not text.strip():
            continue
        try:
            found = json.loads(text, object_pairs_hook=_without_doubles)
        except (ValueError, RecursionError) as error:
            faults.add(number, f"is no JSON: {error}")
            continue
        if not isinstance(found, dict):
            faults.add(number, 'is no JSON object; write such as {"voice": …, "text": …}')
            continue
        for name in found.keys() - told - set(known):
            told.add(name)
            faults.add(number, _unknown(name, known))
        yield Record(number, found)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _unknown(name: str, known: Sequence[str]) -> str:
    return f"there is no column {name[:64]!r}; there are {', '.join(known)}"
