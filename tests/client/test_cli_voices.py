"""`voxswap voices` and `voxswap ps`, against a real server and a real registry folder."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.client.terminal import unwrapped
from voxswap.v1 import residency_pb2, voices_pb2
from voxswap_client.cli import main
from voxswap_client.cli.ps import page
from voxswap_client.types import Ledger, Resident, ResidentState
from voxswap_registry import embedded
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.importers import detect
from voxswap_registry.manifest import Audio, FrontEndSpec, Provenance
from voxswap_registry.store import Registry


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("VOXSWAP_ADDRESS", "VOXSWAP_REGISTRY"):
        monkeypatch.delenv(name, raising=False)


def draft(tmp_path, voice_id="npc/smith", *, weights=b"weights", language="en-GB"):
    components = []
    for role, data in (("model", weights), ("symbols", b"{}")):
        path = tmp_path / f"{role}.part"
        path.write_bytes(data)
        components.append(DraftComponent(role, path, "application/octet-stream"))
    return VoiceDraft(
        voice_id=voice_id,
        engine="vits",
        engine_config={},
        components=tuple(components),
        audio=Audio(22050, 256),
        language=language,
        front_end=FrontEndSpec("characters"),
        speakers={"second": 1, "first": 0},
        defaults={},
        licence="CC0-1.0",
        provenance=Provenance("a file", {}, "voxswap 0.1.0", "2031-05-06T07:08:09+00:00", "Care!"),
        display_name="Smith",
    )


@pytest.fixture
def registry(tmp_path):
    found = Registry(tmp_path / "var" / "registry")
    found.publish(draft(tmp_path, "npc/baker", weights=b"other", language="de"))
    found.publish(draft(tmp_path))
    found.publish(draft(tmp_path))
    return found


# Digests of b"weights" and b"{}".
WEIGHTS = "sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
SYMBOLS = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_list_of_a_folder(capsys, registry):
    assert main(["voices", "list"]) == 0
    assert capsys.readouterr().out == (
        "VOICE      VERSION  LANGUAGE  ENGINE  HERTZ  SPEAKERS  SIZE  LICENCE\n"
        "npc/baker        1  de        vits    22050         2   7 B  CC0-1.0\n"
        "npc/smith        2  en-GB     vits    22050         2   9 B  CC0-1.0\n"
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], ["npc/baker", "npc/smith"]),
        (["--prefix", "npc/s"], ["npc/smith"]),
        (["--language", "EN"], ["npc/smith"]),
        (["--language", "en-gb"], ["npc/smith"]),
        (["--language", "e"], []),
        (["--engine", "vits"], ["npc/baker", "npc/smith"]),
        (["--engine", "kokoro"], []),
    ],
)
def test_list_filters_a_folder_as_a_server_does(capsys, registry, flags, expected):
    assert main(["voices", "list", "--json", *flags]) == 0
    listed = json.loads(capsys.readouterr().out)["voices"]
    assert [voice["id"] for voice in listed] == expected


def test_a_list_without_matches(capsys, registry):
    assert main(["voices", "list", "--prefix", "zoo/"]) == 0
    assert capsys.readouterr() == ("", "voxswap: warning: no voice matches\n")


def test_a_torn_manifest_hides_no_other_voice(capsys, registry):
    (registry.root / "voices/npc/smith@3.json").write_text("{")
    assert main(["voices", "list"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[2].split()[:3] == ["npc/smith", "3", "-"]
    assert "npc/baker" in out
    assert err.startswith("voxswap: warning: npc/smith@3 cannot be used: ")


def test_a_folder_that_is_not_there(capsys):
    assert main(["voices", "list", "--registry", "nowhere"]) == 1
    assert capsys.readouterr().err == (
        "voxswap: error: there is no registry folder at nowhere\n"
        "  name one with --registry or VOXSWAP_REGISTRY, or make it with `voxswap voices add`\n"
    )


def test_the_folder_comes_from_the_environment(capsys, monkeypatch, registry, tmp_path):
    monkeypatch.setenv("VOXSWAP_REGISTRY", str(registry.root))
    monkeypatch.chdir("/")
    assert main(["voices", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["voices"]) == 2


def test_list_of_a_server(capsys, monkeypatch, server):
    wide = "CC BY-NC-SA 4.0, as its publisher says at https://example.org/licences/of/voices"
    component = voices_pb2.Component(role="model", size_bytes=63 << 20)
    server.voices += [
        voices_pb2.Voice(
            id=f"npc/village/blacksmith{n}",
            version=n,
            language="en-GB",
            engine="vits",
            sample_rate_hertz=22050,
            licence=wide,
            components=[component],
        )
        for n in (1, 2)
    ]
    server.voices[1].problem = "it is torn"
    monkeypatch.setenv("VOXSWAP_ADDRESS", server.address)
    assert main(["voices", "list"]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "VOICE                    VERSION  LANGUAGE  ENGINE  HERTZ  SPEAKERS      SIZE  LICENCE\n"
        "npc/village/blacksmith1        1  en-GB     vits    22050         1  63.0 MiB  "
        "CC BY-NC-SA 4.0, as…\n"
        "npc/village/blacksmith2        2  en-GB     vits    22050         1  63.0 MiB  "
        "CC BY-NC-SA 4.0, as…\n"
    )
    assert err == "voxswap: warning: npc/village/blacksmith2@2 cannot be used: it is torn\n"


def test_a_folder_that_is_named_goes_before_the_environments_server(
    capsys, monkeypatch, registry, server
):
    monkeypatch.setenv("VOXSWAP_ADDRESS", server.address)
    assert main(["voices", "list", "--registry", str(registry.root)]) == 0
    assert "npc/baker" in capsys.readouterr().out
    assert server.requests == []


CARD = f"""\
voice       npc/smith@2
name        Smith
versions    2, 1
language    en-GB
engine      vits
rate        22050 Hz
speakers    first, second
licence     CC0-1.0
size        9 B
source      a file
imported    2031-05-06 07:08:09 UTC
with        voxswap 0.1.0
note        Care!

