"""The families that are installed, each by its entry point."""

from __future__ import annotations

from collections.abc import Mapping

from voxswap_families.contract import Engine, EngineContext, Fabricator, Family
from voxswap_registry.families import installed


def families() -> Mapping[str, Family]:
    """By the name that manifests have as their ``engine``, in order."""
    return installed()


def make_engines(context: EngineContext) -> dict[str, Engine]:
    """Those of all families, by name."""
    return {name: family.engine(context) for name, family in families().items()}


def fabricators() -> dict[str, Fabricator]:
    """Those of all families, by name; a family may be older than they are."""
    found: dict[str, Fabricator] = {}
    for family in families().values():
        found.update(getattr(family, "fabricators", {}))
    return dict(sorted(found.items()))
