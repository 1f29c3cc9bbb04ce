"""VoiceService over real gRPC: uploads, labels, deletions and signatures, while voices speak."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.e2e.servers import scrape
from tests.e2e.voice_service import (
    COMMIT,
    NOTICED_S,
    Piece,
    Register,
    Voice,
    VoiceServer,
    as_draft,
    serving_voices,
    upload_of,
)
from tests.registry.drafts import root_of
from tests.registry.faults import alter
from tests.registry.stores import KEY_ID, REGION, SECRET, S3Server, stored_blobs
from voxswap.v1 import speech_pb2, voices_pb2
from voxswap_client import DataLossError, SpeechResult, VoxswapClientError
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.upload import components_of
from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.draft import DraftComponent
from voxswap_registry.errors import RegistryError
from voxswap_registry.layout import BLOBS, VOICES, blob_key, manifest_key, state_key
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.signing import PrivateKey, new_key_pair
from voxswap_registry.state import Change, Edit, VoiceRecord, VoiceState
from voxswap_registry.storage.location import open_objects
from voxswap_registry.store import Registry
from voxswap_server.doors.grpc.translate import voices as voice_messages
from voxswap_server.voices import browsing

LONG = "The road goes ever on and on, down from the door where it began. " * 5
WAIT_S = 30

Share = voices_pb2.TrafficShare


def fault(call: Callable[[], object]) -> VoxswapClientError:
    """The error of a raw call, as a client's."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return from_rpc_error(raised.value)


def retuned(source: Path, target: Path, gain: float) -> Path:
    """A model whose last convolution is ``gain`` times as strong: 0 says nothing at all."""
    tensors = load_file(source)
    tensors["dec.conv_post.weight"] = tensors["dec.conv_post.weight"] * np.float32(gain)
    save_file(tensors, target)
    return target


@pytest.fixture(scope="module")
def stocked(joe_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with joe, and with his model as it is, softer, silent, and to be damaged."""
    folder = tmp_path_factory.mktemp("stocked")
    shutil.copytree(root_of(joe_registry), folder / "registry")
    registry = Registry(folder / "registry")
    joe = registry.resolve(VoiceRef("joe"))
    path = registry.objects.path(blob_key(joe.component("model").digest))
    assert path is not None
    models = {"joe": path}
    for name, gain in (("soft", 0.5), ("silent", 0.0), ("damaged", 0.7)):
        models[name] = retuned(path, folder / name, gain)
    for name, model in models.items():
        parts = tuple(
            DraftComponent.instead(c, model) if c.role == "model" else DraftComponent.stored(c)
            for c in joe.components
        )
        registry.publish(dataclasses.replace(as_draft(joe, parts), voice_id=f"models/{name}"))
    damaged = registry.resolve(VoiceRef("models/damaged")).component("model")
    path = registry.objects.path(blob_key(damaged.digest))
    assert path is not None
    path.chmod(0o644)
    alter(path)
    return folder / "registry"


@pytest.fixture(scope="module")
def served(stocked: Path) -> Iterator[VoiceServer]:
    with serving_voices(stocked) as served:
        yield served


# Uploads


@pytest.fixture(scope="module")
def new_model(served: VoiceServer, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model that the registry does not have; joe, not quite as loud."""
    source = served.registry.resolve(VoiceRef("joe")).component("model")
    path = served.registry.objects.path(blob_key(source.digest))
    assert path is not None
    return retuned(path, tmp_path_factory.mktemp("new") / "model", 0.9).read_bytes()


def test_a_voice_that_is_registered_speaks_at_once(served: VoiceServer, new_model: bytes) -> None:
    messages = upload_of(served, "new/joe", new_model, label="canary", actor="a@studio")
    wanted = components_of(messages[0].manifest_json)
    lacking = served.voices.FindMissingComponents(
        voices_pb2.FindMissingComponentsRequest(components=wanted)
    ).digests
    assert list(lacking) == [messages[1].component.digest]
    answer = served.voices.RegisterVoice(iter(messages), timeout=60)
    assert (answer.created, answer.voice.id, answer.voice.version) == (True, "new/joe", 1)
    assert list(answer.voice.labels) == ["canary"]
    result = served.say("new/joe@canary")
    assert result.header.voice == "new/joe@1"
    assert not result.header.cold, "it has spoken already, before it got its label"
    assert messages[1].component.digest in result.header.component_digests
    assert loudness(result) == pytest.approx(loudness(served.say("joe")), rel=0.3)
    # The same again is no new version, and nothing need be sent.
    again = served.voices.RegisterVoice(iter([messages[0], COMMIT]), timeout=60)
    assert (again.created, again.voice.version) == (False, 1)
    assert list(served.get("new/joe").versions) == [1]
    assert served.workdirs() == []


@pytest.mark.parametrize("content", ["silent", "noise"])
def test_a_voice_that_does_not_speak_gets_no_label_and_does_not_stay(
    served: VoiceServer, new_model: bytes, content: str
) -> None:
    """Its content is looked at before anybody is led to it."""
    voice_id = f"bad/{content}"
    served.publish(voice_id)
    served.label(f"{voice_id}@1", "stable")
    before = served.say(voice_id)
    if content == "silent":
        raw = json.loads(served.registry.resolve(VoiceRef("models/silent")).to_json())
        data = json.dumps({**raw, "voice_id": voice_id}).encode()
        messages = [Register(manifest_json=data), COMMIT]
    else:
        messages = upload_of(served, voice_id, np.random.default_rng(1).bytes(200_000))
    messages[0].label = "stable"
    error = fault(lambda: served.voices.RegisterVoice(iter(messages), timeout=60))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "SELF_TEST_FAILED")
    assert "the version was deleted again" in error.message
    assert ("it was silent" in error.message) == (content == "silent")
    assert served.get(voice_id).labels[0].version == 1
    assert list(served.get(voice_id).versions) == [1]
    after = served.say(voice_id)
    assert after.header.voice == f"{voice_id}@1"
    assert_same_line([after.audio], before)
    # Its number is spent.
    served.publish(voice_id)
    assert list(served.get(voice_id).versions) == [3, 1]