COMPONENT  SIZE  DIGEST
model       7 B  {WEIGHTS}
symbols     2 B  {SYMBOLS}
"""


def test_show_from_a_folder(capsys, registry):
    assert main(["voices", "show", "npc/smith"]) == 0
    assert capsys.readouterr().out == CARD


def test_show_from_a_server_says_the_same(capsys, registry, server):
    from voxswap_registry.names import VoiceRef

    for version in (2, 1):
        known = registry.resolve(VoiceRef("npc/smith", version))
        wire = voices_pb2.Voice(
            id=known.voice_id,
            version=version,
            display_name=known.display_name,
            language=known.language,
            engine=known.engine,
            sample_rate_hertz=known.audio.sample_rate_hertz,
            speakers=[voices_pb2.Speaker(name=n, index=i) for n, i in known.speakers.items()],
            components=[
                voices_pb2.Component(**dataclasses.asdict(item)) for item in known.components
            ],
            licence=known.licence,
            provenance=voices_pb2.Provenance(source="a file", tool="voxswap 0.1.0", note="Care!"),
        )
        wire.provenance.create_time.FromJsonString("2031-05-06T07:08:09Z")
        server.voices.append(wire)
    assert main(["voices", "show", "npc/smith", "--address", server.address]) == 0
    assert capsys.readouterr().out == CARD


def test_show_as_json(capsys, registry):
    assert main(["voices", "show", "npc/smith@1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["versions"] == [2, 1]
    assert document["voice"]["version"] == 1
    assert document["voice"]["components"][0]["digest"] == WEIGHTS
    assert document["voice"]["provenance"]["created"] == "2031-05-06T07:08:09+00:00"


def test_a_long_note_is_wrapped(capsys, server):
    note = "whoever uses this voice must know " * 9
    server.voices.append(
        voices_pb2.Voice(id="v", version=1, provenance=voices_pb2.Provenance(note=note))
    )
    assert main(["voices", "show", "v", "--address", server.address]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[-1].startswith(" " * 12)


@pytest.mark.parametrize("source", ["folder", "server"])
def test_show_of_an_unknown_voice(capsys, registry, server, source):
    flags = ["--address", server.address] if source == "server" else []
    assert main(["voices", "show", "npc/smitt", *flags]) == 1
    assert capsys.readouterr().err.startswith("voxswap: error: ")


def test_show_of_a_malformed_name(capsys, registry):
    assert main(["voices", "show", "../x"]) == 2
    assert "is not a voice id" in capsys.readouterr().err


# add


@pytest.fixture
def imports(monkeypatch, tmp_path):
    """Stands in for the importer; what it is called with must fit the real one's signature."""
    calls = []
    signature = inspect.signature(detect.import_voice)

    def import_voice(*args, **options):
        call = signature.bind(*args, **options).arguments
        call["progress"].start("read line.onnx", 4)
        call["progress"].advance(4)
        calls.append({key: call[key] for key in ("source", "dtype", "licence", "language")})
        return draft(call["workdir"], call["voice_id"])

    monkeypatch.setattr(detect, "import_voice", import_voice)
    return calls


