"""Faults of requests that are found before anything is sent, for both clients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from voxswap_client.errors import InvalidRequestError, Violation


@contextlib.contextmanager
def fitting() -> Iterator[None]:
    """A value that does not fit its field leaves the block as `InvalidRequestError`."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"the request cannot be sent: {error}") from error


def invalid(field: str, description: str) -> InvalidRequestError:
    """The error for one field."""
    return InvalidRequestError(
        f"the request cannot be sent: {field} {description}",
        violations=[Violation(field, description)],
    )