def loudness(result: SpeechResult) -> float:
    return float(np.sqrt(np.square(samples(result)).mean()))


def samples(result: SpeechResult) -> np.ndarray:
    return as_samples(result.audio)


def as_samples(audio: bytes) -> np.ndarray:
    return np.frombuffer(audio, "<i2").astype(np.float32) / 32767


def assert_same_line(heard: list[bytes], alone: SpeechResult) -> None:
    """The same voice said the same line with the same seed, whatever else went on."""
    audio, expected = as_samples(b"".join(heard)), samples(alone)
    assert len(audio) == len(expected)
    assert np.abs(audio - expected).max() < 1e-3


class FakeUpload:
    """The messages of an upload that goes on when the test says so. An iterator for grpc."""

    def __init__(self, *messages: Register) -> None:
        self._messages: queue.SimpleQueue[Register | None] = queue.SimpleQueue()
        for message in messages:
            self._messages.put(message)

    def send(self, *messages: Register | None) -> None:
        """More messages; None is the end."""
        for message in messages:
            self._messages.put(message)

    def __iter__(self) -> Iterator[Register]:
        while (message := self._messages.get(timeout=WAIT_S)) is not None:
            yield message


def partial_size(served: VoiceServer) -> int:
    """Bytes of uploads that have arrived so far."""
    return sum(f.stat().st_size for folder in served.workdirs() for f in folder.iterdir())


def test_an_upload_that_is_cancelled_midway_leaves_nothing(
    served: VoiceServer, new_model: bytes
) -> None:
    model = new_model[:-1] + b"X"
    messages = upload_of(served, "new/never", model)
    before = stored_blobs(served.registry.objects)
    feed = FakeUpload(*messages[:4])
    call = served.voices.RegisterVoice.future(iter(feed), timeout=60)
    served.thread.wait_until(lambda: partial_size(served) == 3 << 20)
    call.cancel()
    served.thread.wait_until(lambda: not served.workdirs())
    feed.send(None)
    assert call.cancelled()
    assert stored_blobs(served.registry.objects) == before
    assert served.registry.look("new/never").versions == ()
    error = fault(lambda: served.get("new/never"))
    assert error.reason == "VOICE_NOT_FOUND"
    assert [info.key for info in served.registry.objects.list("publishing")] == []


def test_bytes_that_are_not_what_they_should_be_are_told_by_field(
    served: VoiceServer, new_model: bytes
) -> None:
    model = new_model[: 3 << 20]
    messages = upload_of(served, "new/never", model)
    altered = Register(component=Piece(digest=messages[3].component.digest,
                                       offset_bytes=2 << 20, data=bytes(1 << 20)))  # fmt: skip
    for sent, field in (
        ([*messages[:3], altered], "component.data"),
        ([messages[0], messages[2]], "component.offset_bytes"),
        ([messages[0], COMMIT], "component"),
        (messages[:-1], "commit"),
        ([*messages, COMMIT], "commit"),
        (messages[1:], "manifest_json"),
        ([Register(manifest_json=b"{")], "manifest_json"),
        ([Register(manifest_json=b"{}")], "manifest_json.schema_version"),
        ([Register(manifest_json=messages[0].manifest_json, version=-1)], "version"),
    ):
        error = fault(lambda sent=sent: served.voices.RegisterVoice(iter(sent), timeout=60))  # type: ignore[misc]
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
        assert [violation.field for violation in error.violations] == [field]
    assert served.registry.look("new/never").versions == ()
    assert served.workdirs() == []


def test_no_more_uploads_at_a_time_than_the_server_takes(
    served: VoiceServer, new_model: bytes
) -> None:
    messages = upload_of(served, "new/never", new_model[:-2])
    feeds = [FakeUpload(messages[0]) for _ in range(2)]
    calls = [served.voices.RegisterVoice.future(iter(feed), timeout=60) for feed in feeds]
    served.thread.wait_until(lambda: len(served.workdirs()) == 2)
    error = fault(lambda: served.voices.RegisterVoice(iter(messages[:1]), timeout=60))
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_UPLOADS")
    assert error.retry_after_s
    for feed, call in zip(feeds, calls, strict=True):
        feed.send(None)
        assert call.exception(WAIT_S).code() is grpc.StatusCode.INVALID_ARGUMENT
    error = fault(lambda: served.voices.RegisterVoice(iter(messages[:1]), timeout=60))
    assert error.reason == "INVALID_INPUT"  # There is room again.


