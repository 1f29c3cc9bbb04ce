"""Other protocols' names for what is asked: faults are told in the words of whoever sent them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from voxswap_registry.errors import FieldViolation, InvalidInputError, NotBuiltError


@contextlib.contextmanager
def named(fields: Mapping[str, str]) -> Iterator[None]:
    """Faults of ``fields``, by our names, are those of theirs.

    Raises `InvalidInputError` and `NotBuiltError` as they were, but for the names.
    """
    try:
        yield
    except InvalidInputError as error:
        told = error.copy()  # others may be told of the same one
        told.violations = tuple(_renamed(error.violations, fields))
        told.message = "; ".join(f"{v.field}: {v.description}" for v in told.violations)
        told.args = (told.message,)
        raise told from None
    except NotBuiltError as error:
        violations = _renamed(error.violations, fields)
        names = ", ".join(violation.field for violation in violations)
        raise NotBuiltError(
            f"this server does not carry out {names} as asked yet", violations
        ) from None


def _renamed(
    violations: Sequence[FieldViolation], fields: Mapping[str, str]
) -> list[FieldViolation]:
    return [FieldViolation(_name(v.field, fields), v.description) for v in violations]


def _name(field: str, fields: Mapping[str, str]) -> str:
    """Theirs; of one of several, ``emotion.mixture[0].weight``, that of all of them."""
    return fields.get(field) or fields.get(field.partition("[")[0], field)
