"""`voxswap load`, `unload`, `pin`, `unpin`, `budget`, `explain` and `prepare`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Capsys, Voxswap
from voxswap.v1 import residency_pb2, speech_pb2
from voxswap_client.cli import main
from voxswap_client.cli.outlook import explanation, scene
from voxswap_client.cli.steering import size
from voxswap_client.residency_types import (
    CastOutlook,
    ComponentOutlook,
    Explanation,
    ResidentComponent,
    ResidentState,
    SceneOutlook,
    Tier,
)

MIB = 1 << 20
WHEN = datetime(2031, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)


@pytest.fixture(autouse=True)
def loadable(server: FakeServer) -> None:
    server.loadable |= {"npc/smith@3": 60 * MIB, "npc/baker@1": 2 * MIB}


# -- steering ----------------------------------------------------------------


def test_load_and_unload(voxswap: Voxswap) -> None:
    assert voxswap("load", "npc/smith@3", "npc/baker@1") == (
        0,
        [
            "npc/smith@3 is resident: 60.0 MiB, loaded in 412 ms",
            "npc/baker@1 is resident: 2.0 MiB, loaded in 412 ms",
        ],
        [],
    )
    assert voxswap("unload", "npc/smith@3") == (
        0,
        ["npc/smith@3 is unloaded: 60.0 MiB are free again"],
        [],
    )
    assert voxswap("unload", "npc/smith@3")[1] == [
        "npc/smith@3 freed nothing: it was not resident, or others use all it had"
    ]


def test_pin_and_unpin(voxswap: Voxswap) -> None:
    assert voxswap("pin", "npc/smith@3")[:2] == (0, ["npc/smith@3 is pinned: 60.0 MiB"])
    assert voxswap("unload", "npc/smith@3") == (
        1,
        [],
        ["voxswap: error: npc/smith@3 is pinned; unpin it first"],
    )
    assert voxswap("unpin", "npc/smith@3")[:2] == (0, ["npc/smith@3 may be evicted again"])
    assert voxswap("unpin", "npc/baker@1")[:2] == (
        0,
        ["npc/baker@1 is not pinned, and not resident"],
    )


def test_the_version_that_a_label_stands_for_is_told(voxswap: Voxswap, server: FakeServer) -> None:
    server.stands_for["npc/smith@stable"] = "npc/smith@3"
    assert voxswap("pin", "npc/smith@stable")[1] == ["npc/smith@3 is pinned: 60.0 MiB"]
    server.residents[0].voices.append("npc/clerk@1")
    assert voxswap("pin", "npc/smith@stable")[1] == ["npc/smith@3 is pinned: 60.0 MiB"]
    # Of two that share the memory, nobody can say which was meant.
    server.residents[0].voices.append("npc/smith@4")
    assert voxswap("pin", "npc/smith@stable")[1] == ["npc/smith@stable is pinned: 60.0 MiB"]


def test_one_that_fails_does_not_stop_the_others(voxswap: Voxswap) -> None:
    code, out, err = voxswap("load", "npc/nobody", "npc/smith@3")
    assert code == 1
    assert out == ["npc/smith@3 is resident: 60.0 MiB, loaded in 412 ms"]
    assert err == ["voxswap: error: no voice 'npc/nobody' is registered"]


def test_a_failure_among_several_says_whose_it_is(voxswap: Voxswap, server: FakeServer) -> None:
    full = server.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "no memory", server.retry_info(0.5))
    server.script.append(full)
    code, _, err = voxswap("load", "npc/smith@3", "npc/baker@1")
    assert (code, err) == (
        1,
        ["voxswap: error: npc/smith@3: no memory", "  try again in 0.5 s"],
    )


def test_a_server_that_is_away_is_asked_once(voxswap: Voxswap, server: FakeServer) -> None:
    server.stop()
    code, out, err = voxswap("load", "npc/smith@3", "npc/baker@1")
    assert (code, out, len(err)) == (1, [], 2)


def test_answers_as_json(voxswap: Voxswap) -> None:
    code, out, _ = voxswap("load", "npc/smith@3", "npc/nobody", "--json")
    (found,) = json.loads("\n".join(out))["voices"]
    assert (code, found["voice"]) == (1, "npc/smith@3")
    assert found["resident"]["size_bytes"] == 60 * MIB
    freed = {"voices": [{"voice": "npc/smith@3", "freed_bytes": 60 * MIB}]}
    assert json.loads("\n".join(voxswap("unload", "npc/smith@3", "--json")[1])) == freed
    left = {"voices": [{"voice": "npc/smith@3", "resident": None}]}
    assert json.loads("\n".join(voxswap("unpin", "npc/smith@3", "--json")[1])) == left


def test_a_budget(voxswap: Voxswap, server: FakeServer) -> None:
    server.ledgers.append(
        residency_pb2.Ledger(
            device="cpu", budget_bytes=900 * MIB, free_bytes=300 * MIB, resident_bytes=600 * MIB
        )
    )
    assert voxswap("budget", "512MiB") == (
        0,
        [
            "cpu: 600.0 MiB resident, 0 B free of 600.0 MiB",
            "  shrinking to 512.0 MiB as memory comes free",
        ],
        [],
    )
    document = json.loads("\n".join(voxswap("budget", "1 GiB", "--json")[1]))
    assert document["ledger"]["target_bytes"] == 1 << 30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1048576", MIB),
        ("512MiB", 512 * MIB),
        ("512mb", 512 * MIB),
        ("2G", 2 << 30),
        ("1.5 GiB", 3 << 29),
        ("1T", 1 << 40),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text) == expected


def test_a_size_that_is_none_is_told(capsys: Capsys) -> None:
    assert main(["budget", "big"]) == 2
    assert "'big' is no size; write 512MiB or 2GiB" in capsys.readouterr().err


# -- outlook -----------------------------------------------------------------

VICTIM = ResidentComponent(
    "model",
    "sha256:" + "cd" * 32,
    ResidentState.RESIDENT,
    60 * MIB,
    ("npc/clerk@1", "npc/clerk@2"),
    0,
    WHEN,
    WHEN - timedelta(minutes=3),
)
OUTLOOK = Explanation(
    voice="npc/smith@3",
    resident=False,
    fits=True,
    estimated_ms=42.5,
    reason="it needs 60 MiB and 20 MiB are free: evicting 1 part gives 60 MiB more",
    need_bytes=60 * MIB,
    components=(
        ComponentOutlook("model", "sha256:" + "ab" * 32, Tier.REMOTE, 60 * MIB),
        ComponentOutlook("symbols", "sha256:" + "12" * 32, Tier.DEVICE, 24 << 10),
    ),
    would_evict=(VICTIM,),
)


def test_an_explanation() -> None:
    assert explanation(OUTLOOK, now=WHEN) == (
        "npc/smith@3 is not resident. It can be loaded now, in about 42 ms.\n"
        "It needs 60 MiB and 20 MiB are free: evicting 1 part gives 60 MiB more.\n"
        "\n"
        "COMPONENT      SIZE  NOW           DIGEST\n"
        "model      60.0 MiB  in the store  abababababab\n"
        "symbols    24.0 KiB  in memory     121212121212\n"
        "\n"
        "WOULD EVICT     COMPONENT      SIZE  LAST USE\n"
        "npc/clerk@1 +1  model      60.0 MiB    3m ago"
    )


def test_an_explanation_of_one_that_does_not_fit() -> None:
    found = Explanation(
        voice="npc/smith@3",
        resident=False,
        fits=False,
        estimated_ms=42.5,
        reason="everything is in use",
        need_bytes=60 * MIB,
        speaking=("npc/clerk@1", "npc/baker@1"),
        ahead=2,
    )
    assert explanation(found, now=WHEN, width=60) == (
        "npc/smith@3 is not resident, and cannot be loaded now.\n"
        "Everything is in use.\n"
        "2 loads wait for memory before it.\n"
        "Speaking now: npc/clerk@1, npc/baker@1."
    )


def test_an_explanation_of_one_that_is_there() -> None:
    found = Explanation("npc/smith@3", True, True, 0.0, "it is resident", 0)
    assert explanation(found, now=WHEN) == "npc/smith@3 is resident.\nIt is resident."


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("it is resident", "It is resident."),
        ("the model of npc/a@1 is damaged", "The model of npc/a@1 is damaged."),
        ("npc/a@1 needs 2.0 GiB", "npc/a@1 needs 2.0 GiB."),
        ("joe@1 needs 2.0 GiB", "joe@1 needs 2.0 GiB."),
    ],
)
def test_the_id_of_a_voice_stays_as_it_is(
    voxswap: Voxswap, server: FakeServer, reason: str, told: str
) -> None:
    server.explanation = residency_pb2.ExplainResponse(voice="npc/a@1", reason=reason)
    assert voxswap("explain", "npc/smith@3")[1][1] == told


def test_explain_asks_the_server(voxswap: Voxswap, server: FakeServer) -> None:
    server.explanation = residency_pb2.ExplainResponse(
        voice="npc/smith@3", fits=True, estimated_ms=40, reason="there is room"
    )
    assert voxswap("explain", "npc/smith@3") == (
        0,
        [
            "npc/smith@3 is not resident. It can be loaded now, in about 40 ms.",
            "There is room.",
        ],
        [],
    )
    assert json.loads("\n".join(voxswap("explain", "npc/smith@3", "--json")[1]))["fits"] is True
    assert voxswap("explain", "npc/nobody") == (
        1,
        [],
        ["voxswap: error: no voice 'npc/nobody' is registered"],
    )


SCENE = SceneOutlook(
    fits=False,
    estimated_ms=80.0,
    would_evict=("npc/clerk@1", "npc/clerk@2"),
    cast=(
        CastOutlook("npc/smith@3", 0.0, in_time=True, fits=True),
        CastOutlook("npc/baker@1", 80.0, in_time=False, fits=True),
        CastOutlook("npc/witch@2", 120.0, in_time=False, fits=False),
    ),
)


def test_a_scene() -> None:
    assert scene(SCENE, dry_run=False) == (
        "VOICE            READY IN  IN TIME\n"
        "npc/smith@3      resident  yes\n"
        "npc/baker@1         80 ms  late\n"
        "npc/witch@2  does not fit  -\n"
        "2 of 3 voices fit; the others are not loaded\n"
        "evicts npc/clerk@1, npc/clerk@2"
    )
    assert scene(SCENE, dry_run=True).splitlines()[4:] == [
        "2 of 3 voices fit; the others would not be loaded",
        "would evict npc/clerk@1, npc/clerk@2",
    ]


def test_a_scene_that_fits() -> None:
    one = SceneOutlook(True, 80.0, (), SCENE.cast[1:2])
    assert scene(one, dry_run=False).splitlines()[-1] == (
        "the voice fits; the last one is ready in about 80 ms"
    )
    both = SceneOutlook(True, 0.0, (), SCENE.cast[:1] * 2)
    assert scene(both, dry_run=False).splitlines()[-1] == "all 2 voices fit, and are resident"


def test_prepare_asks_the_server(voxswap: Voxswap, server: FakeServer) -> None:
    server.scene = speech_pb2.PrepareResponse(
        fits=True,
        estimated_ms=40,
        cast=[
            speech_pb2.CastOutlook(voice="npc/smith@3", estimated_ms=40, in_time=True, fits=True)
        ],
    )
    code, out, err = voxswap(
        "prepare", "npc/smith=500", "npc/baker", "--by-ms", "900", "--session", "s1"
    )
    assert (code, err) == (0, [])
    assert out[-1] == "the voice fits; the last one is ready in about 40 ms"
    request = server.requests[-1]
    assert [(c.voice, c.HasField("first_line_ms"), c.first_line_ms) for c in request.cast] == [
        ("npc/smith", True, 500),
        ("npc/baker", False, 0),
    ]
    assert (request.by_ms, request.dry_run, request.session_id) == (900, False, "s1")


def test_a_scene_that_does_not_fit_is_a_failure(voxswap: Voxswap, server: FakeServer) -> None:
    code, out, _ = voxswap("prepare", "npc/smith", "--dry-run", "--json")
    assert (code, json.loads("\n".join(out))["fits"]) == (1, False)
    assert server.requests[-1].dry_run


def test_a_time_that_no_field_holds(voxswap: Voxswap) -> None:
    code, _, err = voxswap("prepare", "npc/smith=99999999999")
    assert code == 1
    assert err[0].startswith(
        "voxswap: error: the request cannot be sent: first_line_ms of npc/smith"
    )
