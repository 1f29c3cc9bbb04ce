"""Manifests and voices for the tests of the Kokoro engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np

from tests.fakes.manifests import make_manifest
from tests.families.files import assembled, read
from tests.families.kokoro_fakes import Edit, fake_model
from voxswap_families.importing.source import SourceFile
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.engine import KokoroEngine, KokoroVoice
from voxswap_families.kokoro.importer import base_bytes
from voxswap_families.onnx_graphs.check import parse_graph
from voxswap_registry.manifest import Audio, Component, Manifest


def manifest_of(paths: Mapping[str, Path]) -> Manifest:
    """A Kokoro voice whose components are these files, and a table that nobody reads."""
    components = [
        Component(
            role, f"sha256:{sha256(path.read_bytes()).hexdigest()}", path.stat().st_size, "x/y"
        )
        for role, path in paths.items()
    ]
    components.append(Component("symbols", f"sha256:{0:064}", 100, "x/y"))
    return dataclasses.replace(
        make_manifest(),
        engine=kokoro.ENGINE,
        components=tuple(components),
        audio=Audio(kokoro.SAMPLE_RATE_HERTZ, kokoro.HOP_LENGTH_SAMPLES),
    )


def write_fake(folder: Path, edit: Edit | None = None, *, after: Edit | None = None) -> Manifest:
    """The components of the small model; row ``i`` of the style is ``i / 1000`` throughout.

    ``edit`` changes the model before it is imported, ``after`` the base that came of it.
    """
    model = SourceFile(folder / "x.onnx", bytearray(fake_model(edit).SerializeToString()), "")
    base = base_bytes(model)
    if after is not None:
        proto = parse_graph(base)
        after(proto)
        base = proto.SerializeToString()
    rows, width = kokoro.STYLE_SHAPE
    vectors = np.repeat(
        np.arange(rows, dtype=np.float32)[:, None] / np.float32(1000), width, axis=1
    )
    (folder / "base").write_bytes(base)
    (folder / "style").write_bytes(kokoro.style_to_bytes(vectors))
    return manifest_of({role: folder / role for role in ("base", "style")})


def load(engine: KokoroEngine, manifest: Manifest, paths: Mapping[str, Path]) -> KokoroVoice:
    """A voice as residency makes it."""
    parts = {role: read(engine, manifest, role, path).place() for role, path in paths.items()}
    voice = assembled(engine, manifest, **parts)
    assert isinstance(voice, KokoroVoice)
    return voice
