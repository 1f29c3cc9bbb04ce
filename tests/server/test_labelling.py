"""The label of an upload: who gets it, who is withdrawn, and who stays without it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.registry.drafts import make_draft
from voxswap_families.errors import DeviceStuckError
from voxswap_registry.errors import (
    EngineError,
    FrontEndError,
    RegistryError,
    VoxswapError,
)
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit
from voxswap_registry.store import Registry
from voxswap_server.residency.errors import (
    LoadFailedError,
    LoadTimeoutError,
    MemoryBusyError,
    VoiceTooLargeError,
)
from voxswap_server.speech.errors import OverloadedError
from voxswap_server.voices.labelling import Labelling
from voxswap_server.voices.self_test import SelfTest, SelfTestError
from voxswap_server.voices.store_calls import StoreCalls
from voxswap_server.voices.uploads import Received


class LabellingFixture:
    """A registry with `npc/new@1`, which is stable, and @2, which was just uploaded."""

    def __init__(self, folder: Path, store: StoreCalls) -> None:
        self.registry = Registry(folder / "registry")
        draft = make_draft(folder)
        self.voice_id = draft.voice_id
        self.registry.publish(draft, label="stable")
        self.received = Received(self.registry.publish(draft), True, "stable", "me")
        self.outcome: BaseException | None = None
        self.heard: list[tuple[str, float | None]] = []
        self.labelling = Labelling(self.registry, store, cast("SelfTest", self))

    async def run(self, manifest: Any, *, timeout_s: float | None = None) -> None:
        """As a self-test runs."""
        assert self.labels() == {"stable": 1}, "nobody is led to it before"
        self.heard.append((manifest.ref, timeout_s))
        if self.outcome is not None:
            raise self.outcome

    async def move(self, received: Received | None = None) -> Any:
        record = self.registry.record(self.voice_id)
        return await self.labelling.move(received or self.received, "stable", record, timeout_s=7.0)

    def labels(self) -> dict[str, int]:
        return dict(self.registry.record(self.voice_id).state.labels)

    def versions(self) -> tuple[int, ...]:
        return self.registry.versions(self.voice_id)


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[LabellingFixture]:
    with contextlib.closing(StoreCalls()) as store:
        yield LabellingFixture(tmp_path, store)


async def test_a_version_that_speaks_gets_its_label(fixture: LabellingFixture) -> None:
    record = await fixture.move()
    assert record.state.labels == fixture.labels() == {"stable": 2}
    assert record.state.change.actor == "me"
    assert fixture.heard == [(f"{fixture.voice_id}@2", 7.0)]
    # One that has it already need not speak again.
    await fixture.move()
    assert len(fixture.heard) == 1


ITS_OWN = [
    SelfTestError("x@2 did not pass", fault="it was silent"),
    EngineError("the weights are noise"),
    LoadFailedError("the log has it"),
    ZeroDivisionError("foreign text"),
]


@pytest.mark.parametrize("error", ITS_OWN, ids=lambda error: type(error).__name__)
async def test_a_version_that_does_not_is_withdrawn(
    fixture: LabellingFixture, error: Exception
) -> None:
    fixture.outcome = error
    with pytest.raises(SelfTestError, match="deleted again") as raised:
        await fixture.move()
    assert raised.value.reason == "SELF_TEST_FAILED"
    assert raised.value.metadata == {"voice": f"{fixture.voice_id}@2"}
    said = {"SelfTestError": "it was silent", "EngineError": "the weights are noise"}
    assert said.get(type(error).__name__, "") in raised.value.message
    assert "foreign" not in raised.value.message
    assert (fixture.versions(), fixture.labels()) == ((1,), {"stable": 1})
    record = fixture.registry.record(fixture.voice_id)
    assert (record.state.change.actor, record.highest_number) == ("me", 2)


async def test_one_that_was_there_before_the_upload_stays(fixture: LabellingFixture) -> None:
    fixture.outcome = SelfTestError("no", fault="it was silent")
    received = Received(fixture.received.manifest, False, "stable", "me")
    with pytest.raises(SelfTestError, match="was there before, and stays"):
        await fixture.move(received)
    assert (fixture.versions(), fixture.labels()) == ((1, 2), {"stable": 1})


async def test_one_that_others_have_taken_up_meanwhile_stays(fixture: LabellingFixture) -> None:
    fixture.outcome = SelfTestError("no", fault="it was silent")
    delete = fixture.registry.delete

    def delete_late(ref: VoiceRef, **who: Any) -> Any:
        fixture.registry.edit(fixture.voice_id, Edit(moves={"canary": 2}))
        return delete(ref, **who)

    fixture.registry.delete = delete_late  # type: ignore[method-assign]
    with pytest.raises(SelfTestError, match="others have taken it up"):
        await fixture.move()
    assert fixture.labels() == {"stable": 1, "canary": 2}


async def test_one_that_somebody_else_deleted_first_is_gone(fixture: LabellingFixture) -> None:
    fixture.outcome = SelfTestError("no", fault="it was silent")
    fixture.registry.delete(VoiceRef(fixture.voice_id, 2))
    with pytest.raises(SelfTestError, match="deleted again"):
        await fixture.move()


async def test_one_that_cannot_be_deleted_is_left_to_whoever_asked(
    fixture: LabellingFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture.outcome = SelfTestError("no", fault="it was silent")

    def fail(*_: Any, **__: Any) -> None:
        raise RegistryError("the store is away")

    monkeypatch.setattr(fixture.registry, "delete", fail)
    with pytest.raises(SelfTestError, match=r"could not be deleted.*the store is away"):
        await fixture.move()
    assert fixture.labels() == {"stable": 1}


PASSING = [
    OverloadedError("as much as there is time for"),
    MemoryBusyError("all speak"),
    LoadTimeoutError("too slow"),
    VoiceTooLargeError("over the budget"),
    DeviceStuckError("a step hangs"),
    FrontEndError("no reader of Klingon is installed"),
    RegistryError("the store is away"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
async def test_what_is_not_the_versions_fault_leaves_it_without_the_label(
    fixture: LabellingFixture, error: VoxswapError
) -> None:
    error.retry_s = 3.0
    fixture.outcome = error
    with pytest.raises(type(error)) as raised:
        await fixture.move()
    told = raised.value
    assert (type(told), told.reason, told.retry_s) == (type(error), error.reason, 3.0)
    assert error.message in told.message
    assert f"voxswap voices promote {fixture.voice_id}@2 --label stable" in told.message
    assert (fixture.versions(), fixture.labels()) == ((1, 2), {"stable": 1})


async def test_a_call_that_is_cancelled_leaves_it_without_the_label(
    fixture: LabellingFixture,
) -> None:
    fixture.outcome = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await fixture.move()
    assert (fixture.versions(), fixture.labels()) == ((1, 2), {"stable": 1})


async def test_a_store_that_fails_when_the_label_moves_says_what_is_left_to_do(
    fixture: LabellingFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RegistryError("the store is away")

    monkeypatch.setattr(fixture.registry, "edit", fail)
    with pytest.raises(RegistryError, match=r"is published.*the store is away.*promote"):
        await fixture.move()
