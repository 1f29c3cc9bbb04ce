"""How JSON becomes frozen dataclasses: pydantic reads their annotations, this maps its errors.

A record is a frozen dataclass under `@record`; the annotation of a field says its type, what it may
hold (`fields`) and what it is for. Nothing is converted but what JSON cannot tell: lists become
tuples. pydantic is imported when the first record is read.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from voxswap_registry.errors import FieldViolation, ManifestError
from voxswap_registry.fields import BROKEN_RULE, STRICT
from voxswap_registry.json_reader import read_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails

_MOST_FAULTS: Final = 16  # that are told
_MOST_SHOWN: Final = 60  # characters of what others wrote that are repeated for one fault

_T = TypeVar("_T")

_KINDS: Final[Mapping[str, str]] = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "an object",
    "dataclass_type": "an object",
}
_TYPES: Final[Mapping[type, str]] = {
    type(None): "null",
    str: "a text",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def record(
    *, may_lack: Collection[str] = (), closed: bool = False
) -> Callable[[type[_T]], type[_T]]:
    """Marks a frozen dataclass as what JSON is read into.

    JSON has all of its fields, whether Python gives them a default or not, but for those that it
    ``may_lack``: what is younger than the first records. What it has besides is passed over, or
    refused where the record is ``closed``.
    """

    def get_schema(_: type, source: Any, handler: Any) -> Any:
        schema = handler(source)
        for field in handler.resolve_ref_schema(schema)["schema"]["fields"]:
            if field["schema"]["type"] == "default" and field["name"] not in may_lack:
                field["schema"] = field["schema"]["schema"]
        return schema

    def marked(kind: type[_T]) -> type[_T]:
        # Instances are looked at too: a program may have made them of anything.
        kind.__pydantic_config__ = {  # type: ignore[attr-defined]
            **STRICT,
            "revalidate_instances": "always",
            "extra": "forbid" if closed else "ignore",
        }
        kind.__get_pydantic_core_schema__ = classmethod(get_schema)  # type: ignore[attr-defined]
        return kind

    return marked


class Record(Generic[_T]):
    """The one way in which records of a kind are read and checked. Thread-safe; never blocks."""

    def __init__(
        self,
        kind: type[_T],
        *,
        limit_bytes: int,
        remedy: str,
        schema_version: int | None = None,
        most_entries: int | None = None,
    ) -> None:
        """``remedy`` ends the message of a record that is refused; no list of one has more than
        ``most_entries``.

        With a ``schema_version``, any other is refused before all else.
        """
        self._kind = kind
        self._limit_bytes = limit_bytes
        self._most_entries = most_entries
        self._remedy = remedy
        self._schema_version = schema_version
        self._building = threading.Lock()

    @cached_property
    def adapter(self) -> TypeAdapter[_T]:
        """pydantic's reader, built when first asked for: that takes milliseconds."""
        from pydantic import TypeAdapter

        with self._building:
            return TypeAdapter(self._kind)

    def read(self, data: bytes, *, where: str) -> _T:
        """The record of ``data``; ``where`` names it in errors.

        Raises `ManifestError` with every field that is at fault.
        """
        raw = read_json(
            data, where=where, limit_bytes=self._limit_bytes, most_entries=self._most_entries
        )
        if self._schema_version is not None:
            self._check_schema(raw.get("schema_version"), where)
        return self.parse(data, where=where)

    def parse(self, data: bytes, *, where: str) -> _T:
        """The same, of what `read_json` has taken."""
        from pydantic import ValidationError

        try:
            # Read once more, for lists are tuples to pydantic in JSON and not in Python.
            return self.adapter.validate_json(data)
        except ValidationError as error:
            # pydantic's own message repeats what others wrote.
            raise self.error(violations(error), where=where) from None

    def faults(self, value: _T) -> tuple[FieldViolation, ...]:
        """What is wrong with the fields of ``value``, however it came about."""
        from pydantic import ValidationError

        try:
            self.adapter.validate_python(value)
        except ValidationError as error:
            return violations(error)
        return ()

    def json_schema(self) -> dict[str, Any]:
        """The JSON schema (2020-12) of what is read."""
        dialect = "https://json-schema.org/draft/2020-12/schema"
        return {"$schema": dialect, **self.adapter.json_schema()}

    def error(self, faults: Sequence[FieldViolation], *, where: str) -> ManifestError:
        """The error that tells these faults."""
        told = "; ".join(f"{fault.field} {fault.description}" for fault in faults)
        return ManifestError(f"{where}: {told}. {self._remedy}", faults)

    def _check_schema(self, found: object, where: str) -> None:
        if type(found) is not int or found != self._schema_version:
            description = (
                f"{shown(found)} is not known here (this build reads {self._schema_version}); use "
                "the voxswap that wrote it"
            )
            raise ManifestError(
                f"{where}: schema_version {description}",
                [FieldViolation("schema_version", description)],
            )


def canonical_json(value: object) -> bytes:
    """The one JSON form of a record: sorted keys, UTF-8, a newline at the end.

    Fields of dataclasses that are None are left out.
    """
    text = json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, indent=1)
    return text.encode() + b"\n"


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: _plain(inner) for name, inner in fields if inner is not None}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def violations(error: ValidationError) -> tuple[FieldViolation, ...]:
    """What pydantic found, field by field; of a field the first, and of very many fields some."""
    found: dict[str, FieldViolation] = {}
    for fault in error.errors(include_url=False):
        *path, last = fault["loc"] or ("",)
        of_key = last == "[key]"
        field = _path(path[:-1] if of_key else [*path, last])
        told = _described(fault)
        found.setdefault(field, FieldViolation(field, f"has a key that {told}" if of_key else told))
        if len(found) == _MOST_FAULTS:
            break
    return tuple(found.values())


def _path(places: Sequence[int | str]) -> str:
    told = ""
    for place in places:
        if isinstance(place, int):
            told += f"[{place}]"
        else:
            name = place[:32] if place.isprintable() else f"{place!a:.32}"
            told += f".{name}" if told else name
    return told


def _described(fault: ErrorDetails) -> str:
    kind, message, value = fault["type"], fault["msg"], fault["input"]
    if kind == "missing":
        return "is missing; add it"
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return "is not known here; leave it out"
    if kind == "too_long":
        return f"has too many entries; {fault['ctx']['max_length']} at most are taken"
    if kind == "too_short":
        return f"has too few entries; write {fault['ctx']['min_length']} or more"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}, found {_TYPES.get(type(value)) or shown(value)}"
    if kind == BROKEN_RULE:
        return f"is {shown(value)}; {message}"
    return f"is {shown(value)}; {message[:1].lower()}{message[1:200]}"


def shown(value: object) -> str:
    """A stranger's value, short enough for a message."""
    if isinstance(value, int) and value.bit_length() > 64:  # Printing it may take long, or fail.
        return f"a number of {value.bit_length()} bits"
    return _TYPES[type(value)] if isinstance(value, list | dict) else f"{value!r:.{_MOST_SHOWN}}"
