"""Uploads at the server: how many, how patient, on which thread, and what cancelled ones leave.

And the threads that they use: how many wait for them, and that no hung store stops the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.clocks import FakeClock
from tests.fakes.executors import settle
from tests.fakes.gates import Gate
from tests.registry.drafts import root_of
from tests.registry.stores import stored_blobs
from tests.registry.uploads import MAX_BYTES, MODEL, SYMBOLS, Sender, digest_of
from voxswap.v1 import voices_pb2
from voxswap_registry.errors import (
    EngineError,
    GraphNotTrustedError,
    InvalidInputError,
    ManifestError,
    RegistryBusyError,
    RegistryError,
    UploadTooLargeError,
    VersionExistsError,
    VoxswapError,
)
from voxswap_registry.journal import Journal
from voxswap_registry.manifest import Manifest
from voxswap_registry.markers import Marker
from voxswap_registry.store import Registry
from voxswap_registry.upload import Upload
from voxswap_server.doors.grpc.translate.voices import UploadEvents
from voxswap_server.voices import uploads as uploads_module
from voxswap_server.voices.errors import StoreClosedError, TooManyUploadsError, UploadStalledError
from voxswap_server.voices.store_calls import StoreCalls
from voxswap_server.voices.uploads import Received, Uploads

Request = voices_pb2.RegisterVoiceRequest
Piece = voices_pb2.ComponentBytes
COMMIT = Request(commit=voices_pb2.UploadCommit())
WAIT_S = 30


def whole(sender: Sender, **options: Any) -> list[Request]:
    """All messages of a whole upload."""
    return [*unfinished(sender, **options), COMMIT]


def unfinished(sender: Sender, **options: Any) -> list[Request]:
    """All messages of a whole upload but the word that it is whole."""
    return [
        Request(manifest_json=sender.manifest, **options),
        *(
            Request(component=Piece(digest=digest_of(data), offset_bytes=start, data=part))
            for data in (MODEL, SYMBOLS)
            for start in range(0, len(data), 1 << 20)
            for part in [data[start : start + (1 << 20)]]
        ),
    ]


def piece(data: bytes, start: int, size: int) -> Request:
    part = data[start : start + size]
    return Request(component=Piece(digest=digest_of(data), offset_bytes=start, data=part))


async def stream(*messages: Request, then: asyncio.Event | None = None) -> AsyncIterator[Request]:
    """The messages, each at once; then silence until ``then``."""
    for message in messages:
        yield message
    if then is not None:
        await then.wait()


class WiredUploads(Uploads):
    """Takes messages as they come over the wire."""

    async def receive(self, incoming: AsyncIterator[Any]) -> Received:
        return await super().receive(UploadEvents(incoming))


class UploadTarget:
    """A registry, uploads into it, and a look at what lies about."""

    def __init__(self, folder: Path, store: StoreCalls) -> None:
        self.registry = Registry(folder / "registry")
        self.store = store
        self.checked: list[Manifest] = []
        self.fault: VoxswapError | None = None

    def uploads(self, **options: Any) -> WiredUploads:
        usual = {"max_bytes": MAX_BYTES, "max_uploads": 2, "check": self._check}
        chosen: dict[str, Any] = usual | {"check_graphs": lambda manifest: None} | options
        return WiredUploads(self.registry, self.store, **chosen)

    def _check(self, manifest: Manifest) -> None:
        self.checked.append(manifest)
        if self.fault is not None:
            raise self.fault

    def workdirs(self) -> list[Path]:
        folder = root_of(self.registry) / "tmp"
        return list(folder.iterdir()) if folder.is_dir() else []

    def assert_untouched(self) -> None:
        objects = self.registry.objects
        assert self.workdirs() == []
        assert [info.key for info in objects.list("voices")] == []
        assert stored_blobs(objects) == set()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[UploadTarget]:
    with contextlib.closing(StoreCalls()) as store:
        yield UploadTarget(tmp_path, store)


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    return Sender(tmp_path)


async def test_a_whole_upload_is_a_version(target: UploadTarget, sender: Sender) -> None:
    uploads = target.uploads()
    received = await uploads.receive(stream(*whole(sender, label="canary", actor="me")))
    assert (received.manifest.ref, received.created) == ("npc/new@1", True)
    # The label is for whoever lets it speak.
    assert (received.label, received.actor) == ("canary", "me")
    assert target.registry.record("npc/new").state.labels == {}
    assert target.workdirs() == []
    again = await uploads.receive(stream(whole(sender)[0], COMMIT))
    assert again == Received(received.manifest, created=False, label=None, actor="")
    sender.raw["licence"] = "MIT"
    with pytest.raises(VersionExistsError):
        await uploads.receive(stream(*whole(sender, version=1)))
    assert [m.ref for m in target.checked] == ["npc/new@1"] * 3


async def test_where_versions_must_be_signed_an_upload_gets_no_label(
    target: UploadTarget, sender: Sender
) -> None:
    uploads = target.uploads(must_be_signed=True)
    with pytest.raises(InvalidInputError, match="sign the version") as raised:
        await uploads.receive(stream(*whole(sender, label="stable")))
    assert [v.field for v in raised.value.violations] == ["label"]
    target.assert_untouched()
    assert (await uploads.receive(stream(*whole(sender)))).created


@pytest.mark.parametrize(
    ("field", "messages"),
    [
        ("manifest_json", lambda _: []),
        ("manifest_json", lambda _: [Request()]),
        ("manifest_json", lambda sender: whole(sender)[1:]),
        ("manifest_json", lambda _: [Request(manifest_json=b"{")]),
        ("manifest_json", lambda sender: [COMMIT, *whole(sender)]),
        ("component", lambda sender: [*whole(sender)[:1], Request()]),
        ("component", lambda sender: whole(sender)[:1] * 2),
        ("component", lambda sender: [*whole(sender)[:1], COMMIT]),
        ("component.data", lambda sender: [*whole(sender)[:2], COMMIT]),
        *(("commit", lambda sender, n=n: whole(sender)[:n]) for n in range(1, 5)),
        ("commit", lambda sender: [*whole(sender), COMMIT]),
        ("commit", lambda sender: [*whole(sender), Request()]),
        ("commit", lambda sender: [*whole(sender), piece(SYMBOLS, 0, 10)]),
        ("component.offset_bytes", lambda sender: [whole(sender)[0], whole(sender)[2]]),
        ("version", lambda sender: whole(sender, version=-1)),
        ("version", lambda sender: whole(sender, version=10**9)),
        ("version", lambda sender: whole(sender, version=1001)),
        ("component.data", lambda sender: [whole(sender)[0], piece(MODEL, 0, 0)]),
        ("component.data", lambda sender: [whole(sender)[0], piece(MODEL, 0, (64 << 10) - 1)]),
        ("component.data", lambda sender: [*unfinished(sender), piece(SYMBOLS, len(SYMBOLS), 0)]),
        ("label", lambda sender: whole(sender, label="Stable")),
        ("actor", lambda sender: whole(sender, actor="a" * 129)),
        ("actor", lambda sender: whole(sender, actor="a\nb")),
    ],
)
async def test_what_does_not_fit_is_refused_by_its_field(
    target: UploadTarget, sender: Sender, field: str, messages: Callable[[Sender], list[Request]]
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        await target.uploads().receive(stream(*messages(sender)))
    assert [violation.field for violation in raised.value.violations] == [field]
    target.assert_untouched()


async def test_a_number_may_be_ahead_of_the_others_but_not_far(
    target: UploadTarget, sender: Sender
) -> None:
    """Whoever takes the last number takes all: none is ever used again."""
    uploads = target.uploads()
    for n in (1000, 2000):
        sender.raw["licence"] = f"licence {n}"
        received = await uploads.receive(stream(*whole(sender, version=n)))
        assert received.manifest.version == n
    sender.raw["licence"] = "another"
    with pytest.raises(InvalidInputError, match="use 3000 at most"):
        await uploads.receive(stream(whole(sender, version=3001)[0], then=asyncio.Event()))
    assert target.registry.versions("npc/new") == (1000, 2000)


async def test_pieces_are_small_at_the_end_of_a_component_alone(
    target: UploadTarget, sender: Sender
) -> None:
    small = 64 << 10
    pieces = [piece(MODEL, n, small) for n in range(0, len(MODEL), small)]
    messages = [whole(sender)[0], *pieces, piece(SYMBOLS, 0, small), COMMIT]
    assert (await target.uploads().receive(stream(*messages))).created


async def test_more_than_the_server_takes_is_refused_at_the_manifest(
    target: UploadTarget, sender: Sender
) -> None:
    asked = stream(whole(sender)[0], then=asyncio.Event())
    with pytest.raises(UploadTooLargeError):
        await target.uploads(max_bytes=1000).receive(asked)
    target.assert_untouched()


@pytest.mark.parametrize("kind", [EngineError, ManifestError])
async def test_a_voice_that_no_engine_speaks_is_refused_at_the_manifest(
    target: UploadTarget, sender: Sender, kind: type[VoxswapError]
) -> None:
    target.fault = kind("needs the engine 'kazoo'")
    with pytest.raises(InvalidInputError, match="kazoo") as raised:
        await target.uploads().receive(stream(whole(sender)[0], then=asyncio.Event()))
    assert [violation.field for violation in raised.value.violations] == ["manifest_json"]
    target.assert_untouched()


async def test_a_graph_that_nobody_trusts_is_refused_at_the_manifest(
    target: UploadTarget, sender: Sender
) -> None:
    def refuse(manifest: Manifest) -> None:
        assert threading.current_thread() is not threading.main_thread()
        raise GraphNotTrustedError(f"the base of {manifest.voice_id} is a graph")

    uploads = target.uploads(check_graphs=refuse)
    with pytest.raises(GraphNotTrustedError, match="the base of npc/new"):
        await uploads.receive(stream(whole(sender)[0], then=asyncio.Event()))
    target.assert_untouched()


async def test_a_client_that_breaks_off_leaves_nothing(
    target: UploadTarget, sender: Sender
) -> None:
    async def breaking() -> AsyncIterator[Request]:
        for message in whole(sender)[:2]:
            yield message
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await target.uploads().receive(breaking())
    target.assert_untouched()


# Silence


@pytest.mark.parametrize("n", [0, 1, 2, 4, 5])
async def test_an_upload_that_goes_silent_is_given_up(
    target: UploadTarget, sender: Sender, n: int
) -> None:
    """Before the first message, within a component, after the last, and after the commit."""
    uploads = target.uploads(silence_s=0.0, max_uploads=1)
    for _ in range(2):  # And its place is free again.
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(UploadStalledError, match="nothing came for 0 s"):
                await uploads.receive(stream(*whole(sender)[:n], then=asyncio.Event()))
        target.assert_untouched()
    assert (await uploads.receive(stream(*whole(sender)))).created


@pytest.mark.parametrize(
    ("each_s", "stalls_after"),
    [
        (2.9, None),  # 20 pieces of 64 KiB at 22 KiB a second
        (4.5, 14),  # at 14 KiB a second: given up once a minute has passed
        (59.0, 2),
    ],
)
async def test_an_upload_that_trickles_is_given_up(
    target: UploadTarget, sender: Sender, each_s: float, stalls_after: int | None
) -> None:
    clock, size, sent = FakeClock(), 64 << 10, 0

    async def trickle() -> AsyncIterator[Request]:
        nonlocal sent
        yield whole(sender)[0]
        for start in range(0, len(MODEL), size):
            clock.now_s += each_s
            sent += 1
            yield piece(MODEL, start, size)
        yield piece(SYMBOLS, 0, size)
        yield COMMIT

    uploads = target.uploads(clock=clock, max_uploads=1)
    if stalls_after is None:
        assert (await uploads.receive(trickle())).created
        return
    with pytest.raises(UploadStalledError, match="fewer than 16384 a second"):
        await uploads.receive(trickle())
    assert sent == stalls_after
    target.assert_untouched()
    assert (await uploads.receive(stream(*whole(sender)))).created


async def test_the_servers_own_time_is_not_held_against_a_client(
    target: UploadTarget, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, write = FakeClock(), Upload.write

    def slow(*args: Any) -> None:
        clock.now_s += 1000
        write(*args)

    monkeypatch.setattr(Upload, "write", slow)
    assert (await target.uploads(clock=clock).receive(stream(*whole(sender)))).created


# Places


async def begun(uploads: WiredUploads, first: Request) -> tuple[asyncio.Task[Any], asyncio.Event]:
    """An upload that has sent its manifest and waits; the event lets it end."""
    waits, end = asyncio.Event(), asyncio.Event()

    async def messages() -> AsyncIterator[Request]:
        yield first
        waits.set()
        await end.wait()
        yield COMMIT

    task = asyncio.create_task(uploads.receive(messages()))
    async with asyncio.timeout(WAIT_S):
        await waits.wait()
    return task, end


async def test_no_more_uploads_at_a_time_than_there_are_places(
    target: UploadTarget, sender: Sender
) -> None:
    uploads = target.uploads(max_uploads=2)
    first, end_first = await begun(uploads, whole(sender)[0])
    second, _ = await begun(uploads, whole(sender)[0])
    for _ in range(2):
        with pytest.raises(TooManyUploadsError, match="2 voices are being uploaded"):
            await uploads.receive(stream(*whole(sender)))
    assert len(target.workdirs()) == 2
    # One that ends makes room, though it came to nothing.
    end_first.set()
    with pytest.raises(InvalidInputError):
        await first
    assert (await uploads.receive(stream(*whole(sender)))).created
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert target.workdirs() == []
    tasks = [await begun(uploads, whole(sender)[0]) for _ in range(2)]
    for task, end in tasks:
        end.set()
        assert (await task).created is False


# Cancellation


async def cancelled_at(
    uploads: WiredUploads,
    messages: AsyncIterator[Request],
    gate: Gate,
    meanwhile: Callable[[], object],
) -> None:
    """Cancel an upload while a thread stands at ``gate``: it ends once the thread is through."""
    task = asyncio.create_task(uploads.receive(messages))
    await asyncio.to_thread(gate.wait_reached)
    for _ in range(3):  # By its client, and by a server that stops.
        task.cancel()
        await settle()
    assert not task.done()
    meanwhile()
    gate.open()
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(asyncio.CancelledError):
            await task


def stop_at(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, skip: int = 0) -> Gate:
    """A gate before a method; the first ``skip`` calls go through."""
    gate, original, calls = Gate(), getattr(owner, name), itertools.count()

    def stopped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) >= skip:
            gate()
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, stopped)
    return gate


@pytest.mark.parametrize("method", ["__init__", "write"])
async def test_a_cancelled_upload_ends_with_its_thread_and_leaves_nothing(
    target: UploadTarget, sender: Sender, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    gate = stop_at(monkeypatch, Upload, method)
    # Its folder stays as long as the thread may write there.
    await cancelled_at(
        target.uploads(),
        stream(*whole(sender), then=asyncio.Event()),
        gate,
        lambda: target.workdirs() or pytest.fail("the folder is gone"),
    )
    target.assert_untouched()


@pytest.mark.parametrize("step", ["publish", "hash", "create"])
async def test_one_cancelled_before_its_version_is_made_publishes_nothing(
    target: UploadTarget, sender: Sender, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At its first step, amid its bytes, and when all that is left to do is the version."""
    gate = {
        "publish": lambda: stop_at(monkeypatch, Upload, "publish"),
        "hash": lambda: stop_at(monkeypatch, Marker, "refresh"),
        "create": lambda: stop_at(monkeypatch, Marker, "store_time", skip=1),
    }[step]()
    await cancelled_at(target.uploads(), stream(*whole(sender)), gate, lambda: None)
    objects = target.registry.objects
    assert (target.workdirs(), list(objects.list("voices"))) == ([], [])
    assert target.registry.versions("npc/new") == ()
    if step != "create":
        assert stored_blobs(objects) == set()


