"""Other protocols' names for what is asked, where they have no word for what is not built yet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from voxswap_registry.errors import FieldViolation, InvalidInputError, NotBuiltError
from voxswap_server.doors import fields as any_doors


@contextlib.contextmanager
def named(fields: Mapping[str, str]) -> Iterator[None]:
    """Faults of ``fields``, by our names, are those of theirs. Raises `InvalidInputError`."""
    try:
        with any_doors.named(fields):
            yield
    except NotBuiltError as error:
        # Their clients try again what a server says that it failed at.
        told = "is not carried out by this server yet; leave it out"
        raise InvalidInputError([FieldViolation(v.field, told) for v in error.violations]) from None
