"""`voxswap voices list`, `show`, `versions` and `history`: of a server and of a registry folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.fake_server import FakeServer
from tests.client.local_voices import SYMBOLS, WEIGHTS, draft, torn
from tests.client.terminal import Capsys, unwrapped
from voxswap.v1 import speech_pb2, voices_pb2
from voxswap_client.cli import main
from voxswap_registry.families import controls_of
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("at_home")
FOLDER = "var/registry"
ACTOR = "me@here"


def test_list_of_a_folder(capsys: Capsys, registry: Registry) -> None:
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
        (["--tag", "old"], ["npc/baker"]),
        (["--tag", "old", "--tag", "kind"], ["npc/baker"]),
        (["--tag", "old", "--tag", "new"], []),
        (["--gender", "male"], ["npc/baker"]),
        (["--search", "BAK smith"], ["npc/baker"]),
        (["--search", "bak butcher"], []),
    ],
)
def test_list_filters_a_folder_as_a_server_does(
    capsys: Capsys, registry: Registry, flags: list[str], expected: list[str]
) -> None:
    assert main(["voices", "list", "--json", *flags]) == 0
    listed = json.loads(capsys.readouterr().out)["voices"]
    assert [voice["id"] for voice in listed] == expected


def test_every_filter_goes_to_a_server(server: FakeServer) -> None:
    flags = ["--prefix", "n", "--language", "en", "--engine", "vits", "--gender", "male"]
    flags += ["--search", "old smith"]
    tags = ["--tag", "old", "--tag", "kind"]
    assert main(["voices", "list", *flags, *tags, "--address", server.address]) == 0
    assert server.requests == [
        voices_pb2.ListVoicesRequest(
            prefix="n",
            language="en",
            engine="vits",
            tags=["old", "kind"],
            gender="male",
            search="old smith",
        )
    ]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--prefix", "zoo/"], "no voice matches"),
        (["--tag", "none"], "no voice matches"),
        ([], "no voices yet; add one with: voxswap voices add SOURCE --id ID"),
    ],
)
def test_an_empty_list_says_why(
    capsys: Capsys, server: FakeServer, flags: list[str], told: str
) -> None:
    assert main(["voices", "list", *flags, "--address", server.address]) == 0
    assert capsys.readouterr() == ("", f"voxswap: warning: {told}\n")


def test_a_torn_manifest_hides_no_other_voice(capsys: Capsys, registry: Registry) -> None:
    torn(registry, "npc/smith", 3)
    assert main(["voices", "list"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[2].split()[:3] == ["npc/smith", "3", "-"]
    assert "npc/baker" in out
    assert err.startswith("voxswap: warning: npc/smith@3 cannot be used: ")


def test_a_folder_that_is_not_there(capsys: Capsys) -> None:
    assert main(["voices", "list", "--registry", "nowhere"]) == 1
    assert capsys.readouterr().err == (
        "voxswap: error: there is no registry folder at nowhere\n"
        "  name one with --registry or VOXSWAP_REGISTRY, or make it with "
        "`voxswap voices add … --registry\n    nowhere`\n"
    )


def test_the_folder_comes_from_the_environment(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, registry: Registry, tmp_path: Path
) -> None:
    monkeypatch.setenv("VOXSWAP_REGISTRY", str(Path(FOLDER).resolve()))
    monkeypatch.chdir("/")
    assert main(["voices", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["voices"]) == 2


def test_list_of_a_server(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, server: FakeServer
) -> None:
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
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, registry: Registry, server: FakeServer
) -> None:
    monkeypatch.setenv("VOXSWAP_ADDRESS", server.address)
    assert main(["voices", "list", "--registry", str(Path(FOLDER).resolve())]) == 0
    assert "npc/baker" in capsys.readouterr().out
    assert server.requests == []


CARD = f"""\
voice         npc/smith@2
name          Smith
versions      2 (canary, stable), 1
traffic       1=90 2=10
language      en-GB
engine        vits
rate          22050 Hz
speakers      first, second
expression    prosody, where that is asked for
controls      rate, noise_scale, duration_noise_scale, pitch_semitones, pitch_range, volume_db,
              pause_scale
