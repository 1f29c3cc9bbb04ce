"""Style packs, tarballs as npm makes them, and a small base to publish them on."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.families.kokoro_fakes import write_kokoro
from voxswap_families.importing.source import SourceFile
from voxswap_families.kokoro import embedded, pack_files, pack_voices
from voxswap_families.kokoro.importer import base_bytes
from voxswap_families.kokoro.packs import PACK_BYTES
from voxswap_families.packages import PinnedFile
from voxswap_registry.digests import Digests

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "package/voices"


def pack(value: float) -> bytes:
    """A style pack whose numbers are all ``value``."""
    return np.full(PACK_BYTES // 4, value, "<f4").tobytes()


#: By the names of real ones.
CONTENTS: Mapping[str, bytes] = {
    name: pack(0.01 * place)
    for place, name in enumerate(
        ("af_heart", "af_nicole", "bf_emma", "ef_dora", "jf_alpha", "zf_xiaoxiao", "zm_yunxi")
    )
}


def write_tarball(
    path: Path, contents: Mapping[str, bytes], *others: tarfile.TarInfo, folder: str = FOLDER
) -> Path:
    """A tarball like npm's, of packs by their names and of ``others``, which are empty."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{folder}/{name}.bin")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for other in others:
            archive.addfile(other)
    return path


def write_packs(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """A folder of packs."""
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / f"{name}.bin").write_bytes(content)
    return folder


def know_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust `CONTENTS` for as long as a test lasts, and nothing else."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENTS.items()}
    for module in (pack_files, pack_voices):
        monkeypatch.setattr(module, "PACKS", digests)


def ship_small_base(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have packages ship a small base in two pieces; the folder where they are installed."""
    source = write_kokoro(folder / "source")
    whole = (source / "kokoro.onnx").read_bytes()
    files = []
    site = folder / "site"
    for i, content in enumerate((whole[:700], whole[700:])):
        package = site / f"voxswap_small_base_{i}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise AssertionError('was run')")
        (package / "part.bin").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(PinnedFile(package.name, "1.0", "part.bin", digest))
    monkeypatch.syspath_prepend(site)
    base = base_bytes(SourceFile(source / "kokoro.onnx", bytearray(whole), ""))
    digests = Digests()
    digests.update(base)
    for name, value in {
        "_MODEL": tuple(files),
        "GRAPH": digests.digest,
        "_GRAPH_BLAKE3": digests.blake3,
        "_GRAPH_BYTES": len(base),
    }.items():
        monkeypatch.setattr(embedded, name, value)
    monkeypatch.setattr(pack_voices, "GRAPH", digests.digest)
    return site


def real_tarball(folder: Path) -> Path:
    """That of kokoro-js, by npm. Skips where there is none, but never in CI."""
    path = folder / "kokoro-js.tgz"
    if shutil.which("npm") is None and not os.environ.get("VOXSWAP_CI"):
        pytest.skip("needs npm, which fetches the style packs (apt-get install npm)")
    script = ROOT / "scripts" / "kokoro-packs"
    done = subprocess.run(  # noqa: S603
        [sys.executable, script, path], capture_output=True, text=True, check=False
    )
    if not path.exists():
        assert not os.environ.get("VOXSWAP_CI"), done.stderr
        pytest.skip(f"the style packs cannot be fetched: {done.stderr.splitlines()[-1]}")
    return path
