"""Other protocols' names for what is asked: faults are told in the words of whoever sent them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from voxswap_registry.errors import FieldViolation, InvalidInputError, NotBuiltError


@contextlib.contextmanager
def named(fields: Mapping[str, str]) -> Iterator[None]:
    """Faults of ``fields``, by our names, are those of theirs. Raises `InvalidInputError`."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(_renamed(error.violations, fields)) from None
    except NotBuiltError as error:
        # Their clients try again what a server says that it failed at.
        told = "is not carried out by this server yet; leave it out"
        violations = [FieldViolation(v.field, told) for v in error.violations]
        raise InvalidInputError(_renamed(violations, fields)) from None


def _renamed(
    violations: Iterable[FieldViolation], fields: Mapping[str, str]
) -> list[FieldViolation]:
    return [FieldViolation(fields.get(v.field, v.field), v.description) for v in violations]