licence       CC0-1.0
code licence  MIT (Piper)
size          9 B
source        a file
imported      2031-05-06 07:08:09 UTC
with          voxswap 0.1.0
note          Care!

COMPONENT  SIZE  DIGEST
model       7 B  {WEIGHTS}
symbols     2 B  {SYMBOLS}
"""


@pytest.fixture
def changed(registry: Registry) -> Registry:
    """npc/smith@2 is stable and canary; bare npc/smith is split. Two changes, at two revisions."""
    moves = {"stable": 2, "canary": 2}
    registry.edit("npc/smith", Edit(moves=moves), actor=ACTOR, note="it is good")
    registry.edit("npc/smith", Edit(traffic={1: 90, 2: 10}), actor=ACTOR)
    return registry


def mirrored(server: FakeServer, registry: Registry) -> None:
    """What `registry` has of npc/smith, at the server."""
    record = registry.record("npc/smith")
    for version in record.versions:
        known = registry.resolve(VoiceRef("npc/smith", version))
        wire = voices_pb2.Voice(
            id=known.voice_id,
            version=version,
            display_name=known.display_name,
            language=known.language,
            engine=known.engine,
            sample_rate_hertz=known.audio.sample_rate_hertz,
            speakers=[voices_pb2.Speaker(name=n, index=i) for n, i in known.speakers.items()],
            expression=speech_pb2.EXPRESSION_PROSODY,
            controls=controls_of(known),
            components=[
                voices_pb2.Component(
                    role=item.role,
                    digest=item.digest,
                    size_bytes=item.size_bytes,
                    media_type=item.media_type,
                )
                for item in known.components
            ],
            licence=known.licence,
            provenance=voices_pb2.Provenance(
                source="a file", tool="voxswap 0.1.0", note="Care!", code_licence="MIT (Piper)"
            ),
            labels=record.labels_of(version),
            traffic=[
                voices_pb2.TrafficShare(version=number, weight=weight)
                for number, weight in record.state.traffic.items()
            ],
        )
        wire.provenance.create_time.FromJsonString("2031-05-06T07:08:09Z")
        server.voices.append(wire)
    for state in reversed(list(registry.history("npc/smith"))):
        change = state.change
        server.record("npc/smith", change.action, change.actor, change.note)
        server.changes["npc/smith"][-1].time.FromJsonString(change.time.replace("+00:00", "Z"))


@pytest.fixture(params=["folder", "server"])
def source(request: pytest.FixtureRequest, server: FakeServer, changed: Registry) -> list[str]:
    """The flags that name either; both have the same."""
    if request.param == "folder":
        return ["--registry", FOLDER]
    mirrored(server, changed)
    return ["--address", server.address]


def test_show(capsys: Capsys, source: list[str]) -> None:
    assert main(["voices", "show", "npc/smith@canary", *source]) == 0
    assert capsys.readouterr().out == CARD


def test_show_as_json(capsys: Capsys, source: list[str]) -> None:
    assert main(["voices", "show", "npc/smith@1", "--json", *source]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["versions"] == [2, 1]
    assert document["labels"] == {"canary": 2, "stable": 2}
    assert document["revision"] == 2
    assert document["voice"]["version"] == 1
    assert document["voice"]["components"][0]["digest"] == WEIGHTS
    assert document["voice"]["provenance"]["created"] == "2031-05-06T07:08:09+00:00"
    assert document["voice"]["traffic"] == [
        {"version": 1, "weight": 90},
        {"version": 2, "weight": 10},
    ]


def test_a_long_note_is_wrapped(capsys: Capsys, server: FakeServer) -> None:
    note = "whoever uses this voice must know " * 9
    server.voices.append(
        voices_pb2.Voice(id="v", version=1, provenance=voices_pb2.Provenance(note=note))
    )
    assert main(["voices", "show", "v", "--address", server.address]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[-1].startswith(" " * 14)


@pytest.mark.parametrize("action", ["show", "versions", "history"])
def test_an_unknown_voice(capsys: Capsys, source: list[str], action: str) -> None:
    assert main(["voices", action, "npc/smitt", *source]) == 1
    assert capsys.readouterr().err.startswith("voxswap: error: ")


def test_show_of_a_malformed_name(capsys: Capsys, registry: Registry) -> None:
    assert main(["voices", "show", "../x"]) == 2
    assert "is not a voice id" in capsys.readouterr().err


# versions


def test_versions(capsys: Capsys, source: list[str]) -> None:
    assert main(["voices", "versions", "npc/smith", *source]) == 0
    assert capsys.readouterr().out == (
        "VERSION  LABELS          TRAFFIC %  LANGUAGE  SIZE  IMPORTED\n"
        "      2  canary, stable         10  en-GB      9 B  2031-05-06 07:08:09\n"
        "      1  -                      90  en-GB      9 B  2031-05-06 07:08:09\n"
    )


def test_versions_as_json(capsys: Capsys, source: list[str]) -> None:
    assert main(["voices", "versions", "npc/smith", "--json", *source]) == 0
    found = json.loads(capsys.readouterr().out)["versions"]
    assert [(voice["version"], voice["labels"]) for voice in found] == [
        (2, ["canary", "stable"]),
        (1, []),
    ]


def test_a_version_that_is_torn_has_its_problem_beside_it(
    capsys: Capsys, changed: Registry
) -> None:
    torn(changed, "npc/smith", 3)
    assert main(["voices", "versions", "npc/smith"]) == 0
    out, err = capsys.readouterr()
    heading, first, *others = out.splitlines()
    assert heading.endswith("IMPORTED             PROBLEM")
    assert first.split()[:7] == ["3", "-", "-", "-", "-", "-", "npc/smith@3"]
    (told,) = unwrapped(err)
    assert told.startswith("voxswap: warning: npc/smith@3 cannot be used: npc/smith@3 (")
    assert "not JSON" in err
    assert [line.split()[0] for line in others] == ["2", "1"]
    assert all(line.endswith("07:08:09  -") for line in others)


def test_without_a_split_the_stable_version_has_all_traffic(
    capsys: Capsys, registry: Registry, tmp_path: Path
) -> None:
    def traffic() -> dict[str, str]:
        assert main(["voices", "versions", "npc/smith"]) == 0
        lines = capsys.readouterr().out.splitlines()[1:]
        return {line.split()[0]: line.split()[2] for line in lines}

    registry.publish(draft(tmp_path, weights=b"newer"))
    assert traffic() == {"3": "100", "2": "-", "1": "-"}
    registry.edit("npc/smith", Edit(moves={"stable": 2}))
    assert traffic() == {"3": "-", "2": "100", "1": "-"}
    registry.edit("npc/smith", Edit(traffic={1: 1, 3: 2}))
    assert traffic() == {"3": "66.67", "2": "-", "1": "33.33"}


# history


def test_history(capsys: Capsys, source: list[str]) -> None:
    assert main(["voices", "history", "npc/smith", *source]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "REVISION"
    assert heading.split() == ["REVISION", "WHEN", "(UTC)", "WHO", "WHAT", "WHY"]
    assert [row.split()[0] for row in rows] == ["2", "1"]
    assert rows[0].endswith("me@here  traffic 1=90 2=10                   -")
    assert rows[1].endswith("me@here  promote stable 2, promote canary 2  it is good")


def test_a_long_history_is_cut_and_says_so(capsys: Capsys, source: list[str]) -> None:
    assert main(["voices", "history", "npc/smith", "--limit", "1", *source]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["REVISION", "2"]
    assert err == "voxswap: warning: there are older changes; see them with --limit 10\n"
    assert main(["voices", "history", "npc/smith", "--limit", "2", *source]) == 0
    assert capsys.readouterr().err == ""


def test_history_as_json(capsys: Capsys, source: list[str]) -> None:
    assert main(["voices", "history", "npc/smith", "--json", *source]) == 0
    newest, oldest = json.loads(capsys.readouterr().out)["changes"]
    assert (newest["revision"], oldest["revision"]) == (2, 1)
    assert (oldest["actor"], oldest["note"]) == (ACTOR, "it is good")
    assert newest["labels"] == {"canary": 2, "stable": 2}


@pytest.mark.usefixtures("registry")
def test_a_history_of_nothing(capsys: Capsys) -> None:
    assert main(["voices", "history", "npc/smith"]) == 0
    assert capsys.readouterr().out == "nothing was changed of npc/smith since it was added\n"
