"""`voxswap voices add`: into a real registry folder, and to a real server."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.local_voices import SYMBOLS, WEIGHTS, draft
from tests.client.terminal import Capsys, unwrapped
from tests.families.pack_fakes import CONTENTS, know_fakes, pack, ship_small_base, write_packs
from tests.families.packable_voices import SMALL
from tests.families.vits_fakes import write_piper
from voxswap.v1 import voices_pb2
from voxswap_client.cli import main
from voxswap_client.cli.progress import ProgressBar
from voxswap_families import embedded
from voxswap_families.importing import detect
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_registry.upload import Upload

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands in for the importer; what it is called with must fit the real one's signature."""
    calls = []
    signature = inspect.signature(detect.import_voices)

    def import_voices(*args: Any, **options: Any) -> Iterator[VoiceDraft]:
        call = signature.bind(*args, **options).arguments
        call["progress"].start("read line.onnx", 4)
        call["progress"].advance(4)
        call["progress"].finish()
        calls.append(call)
        for voice_id in call["voices"].values():
            yield draft(call["workdir"], voice_id)

    monkeypatch.setattr(detect, "import_voices", import_voices)
    return calls


def add(*flags: str) -> int:
    return main(["voices", "add", "line.onnx", "--id", "npc/new", *flags])


@pytest.fixture(params=["folder", "server"])
def target(request: pytest.FixtureRequest, server: FakeServer) -> tuple[list[str], str]:
    """The flags that name either, and what it is called."""
    if request.param == "folder":
        return [], "var/registry"
    return ["--address", server.address], server.address


def test_add_imports_and_publishes(
    capsys: Capsys, imports: list[Any], target: tuple[list[str], str]
) -> None:
    flags, where = target
    assert add("--label", "canary", *flags) == 0
    out, err = capsys.readouterr()
    assert out == f"added npc/new@1 (9 B, labelled canary) to {where}\n"
    assert err.startswith("read line.onnx: 0%, 0 B of 4 B\nread line.onnx: 100%, 4 B of 4 B\n")
    assert not imports[0]["workdir"].exists()


def test_an_upload_shows_how_far_it_is(
    capsys: Capsys, imports: list[Any], server: FakeServer
) -> None:
    assert add("--address", server.address) == 0
    assert capsys.readouterr().err.splitlines()[2:] == [
        "uploading npc/new: 0%, 0 B of 9 B",
        "uploading npc/new: 77%, 7 B of 9 B",
        "uploading npc/new: 100%, 9 B of 9 B",
    ]


@pytest.mark.usefixtures("imports")
def test_add_of_the_same_voice(capsys: Capsys, target: tuple[list[str], str]) -> None:
    flags, where = target
    assert add(*flags) == 0
    capsys.readouterr()
    assert add(*flags) == 0
    out, err = capsys.readouterr()
    assert out == f"nothing to add: npc/new@1 at {where} is the same voice\n"
    assert "uploading" not in err
    assert add("--json", *flags) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["added"], document["unchanged"][0]["version"]) == ([], 1)


@pytest.mark.parametrize("knows_forms", [True, False])
def test_a_server_that_takes_packed_weights_for_plain_ones_is_told_of(
    capsys: Capsys, server: FakeServer, tmp_path: Path, knows_forms: bool
) -> None:
    server.knows_forms = knows_forms
    source = write_piper(tmp_path / "piper", SMALL)
    adding = ["voices", "add", str(source), "--id", "npc/wide", "--address", server.address]
    assert main([*adding, "--form", "packed"]) == (0 if knows_forms else 1)
    told = capsys.readouterr()
    if knows_forms:
        assert told.out.startswith("added npc/wide@1")
        assert [c.form for c in server.voices[0].components] == ["packed", ""]
        return
    assert told.out == ""
    assert "npc/wide@1 is published, and the server cannot speak it: it is older than" in told.err
    assert main([*adding, "--form", "plain"]) == 0


