"""Versions, labels, traffic, history and deletion, through both clients."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from tests.client.fake_server import FakeServer
from tests.client.terminal import Connect
from tests.fakes.clocks import FakeClock
from voxswap.v1 import voices_pb2
from voxswap_client import (
    AsyncClient,
    Change,
    Client,
    InvalidRequestError,
    NothingToRollBackError,
    RevisionConflictError,
    SelfTestFailedError,
    TrafficShare,
    UnavailableError,
    VersionInUseError,
    VoiceNotFoundError,
)

DOWN = grpc.StatusCode.UNAVAILABLE
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
def smith(server: FakeServer) -> None:
    """npc/smith with versions 1, 2 and 3; 2 is stable and canary, 3 is old."""
    labels = {1: [], 2: ["canary", "stable"], 3: ["old"]}
    server.voices += [
        voices_pb2.Voice(id="npc/smith", version=version, labels=names)
        for version, names in labels.items()
    ]
    server.revisions["npc/smith"] = 5


def updates(server: FakeServer) -> list[voices_pb2.UpdateVoiceRequest]:
    return [r for r in server.requests if isinstance(r, voices_pb2.UpdateVoiceRequest)]


def test_both_clients_have_one_face() -> None:
    def face(client: type[Any]) -> dict[str, list[Any]]:
        public = {n: m for n, m in inspect.getmembers(client) if not n.startswith("_")}
        return {name: list(inspect.signature(m).parameters.values()) for name, m in public.items()}

    assert face(Client) == face(AsyncClient)


# Reading


@pytest.mark.usefixtures("smith")
async def test_details(connect: Connect) -> None:
    client = connect()
    details = await client.get_voice_details("npc/smith")
    assert details.voice.ref == "npc/smith@2"
    assert details.versions == (3, 2, 1)
    assert details.labels == {"canary": 2, "old": 3, "stable": 2}
    assert details.revision == 5
    assert (await client.get_voice_details("npc/smith@old")).voice.version == 3
    assert await client.get_voice("npc/smith@3") == (await client.get_voice("npc/smith@old"))
    with pytest.raises(VoiceNotFoundError):
        await client.get_voice_details("npc/smith@9")


@pytest.mark.usefixtures("smith")
async def test_a_change_is_typed(server: FakeServer, connect: Connect) -> None:
    share = voices_pb2.TrafficShare(version=3, weight=10)
    server.voices[0].traffic.append(share)
    server.voices[2].traffic.append(share)
    server.record("npc/smith", "promote stable 2", "me@here", "it is good")
    assert [change async for change in connect().list_changes("npc/smith")] == [
        Change(
            revision=6,
            action="promote stable 2",
            actor="me@here",
            time=datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC),
            note="it is good",
            labels={"canary": 2, "old": 3, "stable": 2},
            traffic=(TrafficShare(3, 10),),
        )
    ]


@pytest.mark.usefixtures("smith")
async def test_a_history_comes_page_after_page(server: FakeServer, connect: Connect) -> None:
    for n in range(5):
        server.record("npc/smith", f"change {n}", "", "")
    history = connect().list_changes("npc/smith", page_size=2)
    assert server.requests == []
    assert [change.revision async for change in history] == [10, 9, 8, 7, 6]
    assert server.requests == [
        voices_pb2.ListChangesRequest(voice="npc/smith", page_size=2, page_token=token)
        for token in ("", "2", "4")
    ]


async def test_the_history_of_nobody(connect: Connect) -> None:
    with pytest.raises(VoiceNotFoundError):
        await anext(connect().list_changes("npc/nobody"))


# Metadata and traffic


@pytest.mark.usefixtures("smith")
@pytest.mark.parametrize(
    ("changes", "wire"),
    [
        ({"display_name": "Smith"}, {"display_name": "Smith"}),
        ({"display_name": ""}, {"display_name": ""}),
        ({"tags": ["old", "wise"]}, {"tags": ["old", "wise"]}),
        ({"tags": ()}, {"tags": []}),
        ({"gender": "male", "display_name": "S"}, {"display_name": "S", "gender": "male"}),
        (
            {"traffic": {2: 90, 3: 10}},
            {
                "traffic": [
                    voices_pb2.TrafficShare(version=2, weight=90),
                    voices_pb2.TrafficShare(version=3, weight=10),
                ]
            },
        ),
        ({"traffic": {}}, {"traffic": []}),
    ],
    ids=str,
)
async def test_the_mask_names_what_is_given(
    server: FakeServer, connect: Connect, changes: dict[str, Any], wire: dict[str, Any]
) -> None:
    found = await connect().update_voice("npc/smith", actor="me@here", note="why", **changes)
    assert updates(server) == [
        voices_pb2.UpdateVoiceRequest(
            voice=voices_pb2.Voice(id="npc/smith", **wire),
            update_mask=FieldMask(paths=list(wire)),
            actor="me@here",
            note="why",
        )
    ]
    assert not updates(server)[0].HasField("revision")
    assert found.ref == "npc/smith@3"
    if "traffic" in changes:
        assert {share.version: share.weight for share in found.traffic} == changes["traffic"]


@pytest.mark.usefixtures("smith")
async def test_an_update_for_a_revision(server: FakeServer, connect: Connect) -> None:
    client = connect()
    await client.update_voice("npc/smith", gender="male", revision=5)
    with pytest.raises(RevisionConflictError) as caught:
        await client.update_voice("npc/smith", gender="female", revision=5)
    assert (caught.value.code, caught.value.reason) == ("ABORTED", "REVISION_CONFLICT")
    assert [request.revision for request in updates(server)] == [5, 5]
    assert server.voices[0].gender == "male"


async def test_revision_0_is_one(server: FakeServer, connect: Connect) -> None:
    server.voices.append(voices_pb2.Voice(id="npc/new", version=1))
    await connect().update_voice("npc/new", gender="male", revision=0)
    assert updates(server)[0].HasField("revision")


@pytest.mark.parametrize(
    "changes",
    [{}, {"revision": 3}, {"tags": "old"}, {"traffic": {"2": 1}}, {"gender": 1}, {"tags": [1]}],
    ids=str,
)
async def test_an_update_that_cannot_be_sent(
    server: FakeServer, connect: Connect, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError, match="the request cannot be sent: "):
        await connect().update_voice("npc/smith", **changes)
    assert server.requests == []


# What is tried again


@pytest.mark.usefixtures("smith")
@pytest.mark.parametrize(
    ("revision", "asked", "tries"), [(5, True, 2), (5, False, 1), (None, True, 1)]
)
async def test_an_update_is_repeated_if_that_is_safe_and_the_server_asks(
    server: FakeServer,
    connect: Connect,
    fake_clock: FakeClock,
    revision: int | None,
    asked: bool,
    tries: int,
) -> None:
    hints = [server.retry_info(1.0)] if asked else []
    server.script.append(server.fail(DOWN, "restarting", *hints))
    update = connect(time=fake_clock).update_voice("npc/smith", gender="male", revision=revision)
    if tries == 2:
        await update
    else:
        with pytest.raises(UnavailableError):
            await update
    assert (len(updates(server)), len(fake_clock.sleeps)) == (tries, tries - 1)


@pytest.mark.usefixtures("smith")
@pytest.mark.parametrize("method", ["roll_back", "delete_voice"])
async def test_what_would_happen_twice_is_not_repeated(
    server: FakeServer, connect: Connect, fake_clock: FakeClock, method: str
) -> None:
    server.script.append(server.fail(DOWN, "restarting", server.retry_info(1.0)))
    with pytest.raises(UnavailableError):
        await getattr(connect(time=fake_clock), method)("npc/smith")
    assert (len(server.requests), fake_clock.sleeps) == (1, [])


@pytest.mark.usefixtures("smith")
async def test_a_history_is_asked_for_again(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script.append(server.fail(DOWN, "restarting"))
    assert [c async for c in connect(time=fake_clock).list_changes("npc/smith")] == []
    assert len(server.requests) == 2


# Labels


@pytest.mark.usefixtures("smith")
async def test_labels_are_set_exactly(server: FakeServer, connect: Connect) -> None:
    found = await connect().set_labels(
        "npc/smith@3",
        {"stable"},
        warm_up=True,
        test_text="Hi",
        revision=5,
        actor="me@here",
        note="why",
    )
    assert found.labels == ("stable",)
    assert server.labels("npc/smith") == {"stable": 3, "canary": 2}
    assert updates(server) == [
        voices_pb2.UpdateVoiceRequest(
            voice=voices_pb2.Voice(id="npc/smith", version=3, labels=["stable"]),
            update_mask=FieldMask(paths=["labels"]),
            revision=5,
            warm_up=True,
            test_text="Hi",
            actor="me@here",
            note="why",
        )
    ]


@pytest.mark.usefixtures("smith")
async def test_all_labels_are_taken_away(server: FakeServer, connect: Connect) -> None:
    assert (await connect().set_labels("npc/smith@2", [])).labels == ()
    assert server.labels("npc/smith") == {"old": 3}


@pytest.mark.parametrize("ref", ["npc/smith", "npc/smith@", "npc/smith@stable", "npc/smith@²"])
async def test_labels_are_set_for_a_number(server: FakeServer, connect: Connect, ref: str) -> None:
    with pytest.raises(InvalidRequestError, match="has no version number"):
        await connect().set_labels(ref, ["stable"])
    assert server.requests == []


@pytest.mark.usefixtures("smith")
async def test_promote_keeps_the_other_labels(server: FakeServer, connect: Connect) -> None:
    move = await connect().promote(
        "npc/smith@3", warm_up=True, test_text="Hi", actor="me@here", note="why"
    )
    assert (move.voice.ref, move.voice.labels) == ("npc/smith@3", ("old", "stable"))
    assert move.previous_version == 2
    assert server.labels("npc/smith") == {"canary": 2, "old": 3, "stable": 3}
    (request,) = updates(server)
    assert (request.revision, request.warm_up, request.test_text) == (5, True, "Hi")
    assert (request.actor, request.note) == ("me@here", "why")


@pytest.mark.usefixtures("smith")
async def test_promote_by_label_and_to_a_new_label(server: FakeServer, connect: Connect) -> None:
    move = await connect().promote("npc/smith@canary", "blue")
    assert (move.voice.ref, move.previous_version) == ("npc/smith@2", 0)
    assert server.labels("npc/smith") == {"blue": 2, "canary": 2, "old": 3, "stable": 2}


@pytest.mark.usefixtures("smith")
async def test_promote_of_what_is_there(server: FakeServer, connect: Connect) -> None:
    client = connect()
    move = await client.promote("npc/smith@2")
    assert (move.voice.ref, move.previous_version) == ("npc/smith@2", 2)
    assert updates(server) == []
    await client.promote("npc/smith@2", warm_up=True)
    assert [request.warm_up for request in updates(server)] == [True]


async def test_promote_needs_a_version(server: FakeServer, connect: Connect) -> None:
    with pytest.raises(InvalidRequestError, match="does not say which version"):
        await connect().promote("npc/smith")
    assert server.requests == []


@pytest.mark.usefixtures("smith")
async def test_promote_begins_anew_if_somebody_else_was_faster(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    def meanwhile() -> None:
        server.before_update = lambda: None
        server.relabel("npc/smith", 3, ["old", "blue"])
        server.record("npc/smith", "promote blue 3", "somebody", "")

    server.before_update = meanwhile
    move = await connect(time=fake_clock).promote("npc/smith@3")
    assert move.voice.labels == ("blue", "old", "stable")
    assert [request.revision for request in updates(server)] == [5, 6]
    assert fake_clock.sleeps == []


@pytest.mark.usefixtures("smith")
async def test_promote_finds_its_own_work_done(server: FakeServer, connect: Connect) -> None:
    def meanwhile() -> None:
        server.relabel("npc/smith", 3, ["old", "stable"])
        server.record("npc/smith", "promote stable 3", "somebody", "")

    server.before_update = meanwhile
    move = await connect().promote("npc/smith@3")
    assert (move.voice.labels, move.previous_version) == (("old", "stable"), 3)
    assert len(updates(server)) == 1


@pytest.mark.usefixtures("smith")
async def test_promote_gives_up_at_last(server: FakeServer, connect: Connect) -> None:
    server.before_update = lambda: server.record("npc/smith", "something", "somebody", "")
    with pytest.raises(RevisionConflictError):
        await connect().promote("npc/smith@3")
    assert len(updates(server)) == 5
    assert server.labels("npc/smith")["stable"] == 2


@pytest.mark.usefixtures("smith")
async def test_promote_has_one_deadline_for_all_of_it(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    def meanwhile() -> None:
        server.record("npc/smith", "something", "somebody", "")
        fake_clock.now_s += 15

    server.before_update = meanwhile
    with pytest.raises(RevisionConflictError):
        await connect(time=fake_clock, timeout_s=50.0).promote("npc/smith@3", timeout_s=20.0)
    assert len(updates(server)) == 2


@pytest.mark.usefixtures("smith")
async def test_a_version_that_fails_its_test(server: FakeServer, connect: Connect) -> None:
    failed = server.fail(PRECONDITION, "it is silent", server.reason("SELF_TEST_FAILED"))
    server.script.extend([server.play(), failed])
    with pytest.raises(SelfTestFailedError, match="it is silent"):
        await connect().promote("npc/smith@3", warm_up=True)
    assert server.labels("npc/smith")["stable"] == 2


@pytest.mark.usefixtures("smith")
async def test_roll_back(server: FakeServer, connect: Connect) -> None:
    client = connect()
    await client.promote("npc/smith@3")
    move = await client.roll_back("npc/smith", actor="me@here", note="it lisps")
    assert (move.voice.ref, move.previous_version) == ("npc/smith@2", 3)
    assert server.requests[-1] == voices_pb2.RollBackLabelRequest(
        voice="npc/smith", label="stable", actor="me@here", note="it lisps"
    )
    with pytest.raises(NothingToRollBackError):
        await client.roll_back("npc/smith", "canary")


# Deletion


@pytest.mark.usefixtures("smith")
async def test_delete_a_version_and_then_all(server: FakeServer, connect: Connect) -> None:
    client = connect()
    assert await client.delete_voice("npc/smith@1", actor="me@here", note="why") == (1,)
    assert server.requests[-1] == voices_pb2.DeleteVoiceRequest(
        voice="npc/smith@1", actor="me@here", note="why"
    )
    with pytest.raises(VersionInUseError) as caught:
        await client.delete_voice("npc/smith")
    assert caught.value.code == "FAILED_PRECONDITION"
    for version in (2, 3):
        await client.set_labels(f"npc/smith@{version}", [])
    assert await client.delete_voice("npc/smith") == (3, 2)
    assert server.voices == []
