"""An engine of a family that is none, for loaders: it reads bytes and says nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tests.server.fakes import FakePart, FakeVoice, characters
from voxswap_families import reading
from voxswap_families.contract import DevicePart, HostPart, LoadedVoice, PartSpec
from voxswap_registry.manifest import Manifest
from voxswap_registry.storage.verified import VerifiedFile

SYMBOLS = b'{"layout": "blanks", "symbols": {"a": [1]}}'


class FakeEngine:
    name = "fake"

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.host_bytes = 0

    def check(self, manifest: Manifest) -> None:
        pass

    def parts(self, manifest: Manifest) -> Sequence[PartSpec]:
        component = manifest.component("model")
        model = PartSpec("model", str(manifest.engine_config), component.size_bytes)
        return model, reading.part(manifest)

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        return round(1000 * largest_chunk_s)

    def pace(self, manifest: Manifest) -> None:
        return None

    def warm_up(self) -> None:
        pass

    def read(self, manifest: Manifest, role: str, file: VerifiedFile) -> HostPart:
        if role == "symbols":
            return reading.read(manifest, file, characters)
        self.reads.append(role)
        return FakeHostPart(file.read_bytes(), self.host_bytes)

    def assemble(self, manifest: Manifest, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        assert set(parts) == {"model", "symbols"}
        return LoadedVoice(manifest.ref, FakeVoice(), reading.front_end_of(manifest, parts))


@dataclasses.dataclass
class FakeHostPart:
    data: bytes
    host_bytes: int
    placed: int = 0

    def place(self) -> FakePart:
        self.placed += 1
        return FakePart(len(self.data))
