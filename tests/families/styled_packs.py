"""Manifests of the 54 style packs on one base, and a summary of each: made up, but for digests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tests.fakes.manifests import make_manifest
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.pack_prosody import PACK_PROSODY
from voxswap_registry.manifest import Component, Manifest

DIGESTS = list(PACK_PROSODY)


def pack(name: str, digest: str, *, language: str = "en", base: str = "base") -> Manifest:
    found = make_manifest(name, base=(base, 10))
    style = Component("style", digest, 10, "x/y")
    return dataclasses.replace(
        found, engine="kokoro", components=(*found.components, style), language=language
    )


VOICES = [pack(f"kokoro/{n}", digest) for n, digest in enumerate(DIGESTS)]
SUMMARIES: Mapping[str, tuple[float, ...]] = {
    digest: tuple(np.random.default_rng(n).normal(0, 0.2, kokoro.STYLE_SIZE))
    for n, digest in enumerate(DIGESTS)
}
