"""From a manifest to a voice that can speak: verify every component, then hand them to an engine.

This is the slow half of a swap; the `ModelManager` runs it on its loading threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, Protocol

from voxswap_registry.components import Components
from voxswap_registry.errors import EngineError, ManifestError
from voxswap_registry.manifest import Manifest
from voxswap_server.engines.base import Engine, Voice
from voxswap_server.text.frontends import FrontEndChoice, make_front_end
from voxswap_server.text.symbols import MAX_TABLE_BYTES, SymbolTable
from voxswap_server.text.types import FrontEnd


@dataclass(frozen=True, slots=True)
class LoadedVoice:
    """A voice on the device and the front-end that feeds it. Shared by manifests of one load key.

    ``ref`` is the version that it was first loaded for.
    """

    ref: str
    voice: Voice
    front_end: FrontEnd

    @property
    def resident_bytes(self) -> int:
        """Measured bytes on the device."""
        return self.voice.resident_bytes


class Loader(Protocol):
    """What the `ModelManager` needs of whoever loads."""

    def key(self, manifest: Manifest) -> str:
        """What a load depends on: manifests with one key share one resident voice."""
        ...

    def footprint_bytes(self, manifest: Manifest) -> int:
        """An upper bound of the resident bytes; never blocks. Raises `EngineError`."""
        ...

    def load(self, manifest: Manifest, cancelled: Callable[[], bool]) -> LoadedVoice:
        """Blocks. Stops early, with any exception, once ``cancelled()`` is true."""
        ...


class VoiceLoader:
    """Loads from a registry with the engines at hand. Thread-safe."""

    def __init__(
        self, components: Components, engines: Mapping[str, Engine], *, front_end: FrontEndChoice
    ) -> None:
        self._components = components
        self._engines = engines
        self._front_end = front_end

    def key(self, manifest: Manifest) -> str:
        """A hash over the engine, its configuration, the components and the front-end."""
        facts: list[Any] = [
            manifest.engine,
            dict(manifest.engine_config),
            [(component.role, component.digest) for component in manifest.components],
            manifest.front_end.kind,
            dict(manifest.front_end.options),
            manifest.language,
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def footprint_bytes(self, manifest: Manifest) -> int:
        """The engine's upper bound."""
        return self._engine(manifest).footprint_bytes(manifest)

    def check(self, manifest: Manifest) -> None:
        """Raise `EngineError` or `ManifestError` if ``manifest`` could never be loaded here.

        Reads no component and never blocks.
        """
        _check_symbols(manifest)
        self._engine(manifest).check(manifest)

    def load(self, manifest: Manifest, cancelled: Callable[[], bool]) -> LoadedVoice:
        """Check every digest, build the front-end, take the weights up. Blocks on disk.

        ``cancelled`` is asked at each block of bytes and before each stage; once it is true,
        `concurrent.futures.CancelledError` is raised.
        """
        engine = self._engine(manifest)
        _check_symbols(manifest)
        with contextlib.ExitStack() as held:
            paths = {
                component.role: held.enter_context(
                    self._components.hold(component, cancelled=cancelled)
                )
                for component in manifest.components
            }
            _refuse_cancelled(manifest, cancelled)
            # Not too large: its size was checked, and found to be the file's.
            table = SymbolTable.from_json(paths["symbols"].read_bytes())
            front_end = make_front_end(
                manifest.front_end.kind,
                manifest.front_end.options,
                table,
                manifest.language,
                prefer=self._front_end,
            )
            _refuse_cancelled(manifest, cancelled)
            # What it maps stays mapped, even if the cache drops the file later.
            return LoadedVoice(manifest.ref, engine.load(manifest, paths), front_end)

    def _engine(self, manifest: Manifest) -> Engine:
        engine = self._engines.get(manifest.engine)
        if engine is None:
            raise EngineError(
                f"{manifest.ref} needs the engine {manifest.engine!r}, and this server has "
                f"{', '.join(sorted(self._engines))}; serve it with a voxswap that has it"
            )
        return engine


def _check_symbols(manifest: Manifest) -> None:
    size_bytes = manifest.component("symbols").size_bytes
    if size_bytes > MAX_TABLE_BYTES:
        raise ManifestError(
            f"{manifest.ref}: the symbols component has {size_bytes} bytes, more than the "
            f"{MAX_TABLE_BYTES} that are read of a symbol table; publish the voice anew"
        )


def _refuse_cancelled(manifest: Manifest, cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise CancelledError(f"loading {manifest.ref}")