# Changes


def test_every_field_that_may_change_changes(served: VoiceServer) -> None:
    for _ in range(2):
        served.publish("edit/fields", tags=("old",), gender="male", display_name="Old")
    changes = {
        "display_name": "Schmied 铁匠",
        "tags": ["new", "village", "new"],
        "gender": "female",
        "labels": ["stable", "canary"],
        "traffic": [Share(version=1, weight=1), Share(version=2, weight=3)],
    }
    for revision, (field, value) in enumerate(changes.items(), 1):
        answer = served.update(
            "edit/fields", field, version=2, actor="me", note=f"why {field}", **{field: value}
        )
        assert answer.revision == revision
    voice = served.get("edit/fields@2").voice
    assert (voice.display_name, voice.gender) == ("Schmied 铁匠", "female")
    assert (list(voice.tags), list(voice.labels)) == (["new", "village"], ["canary", "stable"])
    assert {share.version: share.weight for share in voice.traffic} == {1: 1, 2: 3}
    assert [v.id for v in served.listed(tags=["village"], gender="female")] == ["edit/fields"]
    # What is not in the mask stays, whatever is sent for it.
    served.update("edit/fields", "gender", gender="", display_name="Not this", tags=["nor-this"])
    voice = served.get("edit/fields@2").voice
    assert (voice.display_name, voice.gender, list(voice.tags)) == (
        "Schmied 铁匠", "", ["new", "village"]
    )  # fmt: skip
    # All at once, or nothing; and nothing is no revision.
    answer = served.update("edit/fields", "labels", "traffic", "tags", version=1, labels=["stable"])
    assert answer.revision == 7
    assert served.update("edit/fields", "tags").revision == 7
    found = served.get("edit/fields")
    assert {label.name: label.version for label in found.labels} == {"canary": 2, "stable": 1}
    assert (list(found.voice.traffic), list(found.voice.tags)) == ([], [])


@pytest.mark.parametrize(
    ("fields", "paths", "named"),
    [
        ({}, [], "update_mask"),
        ({}, ["licence"], "update_mask"),
        ({}, ["id"], "update_mask"),
        ({}, ["labels.name"], "update_mask"),
        ({}, ["*"], "update_mask"),
        ({"labels": ["a"]}, ["labels"], "voice.version"),
        ({"version": -1, "labels": ["a"]}, ["labels"], "voice.version"),
        ({"version": 1, "labels": ["Stable"]}, ["labels"], "labels"),
        ({"version": 1, "labels": ["7"]}, ["labels"], "labels"),
        ({"tags": ["Village"]}, ["tags"], "tags"),
        ({"tags": [f"t{n}" for n in range(33)]}, ["tags"], "tags"),
        ({"gender": "a b"}, ["gender"], "gender"),
        ({"display_name": "a\nb"}, ["display_name"], "display_name"),
        ({"display_name": "a" * 129}, ["display_name"], "display_name"),
        ({"traffic": [Share(version=1, weight=0)]}, ["traffic"], "traffic"),
        ({"traffic": [Share(version=1, weight=10**7)]}, ["traffic"], "traffic"),
        ({"traffic": [Share(version=1, weight=1)] * 2}, ["traffic"], "voice.traffic"),
        ({"warm_up": True}, ["tags"], "warm_up"),
        ({"warm_up": True, "version": 1}, ["labels"], "warm_up"),
        ({"actor": "a" * 129}, ["tags"], "actor"),
        ({"note": "a" * 501}, ["tags"], "note"),
        ({"version": 1, "labels": ["a"], "test_text": "a" * 501}, ["labels"], "test_text"),
        ({"version": 1, "labels": ["a"], "test_text": "a\0b"}, ["labels"], "test_text"),
    ],
)  # fmt: skip
def test_an_update_that_does_not_fit_is_refused_by_its_field(
    served: VoiceServer, fields: dict[str, Any], paths: Sequence[str], named: str
) -> None:
    if not served.registry.look("edit/faults").versions:
        served.publish("edit/faults")
    error = fault(lambda: served.update("edit/faults", *paths, **fields))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert [violation.field for violation in error.violations] == [named]
    assert served.get("edit/faults").revision == 0


def test_versions_and_voices_that_are_not_there_are_not_found(served: VoiceServer) -> None:
    served.publish("edit/alone")
    for call in (
        lambda: served.label("edit/alone@2", "stable"),
        lambda: served.label("edit/nobody@1", "stable"),
        lambda: served.update("edit/alone", "traffic", traffic=[Share(version=2, weight=1)]),
        lambda: served.voices.DeleteVoice(voices_pb2.DeleteVoiceRequest(voice="edit/alone@2")),
        lambda: served.voices.DeleteVoice(voices_pb2.DeleteVoiceRequest(voice="edit/nobody")),
        lambda: served.voices.RollBackLabel(voices_pb2.RollBackLabelRequest(voice="edit/nobody")),
        lambda: served.voices.ListChanges(voices_pb2.ListChangesRequest(voice="edit/nobody")),
    ):
        error = fault(call)
        assert (error.code, error.reason) == ("NOT_FOUND", "VOICE_NOT_FOUND")
    assert served.get("edit/alone").revision == 0


