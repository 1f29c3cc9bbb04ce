"""Traffic splits as people write and read them: ``7=90 8=10``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from voxswap_client.types import TrafficShare, Voice


def share(text: str) -> TrafficShare:
    """Read ``7=90``: version 7 with the weight 90. Raises `ArgumentTypeError`."""
    version, equals, weight = text.partition("=")
    if not equals or not all(part.isascii() and part.isdecimal() for part in (version, weight)):
        raise argparse.ArgumentTypeError(f"{text!r} is not VERSION=WEIGHT, such as 7=90")
    return TrafficShare(int(version), int(weight))


def split(shares: Sequence[TrafficShare]) -> str:
    """Such as ``7=90 8=10``; empty without a split."""
    return " ".join(f"{share.version}={share.weight}" for share in shares)


def percentages(versions: Sequence[Voice]) -> dict[int, str]:
    """What part of a bare id's traffic each version gets, of one voice's versions.

    Without a split the version labelled "stable" has it all, or else the newest.
    """
    if not versions:
        return {}
    shares = versions[0].traffic
    if not shares:
        stable = [voice.version for voice in versions if "stable" in voice.labels]
        return {max(stable or [voice.version for voice in versions]): "100"}
    total = sum(share.weight for share in shares)
    return {share.version: f"{100 * share.weight / total:.4g}" for share in shares}
