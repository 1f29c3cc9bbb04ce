"""Scripts: CSV or JSONL becomes lines to render, and all of their faults are told at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, cast

from voxswap_client.audio_file import container, encoding_of
from voxswap_client.emotions import emotion_in
from voxswap_client.errors import InvalidRequestError
from voxswap_client.render.names import TakenNames, file_name
from voxswap_client.render.records import Faults, Record, csv_records, decoded, json_records
from voxswap_client.request import CONTROLS, FEELINGS, SpeechOptions, build_request
from voxswap_client.types import EmotionFallback, Encoding

REQUIRED = ("voice", "text")
COLUMNS = (
    *REQUIRED,
    *("id", "speaker", "seed", *CONTROLS, *FEELINGS, "intensity"),
    *("encoding", "format", "sample_rate", "loudness"),
)
LOUDNESS_LUFS = (-70.0, 0.0)
ENCODINGS = tuple(str(e) for e in Encoding if e is not Encoding.OPUS_PACKETS)
_NUMBER_DIGITS = 6  # of the names that lines without an id get
_WHOLE = ("seed", "sample_rate")


@dataclass(frozen=True, slots=True)
class Line:
    """A line to render. ``number`` is where it begins in the script; ``file`` is below the folder.

    ``options`` are what the client takes, the encoding always among them.
    """

    number: int
    id: str
    file: str
    voice: str
    text: str
    options: SpeechOptions
    loudness_lufs: float | None = None

    @property
    def encoding(self) -> Encoding:
        """What the file's audio is to be."""
        return Encoding(self.options["encoding"] or Encoding.WAV)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for lines that do not say it themselves."""

    encoding: str | None = None
    sample_rate_hertz: int | None = None
    loudness_lufs: float | None = None


@dataclass(slots=True)
class Script:
    """The lines of a script, and its faults. With any fault nothing of it should be rendered."""

    lines: list[Line] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)


def read_script(file: IO[bytes], defaults: Defaults) -> Script:
    """Read all of ``file``. JSONL begins with a brace; anything else is CSV with a header.

    Raises `OSError`.
    """
    script = Script()
    texts = decoded(file, script.faults)
    blank = 0
    for first in texts:
        if first.strip():
            break
        blank += 1
    else:
        first = ""
    if first.lstrip().startswith("{"):
        records = json_records(first, texts, blank, COLUMNS, script.faults)
    else:
        records = csv_records(first, texts, blank, COLUMNS, REQUIRED, script.faults)
    _fill(script, records, defaults)
    if not script.lines and not script.faults.count:
        script.faults.add(0, "there are no lines in it")
    return script


def _fill(script: Script, records: Iterable[Record], defaults: Defaults) -> None:
    taken = TakenNames()
    for record in records:
        faults: list[str] = []
        line = _line(record, defaults, faults)
        if line is not None and not faults:
            other = taken.take(line.file, record.number)
            if other is not None:
                faults.append(f"id: {line.id!r} names the file {line.file}, as line {other} does")
        for fault in faults:
            script.faults.add(record.number, fault)
        if line is not None and not faults:
            script.lines.append(line)


def _line(record: Record, defaults: Defaults, faults: list[str]) -> Line | None:
    given = {name: value for name, value in record.fields.items() if not _is_absent(value)}
    named = (*REQUIRED, "id", "speaker", *FEELINGS)
    texts = {name: _text(given, name, faults) for name in named}
    faults.extend(f"{name} is empty" for name in REQUIRED if not texts[name] and name not in given)
    encoding = _encoding(given, faults)
    numbers = {
        name: _number(name, given[name], faults)
        for name in (*_WHOLE, *CONTROLS, "intensity", "loudness")
        if name in given
    }
    loudness = numbers.pop("loudness", None)
    if loudness is None and "loudness" not in given:
        loudness = defaults.loudness_lufs
    if loudness is not None and not LOUDNESS_LUFS[0] <= loudness <= LOUDNESS_LUFS[1]:
        faults.append(
            f"loudness: {loudness:g} is not from {LOUDNESS_LUFS[0]:g} to {LOUDNESS_LUFS[1]:g} LUFS"
        )
    line_id = texts["id"] or f"{record.number:0{_NUMBER_DIGITS}}"
    encoding = encoding or defaults.encoding or encoding_of(line_id) or Encoding.WAV
    rate = numbers.pop("sample_rate", None) or defaults.sample_rate_hertz
    options: dict[str, Any] = {"encoding": Encoding(encoding)}
    options |= {name: texts[name] for name in ("speaker", *FEELINGS) if texts[name]}
    try:
        if texts["emotion"]:
            options["emotion"] = emotion_in(texts["emotion"])
            options.setdefault("fallback", EmotionFallback.PROSODY)  # as `voxswap say` asks
    except ValueError as error:
        faults.append(f"emotion: {error}")
    options |= {"sample_rate_hertz": rate} if rate else {}
    options |= {name: value for name, value in numbers.items() if value is not None}
    file = ""
    try:
        file = file_name(line_id, container(encoding).suffix)
    except ValueError as error:
        faults.append(f"id: {line_id!r} {error}")
    if faults:
        return None
    asked = cast("SpeechOptions", options)
    try:
        build_request(texts["voice"], texts["text"], **asked)
    except InvalidRequestError as error:
        faults.extend(f"{fault.field} {fault.description}" for fault in error.violations)
        return None
    return Line(record.number, line_id, file, texts["voice"], texts["text"], asked, loudness)


def _is_absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _text(given: Mapping[str, object], name: str, faults: list[str]) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        faults.append(f"{name}: {value!r} is no text")
        return ""
    return value if name == "text" else value.strip()


def _encoding(given: Mapping[str, object], faults: list[str]) -> str | None:
    names = [name for name in ("encoding", "format") if name in given]
    if len(names) > 1:
        faults.append("encoding and format mean the same; give one of them")
    if not names:
        return None
    value = _text(given, names[0], faults).lower()
    if value in ENCODINGS:
        return value
    if value:
        faults.append(f"{names[0]}: {value!r} is none of {', '.join(ENCODINGS)}")
    return None


def _number(name: str, value: object, faults: list[str]) -> Any:
    whole = name in _WHOLE
    try:
        if isinstance(value, str):
            number: int | float = int(value) if whole else float(value)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        else:
            number = int(value) if whole and value == int(value) else value
        if not math.isfinite(number) or (whole and not isinstance(number, int)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        faults.append(f"{name}: {value!r} is no {'whole number' if whole else 'number'}")
        return None
    return number if whole else float(number)
