"""What a field of a record may hold: annotations that pydantic reads, each with its remedy.

They stand in ``Annotated[...]`` beside a type. What breaks one is told as "is …; " and the remedy.
pydantic asks them for their schemas; nothing of it is imported before that.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

BROKEN_RULE: Final = "broken_rule"
# Nothing is converted: neither true nor 1.0 nor "1" is a whole number.
STRICT: Final[Any] = {"strict": True, "allow_inf_nan": False}

# Left to right and back: a terminal would show the rest of its line otherwise than it is.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_K = TypeVar("_K")
_V = TypeVar("_V")


def _ruled(schema: Any, remedy: str) -> Any:
    from pydantic_core import core_schema

    return core_schema.custom_error_schema(schema, BROKEN_RULE, custom_error_message=remedy)


def _lengths(least: int, most: int | None) -> dict[str, int]:
    found = {"min_length": least or None, "max_length": most}
    return {name: length for name, length in found.items() if length is not None}


@dataclass(frozen=True, slots=True)
class Doc:
    """What a field is for, in the published schema."""

    text: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """For pydantic."""
        return {**handler(schema), "description": self.text}


@dataclass(frozen=True, slots=True)
class Between:
    """A number of the annotated type, from ``least`` to ``most``, if there is a most."""

    least: float
    most: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic."""
        least, most = (f"{n:g}" if isinstance(n, float) else n for n in (self.least, self.most))
        schema = {**handler(source), "ge": self.least}
        if self.most is None:
            return _ruled(schema, f"use {least} or more")
        return _ruled({**schema, "le": self.most}, f"use {least} to {most}")


@dataclass(frozen=True, slots=True)
class Form:
    """A text that matches ``pattern`` as a whole."""

    pattern: str
    remedy: str
    most_characters: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic."""
        pattern = f"^(?:{self.pattern})$"
        bounds = _lengths(0, self.most_characters)
        return _ruled({**handler(source), **bounds, "pattern": pattern}, self.remedy)


@dataclass(frozen=True, slots=True)
class Holds:
    """A text of which ``holds`` is true."""

    holds: Callable[[str], bool]
    remedy: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic."""
        from pydantic_core import core_schema

        checked = core_schema.no_info_after_validator_function(self._checked, handler(source))
        return _ruled(checked, self.remedy)

    def _checked(self, text: str) -> str:
        if not self.holds(text):
            raise ValueError(self.remedy)
        return text


@dataclass(frozen=True, slots=True)
class Line:
    """A text of one line, as `is_line` has it."""

    most_characters: int
    least_characters: int = 0

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic."""
        bounds = _lengths(self.least_characters, self.most_characters)
        rule = Holds(
            lambda text: is_line(text, self.most_characters),
            f"write one line of {self.least_characters} to {self.most_characters} characters, "
            "without control characters",
        )
        return rule.__get_pydantic_core_schema__(source, lambda _: {**handler(source), **bounds})


@dataclass(frozen=True, slots=True)
class Length:
    """A list or an object of ``least`` to ``most`` entries, if there is a most."""

    least: int
    most: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic."""
        return {**handler(source), **_lengths(self.least, self.most)}


@dataclass(frozen=True, slots=True)
class Entries:
    """An object with some of these keys and no other, each with the type of its value."""

    types: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic."""
        from pydantic_core import core_schema

        entries = core_schema.typed_dict_schema(
            {
                name: core_schema.typed_dict_field(handler.generate_schema(kind), required=False)
                for name, kind in self.types.items()
            },
            extra_behavior="forbid",
            config=STRICT,
        )
        # What is frozen already is no dict.
        thawed = core_schema.no_info_before_validator_function(_thawed, entries)
        return core_schema.json_or_python_schema(entries, thawed)


@dataclass(frozen=True, slots=True)
class ReadAs:
    """What JSON tells as ``kind``, and ``convert`` makes the annotated type of, or a ValueError."""

    kind: Any
    convert: Callable[[Any], Any]
    remedy: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic."""
        from pydantic_core import core_schema

        read = handler.generate_schema(self.kind)
        converted = core_schema.no_info_after_validator_function(self.convert, read)
        return _ruled(converted, self.remedy)


def _thawed(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value


class Absent:
    """JSON leaves the field out where Python has None: null is none of its values."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic."""
        from pydantic_core import core_schema

        optional = handler(source)
        return core_schema.json_or_python_schema(optional["schema"], optional)


class _Frozen:
    """What is read cannot be changed."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """For pydantic."""
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(MappingProxyType, handler(source))


FROZEN: Final = _Frozen()
FrozenMapping = Annotated[Mapping[_K, _V], FROZEN]


def is_line(text: str, limit: int) -> bool:
    """Whether ``text`` is one line of at most ``limit`` characters that a terminal shows as it is.

    Spaces of any width and what joins letters are text.
    """
    return len(text) <= limit and (text.isprintable() or all(map(_is_shown, text)))


def _is_shown(character: str) -> bool:
    controls = unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
    return character == "\t" or not (controls or character in _TURNING)