def test_add_imports_and_publishes(capsys, imports, tmp_path):
    flags = ["--dtype", "bfloat16", "--license", "MIT", "--language", "en-GB"]
    assert main(["voices", "add", "line.onnx", "--id", "npc/new", *flags]) == 0
    out, err = capsys.readouterr()
    assert out == "added npc/new@1 (9 B) to var/registry\n"
    assert err == "read line.onnx: 0%, 0 B of 4 B\nread line.onnx: 100%, 4 B of 4 B\n"
    (call,) = imports
    assert str(call.pop("source")) == "line.onnx"
    assert call == {"dtype": "bfloat16", "licence": "MIT", "language": "en-GB"}
    assert Registry(tmp_path / "var/registry").versions("npc/new") == (1,)


def test_add_leaves_unsaid_what_the_files_say(imports):
    assert main(["voices", "add", "line.onnx", "--id", "npc/new", "--json"]) == 0
    (call,) = imports
    assert call["dtype"] == "float32"
    assert (call["licence"], call["language"]) == (None, None)


def test_add_as_json(capsys, imports):
    assert main(["voices", "add", "line.onnx", "--id", "npc/new", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [voice["id"] for voice in document["added"]] == ["npc/new"]


def test_add_of_what_is_no_voice(capsys):
    assert main(["voices", "add", "nothing.txt", "--id", "npc/new"]) == 1
    assert capsys.readouterr().err.startswith("voxswap: error: nothing.txt does not exist; ")


def test_an_interrupted_import_leaves_nothing(capsys, monkeypatch, tmp_path):
    def interrupt(*_args, workdir, **_options):
        (workdir / "half").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(detect, "import_voice", interrupt)
    assert main(["voices", "add", "line.onnx", "--id", "npc/new"]) == 130
    assert [path for path in (tmp_path / "var").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "flags",
    [[], ["line.onnx"], ["line.onnx", "--embedded"], ["--embedded", "--id", "npc/new"]],
    ids=" ".join,
)
def test_an_add_that_is_unclear(capsys, flags):
    assert main(["voices", "add", *flags]) == 2
    assert capsys.readouterr().err.startswith("voxswap: error: ")


def test_add_embedded(capsys, monkeypatch, tmp_path):
    def import_embedded(registry, progress):
        progress.start("joe", 0)
        if registry.versions("joe"):
            return []
        return [registry.publish(draft(tmp_path, "joe"))]

    monkeypatch.setattr(embedded, "import_embedded", import_embedded)
    assert main(["voices", "add", "--embedded"]) == 0
    assert capsys.readouterr().out == "added joe@1 (9 B) to var/registry\n"
    assert main(["voices", "add", "--embedded"]) == 0
    assert capsys.readouterr().out.startswith("nothing to add: var/registry has every voice")


def test_a_registry_that_is_not_installed(capsys, monkeypatch, registry):
    monkeypatch.setitem(sys.modules, "voxswap_registry.store", None)
    assert main(["voices", "list"]) == 1
    first, remedy = unwrapped(capsys.readouterr().err)
    assert first.startswith("voxswap: error: the registry cannot be loaded")
    assert remedy == "  pip install 'voxswap[server]'"


# verify


def blob(registry, digest):
    name = digest.removeprefix("sha256:")
    return registry.root / "blobs/sha256" / name[:2] / name


def test_verify_of_a_sound_registry(capsys, registry):
    assert main(["voices", "verify"]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "VOICE        COMPONENT  SIZE  RESULT\n"
        "npc/baker@1  model       5 B  ok\n"
        "npc/baker@1  symbols     2 B  ok\n"
        "npc/smith@1  model       7 B  ok\n"
        "npc/smith@1  symbols     2 B  ok\n"
        "npc/smith@2  model       7 B  ok\n"
        "npc/smith@2  symbols     2 B  ok\n"
        "6 of 6 components are sound\n"
    )
    # Three distinct components: what voices share is hashed once.
    assert err.splitlines()[-1] == "verifying: 100%, 14 B of 14 B"


def test_verify_finds_what_is_bad(capsys, registry):
    blob(registry, WEIGHTS).chmod(0o644)
    blob(registry, WEIGHTS).write_bytes(b"Weights")
    blob(registry, SYMBOLS).unlink()
    (registry.root / "voices/npc/baker@2.json").write_text("{")
    assert main(["voices", "verify"]) == 1
    out, err = capsys.readouterr()
    assert out == (
        "VOICE        COMPONENT  SIZE  RESULT\n"
        "npc/baker@1  model       5 B  ok\n"
        "npc/baker@1  symbols     2 B  MISSING\n"
        "npc/baker@2  -             -  UNREADABLE\n"
        "npc/smith@1  model       7 B  DAMAGED\n"
        "npc/smith@1  symbols     2 B  MISSING\n"
        "npc/smith@2  model       7 B  DAMAGED\n"
        "npc/smith@2  symbols     2 B  MISSING\n"
        "1 of 7 components are sound\n"
    )
    assert err.count("voxswap: warning: ") == 6


def test_verify_of_some_as_json(capsys, registry):
    blob(registry, WEIGHTS).unlink()
    assert main(["voices", "verify", "npc/baker", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main(["voices", "verify", "npc/baker", "npc/smith@1", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    results = [(found["voice"], found["result"]) for found in document["components"]]
    assert document["ok"] is False
    assert results == [
        ("npc/baker@1", "ok"),
        ("npc/baker@1", "ok"),
        ("npc/smith@1", "MISSING"),
        ("npc/smith@1", "ok"),
    ]


def test_verify_of_an_unknown_voice(capsys, registry):
    assert main(["voices", "verify", "npc/nobody"]) == 1
    assert "npc/nobody" in capsys.readouterr().err


# ps

NOW = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)


def resident(*voices, state=ResidentState.RESIDENT, ago_s=0.0, used=True, **changes):
    last = NOW - timedelta(seconds=ago_s) if used else None
    fields = {"size_bytes": 60 << 20, "leases": 1, "uses": 12, "load_ms": 412.4, "pinned": False}
    return Resident(voices, state, load_time=NOW, last_use_time=last, **(fields | changes))


def test_residents_and_budgets():
    residents = [
        resident("npc/smith@3", "npc/smith@4"),
        resident("npc/baker@1", ago_s=3.9, pinned=True, load_ms=1250),
        resident("npc/clerk@1", ago_s=125, leases=0),
        resident("npc/guard@1", ago_s=7300),
        resident("npc/witch@1", ago_s=200_000, size_bytes=999),
        resident("npc/child@1", ago_s=-5),
        resident("joe@1", state=ResidentState.LOADING, used=False, uses=0, load_ms=0),
    ]
    ledgers = [
        Ledger("cuda:0", 1 << 30, 600 << 20, 64 << 20, 300 << 20, 60 << 20),
        Ledger("cpu", 1 << 20, 1 << 20, 0, 0, 0),
    ]
    assert page(residents, ledgers, now=NOW) == (
        "VOICE           STATE                 SIZE  LEASES  USES  LAST USE    LOAD\n"
        "npc/smith@3 +1  resident          60.0 MiB       1    12       now  412 ms\n"
        "npc/baker@1     resident, pinned  60.0 MiB       1    12    3s ago  1.25 s\n"
        "npc/clerk@1     resident          60.0 MiB       0    12    2m ago  412 ms\n"
        "npc/guard@1     resident          60.0 MiB       1    12    2h ago  412 ms\n"
        "npc/witch@1     resident             999 B       1    12    2d ago  412 ms\n"
        "npc/child@1     resident          60.0 MiB       1    12       now  412 ms\n"
        "joe@1           loading           60.0 MiB       1     0     never    0 ms\n"
        "cuda:0: 300.0 MiB resident, 64.0 MiB loading, 60.0 MiB evicting, 600.0 MiB free of "
        "1.0 GiB\n"
        "cpu: 0 B resident, 1.0 MiB free of 1.0 MiB"
    )


def test_ps_asks_the_server(capsys, server):
    server.residents.append(
        residency_pb2.Resident(voices=["joe@1"], state=1, size_bytes=2048, uses=5)
    )
    server.ledgers.append(residency_pb2.Ledger(device="cpu", budget_bytes=4096, free_bytes=2048))
    assert main(["ps", "--address", server.address]) == 0
    assert capsys.readouterr().out == (
        "VOICE  STATE       SIZE  LEASES  USES  LAST USE  LOAD\n"
        "joe@1  loading  2.0 KiB       0     5     never  0 ms\n"
        "cpu: 0 B resident, 2.0 KiB free of 4.0 KiB\n"
    )
    assert main(["ps", "--address", server.address, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["residents"][0]["voices"] == ["joe@1"]
    assert document["ledgers"][0]["budget_bytes"] == 4096