def test_what_is_said_goes_before_what_the_files_say(imports: list[Any], tmp_path: Path) -> None:
    said = [
        "--dtype",
        "bfloat16",
        "--form",
        "plain",
        "--license",
        "MIT",
        "--code-license",
        "GPL",
        "--language",
        "de",
    ]
    said += ["--style", "af_heart"]
    names = ["--name", "New", "--tag", "old", "--tag", "wise", "--gender", "female"]
    assert add(*said, *names) == 0
    (call,) = imports
    assert str(call["source"]) == "line.onnx"
    options = ("dtype", "form", "licence", "code_licence", "language")
    assert [call[name] for name in options] == ["bfloat16", "plain", "MIT", "GPL", "de"]
    assert call["voices"] == {"af_heart": "npc/new"}
    manifest = Registry(tmp_path / "var/registry").resolve(VoiceRef("npc/new"))
    assert (manifest.display_name, manifest.gender) == ("New", "female")
    assert manifest.tags == ("old", "wise")


def test_add_leaves_unsaid_what_the_files_say(imports: list[Any], tmp_path: Path) -> None:
    assert add() == 0
    options = ("dtype", "form", "licence", "code_licence", "language")
    assert [imports[0][name] for name in options] == ["auto", "auto", None, None, None]
    assert imports[0]["voices"] == {None: "npc/new"}
    manifest = Registry(tmp_path / "var/registry").resolve(VoiceRef("npc/new"))
    assert (manifest.display_name, manifest.tags, manifest.gender) == ("Smith", (), "")


@pytest.mark.usefixtures("imports")
def test_a_server_gets_a_manifest_that_a_registry_could_read(
    server: FakeServer, tmp_path: Path
) -> None:
    flags = ["--tag", "old", "--label", "canary", "--actor", "me@here"]
    assert add(*flags, "--address", server.address) == 0
    first = next(r for r in server.requests if isinstance(r, voices_pb2.RegisterVoiceRequest))
    assert (first.label, first.actor) == ("canary", "me@here")
    upload = Upload(Registry(tmp_path / "r"), first.manifest_json, tmp_path, max_bytes=100)
    assert (upload.manifest.voice_id, upload.manifest.tags) == ("npc/new", ("old",))
    assert "version" not in json.loads(first.manifest_json)
    assert list(server.stored) == [WEIGHTS, SYMBOLS]


@pytest.mark.usefixtures("imports")
def test_add_as_json(capsys: Capsys, target: tuple[list[str], str]) -> None:
    flags, where = target
    assert add("--json", *flags) == 0
    document = json.loads(capsys.readouterr().out)
    assert [voice["id"] for voice in document["added"]] == ["npc/new"]
    assert document["unchanged"] == []
    assert where in (document.get("registry"), document.get("address"))


@pytest.mark.usefixtures("imports")
def test_an_upload_that_is_refused(capsys: Capsys, server: FakeServer) -> None:
    full = server.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk is full")
    server.script.extend([server.play(), full])
    assert add("--address", server.address) == 1
    assert capsys.readouterr().err.endswith("voxswap: error: the disk is full\n")


def test_add_of_what_is_no_voice(capsys: Capsys) -> None:
    assert main(["voices", "add", "nothing.txt", "--id", "npc/new"]) == 1
    assert capsys.readouterr().err.startswith("voxswap: error: nothing.txt does not exist; ")


def test_an_interrupted_import_leaves_nothing(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*_args: Any, workdir: Path, **_options: Any) -> None:
        (workdir / "half").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(detect, "import_voices", interrupt)
    assert main(["voices", "add", "line.onnx", "--id", "npc/new"]) == 130
    assert [path for path in (tmp_path / "var").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["line.onnx"],
        ["line.onnx", "--embedded"],
        ["--embedded", "--id", "npc/new"],
        ["--embedded", "--tag", "old"],
        ["--embedded", "--address", "127.0.0.1:1"],
        ["line.onnx", "--kokoro-packs", "packs.tgz"],
        ["--kokoro-packs", "packs.tgz", "--id", "npc/new"],
        ["--kokoro-packs", "packs.tgz", "--address", "127.0.0.1:1"],
        ["--only", "zf_*"],
        ["--embedded", "--only", "zf_*"],
    ],
    ids=" ".join,
)
def test_an_add_that_is_unclear(capsys: Capsys, flags: list[str]) -> None:
    assert main(["voices", "add", *flags]) == 2
    assert capsys.readouterr().err.startswith("voxswap: error: ")


