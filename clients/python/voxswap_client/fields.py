"""Faults of requests that are found before anything is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from voxswap_client.errors import InvalidRequestError, Violation


@contextlib.contextmanager
def fitting(what: str = "") -> Iterator[None]:
    """A value that does not fit its field leaves the block as `InvalidRequestError`.

    ``what`` is said to be at fault, where the error itself does not say it.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        told = f"{what}: {error}" if what else str(error)
        raise InvalidRequestError(f"the request cannot be sent: {told}") from error


def invalid(field: str, description: str) -> InvalidRequestError:
    """The error for one field."""
    return InvalidRequestError(
        f"the request cannot be sent: {field} {description}",
        violations=[Violation(field, description)],
    )


def words(values: Iterable[str], field: str) -> list[str]:
    """A list of texts. Raises `InvalidRequestError` for a single one, whose letters are no list."""
    if isinstance(values, str):
        raise invalid(field, f"is the text {values!r}; give a list of texts")
    return list(values)