async def test_one_cancelled_once_its_version_is_made_is_published_whole(
    target: UploadTarget, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = stop_at(monkeypatch, Journal, "note")
    uploads = target.uploads(max_uploads=1)
    await cancelled_at(uploads, stream(*whole(sender)), gate, lambda: None)
    (manifest,) = [target.registry.read("npc/new", v) for v in target.registry.versions("npc/new")]
    for component in manifest.components:
        target.registry.verify(component)
    assert target.workdirs() == []
    assert (await uploads.receive(stream(whole(sender)[0], COMMIT))).created is False


async def test_an_end_that_turns_out_to_be_a_cancellation_publishes_nothing(
    target: UploadTarget, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """grpc ends a cancelled call's messages first, and cancels its task some turns later."""
    monkeypatch.setattr(Upload, "publish", lambda *_, **__: pytest.fail("it is being published"))
    task: asyncio.Task[Any]

    async def messages() -> AsyncIterator[Request]:
        for message in whole(sender):
            yield message
        asyncio.get_running_loop().call_soon(task.cancel)

    task = asyncio.create_task(target.uploads().receive(messages()))
    with pytest.raises(asyncio.CancelledError):
        await task
    target.assert_untouched()


# A server that stops


async def test_a_server_that_stops_gives_up_what_is_being_published(
    target: UploadTarget,
    sender: Sender,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The store is closed only when its threads are through, so that nothing is left."""
    gate = stop_at(monkeypatch, Upload, "publish")
    uploads = target.uploads()
    task = asyncio.create_task(uploads.receive(stream(*whole(sender))))
    await asyncio.to_thread(gate.wait_reached)
    task.cancel()
    closing = asyncio.create_task(uploads.close())
    await settle()
    assert not closing.done()
    gate.open()
    await closing
    target.store.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    target.assert_untouched()
    assert caplog.records == []


async def test_a_server_that_stops_leaves_a_thread_behind_that_hangs(
    target: UploadTarget,
    sender: Sender,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(uploads_module, "_LAST_WAIT_S", 0.0)
    gate = stop_at(monkeypatch, Upload, "__init__")
    uploads = target.uploads()
    task = asyncio.create_task(uploads.receive(stream(*whole(sender))))
    await asyncio.to_thread(gate.wait_reached)
    task.cancel()
    await uploads.close()
    target.store.close()
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert "the folder of an upload stays" in caplog.text
    assert len(target.workdirs()) == 1
    gate.open()


@pytest.mark.parametrize("entering", [True, False], ids=["entering", "leaving"])
async def test_one_cancelled_while_its_folder_is_made_or_removed_leaves_none(
    target: UploadTarget, sender: Sender, entering: bool
) -> None:
    gate, real = Gate(), target.registry.workdir

    @contextlib.contextmanager
    def workdir() -> Iterator[Path]:
        if entering:
            gate()
        with real() as path:
            try:
                yield path
            finally:
                if not entering:
                    gate()

    target.registry.workdir = workdir  # type: ignore[method-assign]
    asked = stream(*whole(sender)[: 1 if entering else 0])
    uploads = target.uploads(max_uploads=1)
    task = asyncio.create_task(uploads.receive(asked))
    await asyncio.to_thread(gate.wait_reached)
    for _ in range(3):
        task.cancel()
        await settle()
    assert not task.done()
    gate.open()
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(asyncio.CancelledError):
            await task
    target.assert_untouched()
    target.registry.workdir = real  # type: ignore[method-assign]
    assert (await uploads.receive(stream(*whole(sender)))).created


async def test_the_event_loop_never_waits_for_the_disk(
    target: UploadTarget, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making and above all removing a folder of gigabytes takes long."""
    threads: list[int] = []

    def noting(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            threads.append(threading.get_ident())
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    for name in ("__init__", "write", "publish"):
        noting(Upload, name)
    real = target.registry.workdir

    @contextlib.contextmanager
    def workdir() -> Iterator[Path]:
        threads.append(threading.get_ident())
        with real() as path:
            yield path
        threads.append(threading.get_ident())

    target.registry.workdir = workdir  # type: ignore[method-assign]
    assert (await target.uploads().receive(stream(*whole(sender)))).created
    assert len(threads) == 7
    assert threading.get_ident() not in threads


async def test_a_store_that_fails_is_told_and_leaves_no_place_taken(
    target: UploadTarget, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = target.uploads(max_uploads=1)

    @contextlib.contextmanager
    def broken() -> Iterator[Path]:
        raise RegistryError("cannot write there")
        yield Path()

    with monkeypatch.context() as patch:
        patch.setattr(target.registry, "workdir", broken)
        for _ in range(2):
            with pytest.raises(RegistryError, match="cannot write there"):
                await uploads.receive(stream(*whole(sender)))
    assert (await uploads.receive(stream(*whole(sender)))).created


# Calls to the store


async def hung(store: StoreCalls, gates: list[Gate], n: int) -> list[asyncio.Task[Any]]:
    """Calls that stand in the store, each at its gate."""
    gates += [Gate() for _ in range(n)]
    tasks = [asyncio.create_task(store.run(gate)) for gate in gates]
    for gate in gates:
        await asyncio.to_thread(gate.wait_reached)
    return tasks


@pytest.fixture
def gates() -> Iterator[list[Gate]]:
    found: list[Gate] = []
    yield found
    for gate in found:
        gate.open()


async def test_a_call_gives_what_its_function_gives() -> None:
    with contextlib.closing(StoreCalls()) as store:
        assert await store.run(divmod, 7, 2) == (3, 1)
        assert await store.run(int, "11", base=2) == 3
        name = await store.run(lambda: threading.current_thread().name)
        assert name.startswith("voxswap-store")
        with pytest.raises(ZeroDivisionError):
            await store.run(divmod, 7, 0)


async def test_a_store_that_hangs_takes_its_own_threads_alone(gates: list[Gate]) -> None:
    with contextlib.closing(StoreCalls(threads=2, most=3)) as store:
        tasks = await hung(store, gates, 2)
        waits = asyncio.create_task(store.run(divmod, 7, 2))
        await settle()
        with pytest.raises(RegistryBusyError, match="3 calls wait"):
            await store.run(divmod, 7, 2)
        assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)
        gates[0].open()
        assert await waits == (3, 1)
        assert await store.run(divmod, 7, 2) == (3, 1)
        gates[1].open()
        await asyncio.gather(*tasks)


async def test_calls_that_nobody_waits_for_count_until_a_thread_is_done_with_them(
    gates: list[Gate], caplog: pytest.LogCaptureFixture
) -> None:
    """Or clients that give up and come again would pile up calls without end."""
    called: list[int] = []
    with contextlib.closing(StoreCalls(threads=1, most=2)) as store:
        (first,) = await hung(store, gates, 1)
        second = asyncio.create_task(store.run(called.append, 1))
        await settle()
        for task in (first, second):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(RegistryBusyError):
            await store.run(called.append, 2)
        tidied = asyncio.create_task(store.finish(lambda: called.append(3)))
        gates[0].open()
        await tidied
        assert called == [3]  # What was cancelled in time was never called.
        await store.run(called.append, 4)
        await store.run(called.append, 5)
    assert called == [3, 4, 5]
    del first, second, task
    gc.collect()
    assert caplog.records == [], "what they came to is no news"


async def test_closing_waits_for_no_store_that_hangs(gates: list[Gate]) -> None:
    store = StoreCalls(threads=1)
    (task,) = await hung(store, gates, 1)
    waits = asyncio.create_task(store.run(divmod, 7, 2))
    await settle()
    store.close()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert not task.done()
    for call in (store.run(divmod, 7, 2), store.finish(lambda: None)):
        with pytest.raises(StoreClosedError, match="ask another one"):
            await call
    gates[0].open()
    await task


async def test_an_upload_tidies_up_though_the_store_is_busy(
    tmp_path: Path, gates: list[Gate], sender: Sender
) -> None:
    with contextlib.closing(StoreCalls(threads=2, most=1)) as store:
        target = UploadTarget(tmp_path, store)
        task, end = await begun(target.uploads(), whole(sender)[0])
        others = await hung(store, gates, 1)
        end.set()
        with pytest.raises(RegistryBusyError):
            await task
        target.assert_untouched()
        gates[0].open()
        await asyncio.gather(*others)