def test_a_change_that_was_made_for_another_revision_is_aborted(served: VoiceServer) -> None:
    served.publish("edit/rivals")
    served.update("edit/rivals", "tags", tags=["one"], revision=0)
    error = fault(lambda: served.update("edit/rivals", "tags", tags=["two"], revision=0))
    assert (error.code, error.reason) == ("ABORTED", "REVISION_CONFLICT")
    assert "revision 1" in str(error)
    assert list(served.get("edit/rivals").voice.tags) == ["one"]
    assert served.update("edit/rivals", "tags", tags=["two"], revision=1).revision == 2


def residents(served: VoiceServer) -> set[str]:
    return {
        ref
        for resident in served.thread.on_loop(served.thread.house.manager.residents)
        for ref in resident.refs
    }


def test_a_version_that_warms_up_is_resident_when_its_label_moves(served: VoiceServer) -> None:
    served.publish("warm/good")
    served.publish("warm/good", "soft")
    assert "warm/good@2" not in residents(served)
    answer = served.label("warm/good@2", "stable", warm_up=True)
    assert list(answer.voice.labels) == ["stable"]
    assert "warm/good@2" in residents(served)
    result = served.say("warm/good")
    assert (result.header.voice, result.header.cold) == ("warm/good@2", False)
    assert served.label("warm/good@1", "stable", warm_up=True, test_text="Move!").revision == 2


def test_a_version_that_is_silent_gets_no_label(served: VoiceServer) -> None:
    served.publish("warm/silent")
    served.label("warm/silent@1", "stable")
    served.publish("warm/silent", "silent")
    error = fault(lambda: served.label("warm/silent@2", "stable", "canary", warm_up=True))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "SELF_TEST_FAILED")
    assert "silent" in str(error)
    found = served.get("warm/silent")
    assert [(label.name, label.version) for label in found.labels] == [("stable", 1)]
    assert found.revision == 1
    assert served.say("warm/silent").header.voice == "warm/silent@1"
    # Whoever insists may have it.
    served.label("warm/silent@2", "canary")
    assert loudness(served.say("warm/silent@canary")) == 0


def test_a_damaged_version_gets_no_label_and_disturbs_no_stream(served: VoiceServer) -> None:
    served.publish("warm/damaged")
    served.label("warm/damaged@1", "stable")
    alone = served.say("warm/damaged", LONG)
    served.publish("warm/damaged", "damaged")
    before = scrape(served.thread)
    with served.client.synthesize("warm/damaged", LONG, seed=7, pacing="none") as stream:
        chunks = iter(stream)
        heard = [next(chunks).audio]
        for _ in range(3):
            error = fault(lambda: served.label("warm/damaged@2", "stable", warm_up=True))
            assert (error.code, error.reason) == ("DATA_LOSS", "DIGEST_MISMATCH")
        heard += [chunk.audio for chunk in chunks]
    assert stream.header.voice == "warm/damaged@1"
    assert_same_line(heard, alone)
    assert [(label.name, label.version) for label in served.get("warm/damaged").labels] == [
        ("stable", 1)
    ]
    with pytest.raises(DataLossError, match="quarantine"):
        served.say("warm/damaged@2")
    after = scrape(served.thread)
    assert after["voxswap_quarantined_components_total"] == 1
    assert before["voxswap_quarantined_components_total"] == 0


def test_nobody_is_led_to_a_version_that_cannot_be_read(served: VoiceServer) -> None:
    served.publish("edit/torn")
    served.label("edit/torn@1", "stable")
    served.registry.objects.replace(manifest_key("edit/torn", 2), b'{"torn')
    for call in (
        lambda: served.label("edit/torn@2", "stable"),
        lambda: served.update(
            "edit/torn",
            "traffic",
            traffic=[Share(version=1, weight=1), Share(version=2, weight=1)],
        ),
    ):
        error = fault(call)
        assert (error.code, error.reason) == ("DATA_LOSS", "MANIFEST_INVALID")
    assert served.get("edit/torn@1").revision == 1
    versions = served.voices.ListVersions(
        voices_pb2.ListVersionsRequest(voice="edit/torn")
    ).versions
    assert [(v.version, bool(v.problem)) for v in versions] == [(2, True), (1, False)]


def test_a_label_is_rolled_back_to_where_it_was(served: VoiceServer) -> None:
    for _ in range(2):
        served.publish("edit/back")
    roll_back = served.voices.RollBackLabel
    request = voices_pb2.RollBackLabelRequest(voice="edit/back", actor="me", note="it lisps")
    error = fault(lambda: roll_back(request))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "NOTHING_TO_ROLL_BACK")
    served.label("edit/back@1", "stable")
    served.label("edit/back@2", "stable")
    answer = roll_back(request)
    assert (answer.voice.version, answer.previous_version) == (1, 2)
    assert list(answer.voice.labels) == ["stable"]
    assert served.say("edit/back").header.voice == "edit/back@1"
    assert fault(lambda: roll_back(request)).reason == "NOTHING_TO_ROLL_BACK"
    request.label = "canary"
    assert fault(lambda: roll_back(request)).reason == "NOTHING_TO_ROLL_BACK"


