"""Makes up voices with random weights, of whatever family: for tests, and benches under load."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from voxswap_families.contract import Size
from voxswap_families.register import fabricators
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.os_errors import as_registry_errors

_MOST_SEED = 2**63 - 1


def fabricate(kind: str, folder: Path, *, seed: int, size: str) -> None:
    """Fill ``folder``, which is empty or not there yet, with what the family publishes.

    ``size`` is a `contract.Size`. The same kind, seed and size give the same bytes. Whatever is
    imported of it is marked as made up, and servers refuse it unless they are told not to. Blocks,
    for seconds. Raises `InvalidInputError`, and `RegistryError` if the disk refuses.
    """
    known = fabricators()
    if kind not in known:
        raise InvalidInputError.one("kind", f"is {kind!r:.60}; choose one of {', '.join(known)}")
    if size not in get_args(Size):
        raise InvalidInputError.one("size", f"is {size!r:.60}; choose 'tiny' or 'real'")
    if not 0 <= seed <= _MOST_SEED:
        raise InvalidInputError.one("seed", f"is {seed}; choose one from 0 to {_MOST_SEED}")
    with as_registry_errors("write into", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidInputError.one("folder", f"{folder} is not empty; name another one")
    known[kind].write(folder, seed, cast("Size", size))
