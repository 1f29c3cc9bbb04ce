"""Messages that are none of their method's: the caller's fault, though grpc takes it for ours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from voxswap_registry.errors import InvalidInputError

_LOGGER = logging.getLogger(__name__)

Deserializer = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Stands for a message that is none of its method's.

    grpc takes what a deserializer raises for the server's fault: UNKNOWN, and a traceback for six
    bytes of a stranger's.
    """

    expected: str

    def error(self) -> InvalidInputError:
        """What the caller is told."""
        return InvalidInputError.one(
            "message",
            f"is no {self.expected}: it was cut or damaged, or is meant for another method or "
            "service",
        )


def marking(deserializer: Deserializer | None, observe: Callable[[], object]) -> Deserializer:
    """``deserializer``, but what it does not take becomes `Undecodable`, and ``observe`` hears."""
    if deserializer is None:
        return lambda data: data
    kind = getattr(deserializer, "__self__", None)
    expected = getattr(getattr(kind, "DESCRIPTOR", None), "full_name", "message of this method")

    def decode(data: bytes) -> Any:
        try:
            return deserializer(data)
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of foreign bytes
            _LOGGER.debug("%d bytes are no %s: %s", len(data), expected, error)
            observe()
            return Undecodable(expected)

    return decode