def test_add_embedded(capsys: Capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def import_embedded(
        registry: Registry, progress: ProgressBar, dtype: str, actor: str
    ) -> list[Manifest]:
        assert dtype == "auto"
        assert "@" in actor
        progress.start("joe", 0)
        if registry.versions("joe"):
            return []
        return [registry.publish(draft(tmp_path, "joe"))]

    monkeypatch.setattr(embedded, "import_embedded", import_embedded)
    assert main(["voices", "add", "--embedded"]) == 0
    assert capsys.readouterr().out == "added joe@1 (9 B) to var/registry\n"
    assert main(["voices", "add", "--embedded"]) == 0
    assert capsys.readouterr().out.startswith("nothing to add: var/registry has every voice")


def test_a_registry_that_is_not_installed(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    monkeypatch.setitem(sys.modules, "voxswap_registry.store", None)
    assert main(["voices", "list"]) == 1
    first, remedy = unwrapped(capsys.readouterr().err)
    assert first.startswith("voxswap: error: the registry cannot be loaded")
    assert remedy == "  pip install 'voxswap[server]'"


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with a few, and a base to publish them on; no other voice is in a package."""
    know_fakes(monkeypatch)
    ship_small_base(tmp_path, monkeypatch)
    monkeypatch.setattr(embedded, "embedded_voices", tuple)
    return write_packs(tmp_path / "style packs", CONTENTS)


def test_add_packs(capsys: Capsys, packs: Path) -> None:
    adding = ["voices", "add", "--kokoro-packs", str(packs)]
    assert main([*adding, "--only", "zf_xiaoxiao, af_h*"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines[:2]] == [
        "added kokoro/af_heart@1",
        "added kokoro/zf_xiaoxiao@1",
    ]
    (more,) = lines[2:]
    assert more.startswith("5 more in these packs; add them with: voxswap voices add ")
    assert more.endswith(f" --kokoro-packs '{packs}' --registry var/registry")
    assert main([*adding, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["added"]), len(document["unchanged"])) == (5, 2)
    assert main(["voices", "list", "--language", "zh"]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["kokoro/zf_xiaoxiao", "1", "zh-CN"],
        ["kokoro/zm_yunxi", "1", "zh-CN"],
    ]


def test_with_embedded_ones_packs_are_added_once(capsys: Capsys, packs: Path) -> None:
    adding = ["voices", "add", "--embedded", "--kokoro-packs", str(packs), "--only", "z*"]
    assert main(adding) == 0
    assert capsys.readouterr().out.startswith("added kokoro/zf_xiaoxiao@1")
    assert main(["voices", "delete", "kokoro/zm_yunxi", "--yes"]) == 0
    capsys.readouterr()
    assert main(adding) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "nothing to add: var/registry has every voice that is asked for"
    assert second.startswith("5 more in these packs")


@pytest.mark.parametrize(
    ("only", "code", "told"),
    [("af_hart", 2, "only: has 'af_hart'"), ("am_*", 2, "only: has 'am_*'"), ("", 2, "only: has")],
)
def test_packs_that_there_are_not(
    only: str, code: int, told: str, capsys: Capsys, packs: Path
) -> None:
    assert main(["voices", "add", "--kokoro-packs", str(packs), "--only", only]) == code
    assert told in capsys.readouterr().err


def test_a_damaged_pack(capsys: Capsys, packs: Path) -> None:
    (packs / "af_heart.bin").write_bytes(pack(0.9))
    assert main(["voices", "add", "--kokoro-packs", str(packs)]) == 1
    assert "af_heart.bin has the SHA-256" in unwrapped(capsys.readouterr().err)[0]
    assert not Path("var/registry").exists()
