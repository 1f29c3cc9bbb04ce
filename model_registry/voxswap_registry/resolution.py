"""Which version a voice reference means: numbers, labels, and traffic splits that keep sessions."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Mapping

from voxswap_registry.errors import VoiceNotFoundError
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import STABLE, VoiceRecord, version_not_found

# For who names no session: each request is drawn anew.
_draw = random.SystemRandom().random


def chosen_version(
    record: VoiceRecord,
    ref: VoiceRef,
    *,
    session_id: str = "",
    draw: Callable[[], float] = _draw,
) -> int:
    """The version of ``record`` that ``ref`` means.

    A number means itself and a label what it names. A bare id means its traffic split; without a
    split, the version labelled ``stable``; without that label, the newest. ``draw`` gives a number
    in [0, 1) for those who have no session. Raises `VoiceNotFoundError`.
    """
    if ref.version is not None:
        if ref.version not in record.versions:
            raise version_not_found(record, ref.version)
        return ref.version
    labels = record.state.labels
    if ref.label is not None:
        if ref.label not in labels:
            known = ", ".join(f"@{label}" for label in sorted(labels)) or "none"
            raise VoiceNotFoundError(
                f"the voice {record.voice_id!r} has no label {ref.label!r}; it has {known}",
                metadata={"voice": record.voice_id, "label": ref.label},
            )
        return _present(record, labels[ref.label])
    if record.state.traffic:
        key = f"{record.voice_id}\0{session_id}" if session_id else ""
        return _present(record, share_of(record.state.traffic, key, draw))
    if STABLE in labels:
        return _present(record, labels[STABLE])
    return record.versions[-1]


def share_of(traffic: Mapping[int, int], key: str, draw: Callable[[], float]) -> int:
    """The version that ``key`` falls to, in proportion to the weights; any if it is empty.

    Weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables",
    2005): the version with the highest -weight / ln(u), u uniform by hashing key and version. Where
    weights change, sessions move only towards versions that gained; the others stay where they are.
    """
    if not key:
        point = draw() * sum(traffic.values())
        for version, weight in sorted(traffic.items()):
            point -= weight
            if point < 0:
                return version
        return max(traffic)

    def score(version: int) -> float:
        digest = hashlib.sha256(f"{key}\0{version}".encode()).digest()
        uniform = (int.from_bytes(digest[:6]) + 0.5) / (1 << 48)  # Exact, so never 0 or 1.
        return -traffic[version] / math.log(uniform)

    return max(traffic, key=score)


def _present(record: VoiceRecord, version: int) -> int:
    """A label or split may name a version whose manifest somebody removed by hand."""
    if version not in record.versions:
        raise version_not_found(record, version)
    return version