def test_a_version_in_use_is_not_deleted(served: VoiceServer) -> None:
    for _ in range(3):
        served.publish("edit/gone")
    served.label("edit/gone@1", "stable")
    served.update("edit/gone", "traffic", traffic=[Share(version=2, weight=1)])

    def delete(ref: str) -> list[int]:
        request = voices_pb2.DeleteVoiceRequest(voice=ref, actor="me")
        return list(served.voices.DeleteVoice(request, timeout=30).versions)

    for ref in ("edit/gone@1", "edit/gone@2", "edit/gone@stable", "edit/gone"):
        error = fault(lambda ref=ref: delete(ref))  # type: ignore[misc]
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "VERSION_IN_USE")
    assert delete("edit/gone@3") == [3]
    assert list(served.get("edit/gone").versions) == [2, 1]
    served.update("edit/gone", "traffic", "labels", version=1)
    assert delete("edit/gone") == [2, 1]
    for call in (lambda: served.get("edit/gone"), lambda: delete("edit/gone")):
        assert fault(call).reason == "VOICE_NOT_FOUND"
    assert served.publish("edit/gone").version == 4  # No number comes twice.


def test_the_history_of_a_voice_is_told_by_pages(served: VoiceServer) -> None:
    served.publish("edit/history")
    for n in range(5):
        served.update("edit/history", "tags", tags=[f"t{n}"], actor=f"a{n}", note=f"n{n}")
    served.label("edit/history@1", "stable")
    request = voices_pb2.ListChangesRequest(voice="edit/history", page_size=4)
    first = served.voices.ListChanges(request)
    assert [change.revision for change in first.changes] == [6, 5, 4, 3]
    assert first.changes[0].action == "promote stable 1"
    assert [(label.name, label.version) for label in first.changes[0].labels] == [("stable", 1)]
    assert (first.changes[1].actor, first.changes[1].note) == ("a4", "n4")
    assert abs(first.changes[0].time.ToSeconds() - time.time()) < 600
    served.update("edit/history", "tags", tags=["later"])  # Moves no page.
    request.page_token = first.next_page_token
    second = served.voices.ListChanges(request)
    assert [change.revision for change in second.changes] == [2, 1]
    assert second.next_page_token == ""
    for token in ("%", "LTE=", "Li4="):
        request.page_token = token
        assert [v.field for v in fault(lambda: served.voices.ListChanges(request)).violations] == [
            "page_token"
        ]


def test_voices_are_listed_by_filters_and_pages(served: VoiceServer) -> None:
    for n in range(7):
        served.publish(
            f"list/{n}",
            language=("en-US", "en", "eng", "de")[n % 4],
            tags=("even",) if n % 2 == 0 else ("odd", "village"),
            gender=("female", "male")[n % 2],
        )

    def ids(**wanted: Any) -> list[str]:
        return [voice.id for voice in served.listed(prefix="list/", **wanted)]

    assert ids() == [f"list/{n}" for n in range(7)]
    assert ids(language="en") == ["list/0", "list/1", "list/4", "list/5"]
    assert ids(language="EN-us") == ["list/0", "list/4"]
    assert ids(tags=["odd", "village"]) == ["list/1", "list/3", "list/5"]
    assert ids(tags=["odd", "even"]) == []
    assert ids(gender="male", language="en") == ["list/1", "list/5"]
    assert ids(engine="vits", gender="female", tags=["even"]) == [
        "list/0", "list/2", "list/4", "list/6"
    ]  # fmt: skip
    assert ids(engine="kazoo") == []
    assert [v.field for v in fault(lambda: ids(tags=["No!"])).violations] == ["tags"]
    request = voices_pb2.ListVoicesRequest(prefix="list/", page_size=3)
    pages = []
    while True:
        answer = served.voices.ListVoices(request)
        pages.append([voice.id for voice in answer.voices])
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert pages == [["list/0", "list/1", "list/2"], ["list/3", "list/4", "list/5"], ["list/6"]]
    answer = served.voices.ListVoices(voices_pb2.ListVoicesRequest(prefix="list/", page_size=7))
    assert answer.next_page_token == ""


