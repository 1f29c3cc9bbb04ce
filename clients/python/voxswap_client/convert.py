"""Protobuf answers become the client's own values here, for both clients.

A field of a value is read from the field of the same name, as its type says, but for `_OTHERWISE`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from voxswap.v1 import residency_pb2
from voxswap_client.errors import VoxswapClientError
from voxswap_client.residency_types import Ledger, ResidencyEvent, ResidencyEventKind, Tier
from voxswap_client.types import (
    EmotionFallback,
    Expression,
    Header,
    PresetDelivery,
    Provenance,
    Voice,
)

_V = TypeVar("_V")
_E = TypeVar("_E", bound=StrEnum)
_Read = Callable[[Any], Any]  # gives one field's value, of a message


def value(kind: Callable[..., _V], wire: Any) -> _V:
    """The message ``wire`` as a value of the dataclass ``kind``.

    Raises `VoxswapClientError` for a member of an enumeration that this client does not know.
    """
    return kind(**{name: read(wire) for name, read in _fields(kind)})


def event(wire: residency_pb2.WatchResponse) -> ResidencyEvent | None:
    """One event; None for one of a kind that this client does not know."""
    return value(ResidencyEvent, wire) if wire.kind in _KNOWN_KINDS else None


_KNOWN_KINDS = frozenset(
    residency_pb2.ResidencyEventKind.Value(f"RESIDENCY_EVENT_KIND_{kind.name}")
    for kind in ResidencyEventKind
)


def _timestamp(name: str, wire: Any) -> datetime | None:
    return getattr(wire, name).ToDatetime(tzinfo=UTC) if wire.HasField(name) else None


def _member(kind: type[_E], name: str, wire: Any) -> _E:
    known = wire.DESCRIPTOR.fields_by_name[name].enum_type.values_by_number
    # Every value of a protobuf enum begins with the enum's name.
    prefix = known[0].name.removesuffix("UNSPECIFIED")
    number = getattr(wire, name)
    told = known[number].name.removeprefix(prefix) if number in known else str(number)
    try:
        return kind[told]
    except KeyError as error:
        raise VoxswapClientError(
            f"the server answered with {prefix}{told}, which this client does not know; install "
            "the voxswap client of the server's version"
        ) from error


def _pairs(wire: Iterable[Any]) -> dict[str, Any]:
    """What each name stands for: messages with a name first, and a number."""
    found: list[list[Any]]
    found = [[getattr(pair, field.name) for field in pair.DESCRIPTOR.fields] for pair in wire]
    return dict(found)


def _expression(wire: Any) -> Expression | None:
    """None of a server that does not tell."""
    return _member(Expression, "expression", wire) if wire.expression else None


def _delivery(wire: Any) -> PresetDelivery | None:
    """None of a voice that is no preset."""
    if not wire.HasField("delivery"):
        return None
    told = wire.delivery
    fallback = _member(EmotionFallback, "fallback", told) if told.fallback else None
    numbers = dict(told.emotions), told.intensity, dict(told.controls)
    return PresetDelivery(*numbers, told.style_prompt, fallback)


_OTHERWISE: Mapping[tuple[type, str], _Read] = {
    (Voice, "speakers"): lambda wire: tuple(
        s.name for s in sorted(wire.speakers, key=lambda speaker: speaker.index)
    ),
    (Voice, "expression"): _expression,
    (Voice, "delivery"): _delivery,
    (Header, "expression"): _expression,
    (Provenance, "created"): partial(_timestamp, "create_time"),
    (ResidencyEvent, "time"): partial(_timestamp, "event_time"),
    # Older servers know one tier and no target.
    (Ledger, "target_bytes"): lambda wire: wire.target_bytes or wire.budget_bytes,
    (Ledger, "tier"): lambda wire: _member(Tier, "tier", wire) if wire.tier else Tier.DEVICE,
}


@cache
def _fields(kind: Any) -> tuple[tuple[str, _Read], ...]:
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return tuple(
        (name, _OTHERWISE.get((kind, name)) or _reader(name, hints[name])) for name in names
    )


def _reader(name: str, hint: Any) -> _Read:
    if hint == datetime | None:
        return partial(_timestamp, name)
    if get_origin(hint) is Mapping:
        return lambda wire: _pairs(getattr(wire, name))
    if get_origin(hint) is tuple:
        (item, _) = get_args(hint)
        if _is_value(item):
            return lambda wire: tuple(value(item, each) for each in getattr(wire, name))
        return lambda wire: tuple(getattr(wire, name))
    if _is_value(hint):
        return lambda wire: value(hint, getattr(wire, name))
    if issubclass(hint, StrEnum):
        return partial(_member, hint, name)
    return lambda wire: getattr(wire, name)


def _is_value(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint)