def test_a_voice_that_no_message_can_hold_hides_no_other(
    served: VoiceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for voice_id in ("odd/a", "odd/b", "odd/c"):
        served.publish(voice_id)
    convert = voice_messages._voice

    def picky(manifest: Manifest, record: VoiceRecord) -> Voice:
        if manifest.voice_id == "odd/b":
            return Voice(version=1 << 40)
        return convert(manifest, record)

    monkeypatch.setattr(voice_messages, "_voice", picky)
    listed = served.listed(prefix="odd/")
    assert [(v.id, v.version, bool(v.problem)) for v in listed] == [
        ("odd/a", 1, False), ("odd/b", 1, True), ("odd/c", 1, False)
    ]  # fmt: skip
    assert "publish the version anew" in listed[1].problem
    request = voices_pb2.ListVersionsRequest(voice="odd/b")
    (version,) = served.voices.ListVersions(request, timeout=30).versions
    assert version.problem == listed[1].problem
    assert fault(lambda: served.get("odd/b")).code == "DATA_LOSS"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_outside_the_calendar_hides_no_voice(served: VoiceServer, time: str) -> None:
    """In a manifest, over the wire or by hand, and in a history."""
    joe = served.registry.resolve(VoiceRef("joe"))
    raw = json.loads(joe.to_json()) | {"voice_id": "odd/time"}
    raw["provenance"]["created"] = time
    data = json.dumps(raw).encode()
    call = served.voices.RegisterVoice
    error = fault(lambda: call(iter([Register(manifest_json=data)]), timeout=30))
    assert [v.field for v in error.violations] == ["manifest_json.provenance.created"]
    served.registry.objects.replace(manifest_key("odd/time", 1), data)
    state = VoiceState(1, labels={"stable": 1}, change=Change("promote stable 1", time=time))
    served.registry.objects.replace(state_key("odd/time", 1), state.to_json())
    served.thread.house.catalog.refresh(["odd/time"])
    assert len(served.listed(page_size=1000)) == served.thread.house.catalog.count()
    (listed,) = served.listed(prefix="odd/time")
    assert "must be a time" in listed.problem
    request = voices_pb2.ListChangesRequest(voice="odd/time")
    assert not served.voices.ListChanges(request, timeout=30).changes[0].HasField("time")


def test_answers_are_cut_before_they_are_too_large(
    served: VoiceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        served.publish("large/0", licence=f"{n}" * 1000)
        served.publish(f"large/{n + 1}", licence=f"{n}" * 1000)
        served.update("large/0", "tags", tags=[f"t{n}"])
    size = served.get("large/1").voice.ByteSize()
    monkeypatch.setattr(voice_messages, "MAX_ANSWER_BYTES", 2 * size + 500)
    request = voices_pb2.ListVoicesRequest(prefix="large/")
    pages = []
    while True:
        answer = served.voices.ListVoices(request, timeout=30)
        pages.append([voice.id for voice in answer.voices])
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert pages == [[f"large/{n}", f"large/{n + 1}"] for n in (0, 2, 4)]
    versions = voices_pb2.ListVersionsRequest(voice="large/0")
    found = served.voices.ListVersions(versions, timeout=30).versions
    assert [voice.version for voice in found] == [5, 4]
    # One always goes, however large.
    monkeypatch.setattr(voice_messages, "MAX_ANSWER_BYTES", 1)
    assert [v.version for v in served.voices.ListVersions(versions, timeout=30).versions] == [5]
    changes = voices_pb2.ListChangesRequest(voice="large/0")
    told = served.voices.ListChanges(changes, timeout=30)
    assert ([change.revision for change in told.changes], bool(told.next_page_token)) == (
        [5], True
    )  # fmt: skip
    monkeypatch.undo()
    monkeypatch.setattr(voice_messages, "MAX_VERSIONS", 3)
    found = served.voices.ListVersions(versions, timeout=30).versions
    assert [voice.version for voice in found] == [5, 4, 3]


def test_a_page_may_be_longer_than_what_is_read_at_a_time(
    served: VoiceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "_BATCH", 2)
    everything = [voice.id for voice in served.listed(page_size=1000)]
    assert len(everything) == served.thread.house.catalog.count()
    request = voices_pb2.ListVoicesRequest(page_size=5)
    answer = served.voices.ListVoices(request, timeout=30)
    assert [voice.id for voice in answer.voices] == everything[:5]
    assert answer.next_page_token


# What is done is done


@pytest.fixture
def blinded(stocked: Path) -> Iterator[VoiceServer]:
    """A server of its own, whose looks at the registry may fail."""
    with serving_voices(stocked) as served:
        yield served


def test_a_change_that_was_made_is_told_though_nobody_can_look(
    blinded: VoiceServer, new_model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = blinded
    catalog = served.thread.house.catalog
    refresh, fails = catalog.refresh, False

    def failing(voice_ids: Iterable[str] | None = None) -> object:
        if fails:
            raise RegistryError("the store is away")
        return refresh(voice_ids)

    def then_fails(name: str) -> None:
        original = getattr(catalog.registry, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal fails
            try:
                return original(*args, **kwargs)
            finally:
                fails = True

        monkeypatch.setattr(catalog.registry, name, call)

    monkeypatch.setattr(catalog, "refresh", failing)
    for name in ("edit", "roll_back", "delete", "publish_if_new"):
        then_fails(name)
    for _ in range(2):
        served.publish("done/voice")
    served.registry.edit("done/voice", Edit(moves={"stable": 1}))
    answer = served.label("done/voice@2", "stable")
    assert (answer.revision, answer.voice.version, list(answer.voice.labels)) == (2, 2, ["stable"])
    fails = False
    request = voices_pb2.RollBackLabelRequest(voice="done/voice")
    back = served.voices.RollBackLabel(request, timeout=30)
    assert (back.previous_version, back.voice.version) == (2, 1)
    assert list(back.voice.labels) == ["stable"]
    fails = False
    gone = served.voices.DeleteVoice(
        voices_pb2.DeleteVoiceRequest(voice="done/voice@2"), timeout=30
    )
    assert list(gone.versions) == [2]
    fails = False
    new = served.voices.RegisterVoice(iter(upload_of(served, "done/new", new_model)), timeout=60)
    assert (new.created, new.voice.id, new.voice.version) == (True, "done/new", 1)
    # One that was not made is an error as before.
    error = fault(lambda: served.label("done/voice@1", "canary"))
    assert (error.code, error.reason) == ("UNAVAILABLE", "REGISTRY_UNREADABLE")
    assert served.registry.record("done/voice").state.labels == {"stable": 1}


# While voices speak


def test_a_stream_goes_on_with_its_version_whatever_becomes_of_it(served: VoiceServer) -> None:
    served.publish("swap/live")
    served.label("swap/live@1", "stable")
    alone = served.say("swap/live@1", LONG)
    served.publish("swap/live", "soft")
    with served.client.synthesize("swap/live", LONG, seed=7, pacing="none") as stream:
        chunks = iter(stream)
        heard = [next(chunks).audio]
        served.label("swap/live@2", "stable", warm_up=True)
        gone = served.voices.DeleteVoice(voices_pb2.DeleteVoiceRequest(voice="swap/live@1"))
        assert list(gone.versions) == [1]
        meanwhile = served.say("swap/live")
        heard += [chunk.audio for chunk in chunks]
    assert stream.header.voice == "swap/live@1"
    assert_same_line(heard, alone)
    assert meanwhile.header.voice == "swap/live@2"
    assert len(alone.audio) != len(meanwhile.audio)
    assert loudness(meanwhile) < 0.75 * loudness(alone)
    with pytest.raises(VoxswapClientError, match="was deleted"):
        served.say("swap/live@1")


def test_a_session_keeps_to_one_side_of_a_split(served: VoiceServer) -> None:
    for _ in range(2):
        served.publish("swap/split")
    shares = [Share(version=1, weight=50), Share(version=2, weight=50)]
    served.update("swap/split", "traffic", traffic=shares)

    def version(session_id: str) -> str:
        request = speech_pb2.SynthesizeRequest(
            voice="swap/split", text="Aye.", session_id=session_id
        )
        call = served.speech.Synthesize(request, timeout=30)
        header = next(iter(call)).header
        call.cancel()
        return header.voice

    sessions = [f"player-{n}" for n in range(12)]
    chosen = {session: version(session) for session in sessions}
    assert set(chosen.values()) == {"swap/split@1", "swap/split@2"}
    for _ in range(2):
        assert {session: version(session) for session in sessions} == chosen
    # Where the split ends, the label counts again; and a number means itself.
    served.update("swap/split", "traffic", "labels", version=1, labels=["stable"])
    assert {version(session) for session in sessions[:4]} == {"swap/split@1"}


# What others do


def test_the_server_notices_what_others_publish_and_promote(
    served: VoiceServer, stocked: Path
) -> None:
    other = Registry(stocked)
    manifest = other.resolve(VoiceRef("models/joe"))
    parts = tuple(map(DraftComponent.stored, manifest.components))
    draft = dataclasses.replace(as_draft(manifest, parts), voice_id="others/voice")

    def version(ref: str) -> int:
        with contextlib.suppress(Exception):
            return served.thread.house.catalog.resolve(VoiceRef.parse(ref)).version
        return 0

    def seconds_until(ref: str, number: int) -> float:
        began = time.monotonic()
        served.thread.wait_until(lambda: version(ref) == number)
        return time.monotonic() - began

    other.publish(draft)
    assert seconds_until("others/voice", 1) < NOTICED_S
    other.publish(draft)
    assert seconds_until("others/voice", 2) < NOTICED_S
    other.edit("others/voice", Edit(moves={"stable": 1}))
    assert seconds_until("others/voice", 1) < NOTICED_S
    assert served.say("others/voice").header.voice == "others/voice@1"
    other.edit("others/voice", Edit(moves={"stable": 2}))
    assert seconds_until("others/voice@stable", 2) < NOTICED_S
    other.delete(VoiceRef("others/voice", 1))
    served.thread.wait_until(lambda: version("others/voice@1") == 0)
    seen = scrape(served.thread)
    assert seen["voxswap_registry_changes_total"] >= 5
    assert seen["voxswap_registry_look_failures_total"] == 0
    assert abs(seen["voxswap_registry_look_time_seconds"] - time.time()) < 60
    assert seen["voxswap_registry_voices"] == len(served.listed(page_size=1000))
    assert seen["voxswap_disk_cache_bytes"] == 0


def test_a_voice_that_cannot_be_read_is_no_change_at_each_look(served: VoiceServer) -> None:
    served.publish("others/linked")
    path = root_of(served.registry) / manifest_key("others/linked", 2)
    path.symlink_to(path.with_name("v1.json"))
    before = scrape_of_loop(served)["voxswap_registry_changes_total"]
    served.registry.journal.append("others/linked")
    looks: set[float] = set()
    last_look = served.thread.house.metrics._looked._value

    def looked() -> bool:
        looks.add(last_look.get())
        return len(looks) > 2

    served.thread.wait_until(looked)
    assert scrape_of_loop(served)["voxswap_registry_changes_total"] == before
    with pytest.raises(VoxswapClientError, match="symbolic link") as raised:
        served.say("others/linked")
    assert raised.value.code == "UNAVAILABLE"
    assert served.say("others/linked@1").header.voice == "others/linked@1"
    path.unlink()


def test_a_registry_that_is_gone_silences_no_resident_voice(
    served: VoiceServer, stocked: Path
) -> None:
    before = served.say("joe")
    catalog = served.thread.house.catalog
    known = catalog.count()
    elsewhere = stocked.with_name("elsewhere")
    stocked.rename(elsewhere)
    try:
        for _ in range(2):
            assert served.say("joe").audio == before.audio
            # A full look, as there is one each minute.
            with pytest.raises(Exception, match="is empty"):
                catalog.refresh()
        assert catalog.count() == known == len(served.listed(page_size=1000))
        error = fault(lambda: served.update("joe", "tags", tags=["x"]))
        assert error.code == "UNAVAILABLE"
        assert served.say("joe").audio == before.audio
    finally:
        shutil.rmtree(stocked, ignore_errors=True)
        elsewhere.rename(stocked)
    assert served.update("joe", "tags", tags=["back"]).revision == 1


# Signatures


def test_where_signatures_are_required_only_the_signed_speak(stocked: Path, tmp_path: Path) -> None:
    keys = new_key_pair(tmp_path / "studio")
    key = PrivateKey.load(keys.private_path)
    with serving_voices(
        stocked, require_signature=True, trusted_keys=(keys.public_path,)
    ) as served:
        served.publish("signed/voice")
        for call in (
            lambda: served.say("signed/voice"),
            lambda: served.client.get_voice("signed/voice"),
        ):
            with pytest.raises(VoxswapClientError, match="no signature at all") as raised:
                call()
            assert (raised.value.code, raised.value.reason) == (
                "FAILED_PRECONDITION", "SIGNATURE_INVALID"
            )  # fmt: skip
        (listed,) = served.listed(prefix="signed/")
        assert (listed.id, listed.version) == ("signed/voice", 1)
        assert "no signature at all" in listed.problem
        error = fault(lambda: served.label("signed/voice@1", "stable"))
        assert error.reason == "SIGNATURE_INVALID"

        Registry(stocked).sign("signed/voice", 1, key)
        catalog = served.thread.house.catalog
        served.thread.wait_until(
            lambda: not next(catalog.listings(VoiceFilter(prefix="signed/"))).error
        )
        assert not served.listed(prefix="signed/")[0].problem
        assert served.say("signed/voice").header.voice == "signed/voice@1"
        served.label("signed/voice@1", "stable")
        # What comes next is unsigned, and takes nothing away from what is signed.
        served.publish("signed/voice", "soft")
        assert served.say("signed/voice").header.voice == "signed/voice@1"
        with pytest.raises(VoxswapClientError, match="signed/voice@2"):
            served.say("signed/voice@2")
        # Nor does rolling back lead to it, though somebody at the store once did.
        elsewhere = Registry(stocked)
        for version in (2, 1):
            elsewhere.edit("signed/voice", Edit(moves={"stable": version}))
        request = voices_pb2.RollBackLabelRequest(voice="signed/voice")
        assert fault(lambda: served.voices.RollBackLabel(request)).reason == "SIGNATURE_INVALID"
        assert elsewhere.record("signed/voice").state.labels == {"stable": 1}


# A bucket


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with S3Server() as server:
        for name, value in {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        yield server


def test_a_bucket_is_spoken_from_through_the_cache_and_without_the_bucket(
    s3: S3Server, joe_registry: Registry, tmp_path: Path
) -> None:
    bucket = s3.new_bucket()
    location = f"s3://{bucket}/voices"
    source, target = joe_registry.objects, open_objects(location)
    for folder in (BLOBS, VOICES):
        for info in source.list(folder):
            target.upload(info.key, map(memoryview, source.stream(info.key)))
    size_bytes = joe_registry.resolve(VoiceRef("joe")).size_bytes
    with serving_voices(location, cache_dir=tmp_path / "cache") as served:
        assert scrape(served.thread)["voxswap_disk_cache_bytes"] == 0
        first = served.say("joe")
        assert first.header.cold
        assert scrape(served.thread)["voxswap_disk_cache_bytes"] == size_bytes
        # Changes over the wire and by others reach a bucket too.
        served.update("joe", "tags", tags=["far"])
        served.registry.edit("joe", Edit(moves={"stable": 1}))
        catalog = served.thread.house.catalog
        served.thread.wait_until(lambda: catalog.record("joe").state.revision == 2)
        assert [label.name for label in served.get("joe").labels] == ["stable"]
        assert served.registry.objects.read(state_key("joe", 2), limit_bytes=1 << 18)
    s3.__exit__()
    began = time.monotonic()
    with serving_voices(location, cache_dir=tmp_path / "cache") as served:
        assert time.monotonic() - began < WAIT_S
        again = served.say("joe@stable")
        assert again.header.cold
        assert again.audio == first.audio
        assert [list(voice.tags) for voice in served.listed()] == [["far"]]
        error = fault(lambda: served.update("joe", "tags", tags=["near"]))
        assert (error.code, error.reason) == ("UNAVAILABLE", "REGISTRY_UNREADABLE")
        served.thread.wait_until(
            lambda: scrape_of_loop(served)["voxswap_registry_look_failures_total"] >= 1
        )


def scrape_of_loop(served: VoiceServer) -> Counter[str]:
    """The metrics, read where no scrape may block."""
    found: Counter[str] = Counter()
    for metric in served.thread.house.metrics.registry.collect():
        for sample in metric.samples:
            found[sample.name] += sample.value  # type: ignore[assignment]
    return found
