"""Uploads through both clients: what is sent, what is not, and how they fail."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Connect
from tests.fakes.clocks import FakeClock
from voxswap.v1 import voices_pb2
from voxswap_client import (
    AsyncClient,
    CallCancelledError,
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    ResourceExhaustedError,
    RetryPolicy,
    UnavailableError,
    VersionExistsError,
    VoxswapClientError,
)
from voxswap_client.upload import PIECE_BYTES


class Source:
    """A voice to send: its manifest, and its components as files."""

    def __init__(self, folder: Path, **components: Any) -> None:
        self.files, self.data, self.items = {}, {}, []
        for role, data in components.items():
            path = folder / role
            path.write_bytes(data)
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.files[digest], self.data[digest] = path, data
            self.items.append(
                {"role": role, "digest": digest, "size_bytes": len(data), "media_type": "m/t"}
            )

    @property
    def manifest(self) -> bytes:
        return json.dumps({"voice_id": "npc/new", "components": self.items}).encode()

    def digest(self, role: str) -> str:
        return next(str(item["digest"]) for item in self.items if item["role"] == role)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    large = bytes(range(256)) * (10 << 10)  # 2.5 MiB
    return Source(tmp_path, model=large, symbols=b"{}", config=b"config")


def pieces(server: FakeServer) -> list[tuple[str, int, int]]:
    """Role-less view of what came: digest, offset, size. The commit came last if all of it came."""
    sent = [r for r in server.requests if isinstance(r, voices_pb2.RegisterVoiceRequest)]
    parts = sent[1:]
    assert not parts or parts.pop().WhichOneof("part") == "commit"
    return [(r.component.digest, r.component.offset_bytes, len(r.component.data)) for r in parts]


async def test_everything_is_sent_in_pieces(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    found = await connect().register_voice(
        source.manifest, source.files, label="canary", version=7, actor="me@here"
    )
    assert (found.created, found.voice.ref, found.voice.labels) == (True, "npc/new@7", ("canary",))
    assert server.stored == source.data
    first = next(r for r in server.requests if isinstance(r, voices_pb2.RegisterVoiceRequest))
    assert first == voices_pb2.RegisterVoiceRequest(
        manifest_json=source.manifest, label="canary", version=7, actor="me@here"
    )
    model = source.digest("model")
    rest = (5 << 19) - 2 * PIECE_BYTES
    assert pieces(server) == [
        (model, 0, PIECE_BYTES),
        (model, PIECE_BYTES, PIECE_BYTES),
        (model, 2 * PIECE_BYTES, rest),
        (source.digest("symbols"), 0, 2),
        (source.digest("config"), 0, 6),
    ]


async def test_what_the_server_has_is_neither_sent_nor_read(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    for role in ("model", "config"):
        digest = source.digest(role)
        server.stored[digest] = source.data[digest]
        del source.files[digest]
    found = await connect().register_voice(source.manifest, source.files)
    assert found.created
    assert pieces(server) == [(source.digest("symbols"), 0, 2)]


async def test_a_commit_is_the_last_message(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    await connect().register_voice(source.manifest, source.files)
    sent = [r for r in server.requests if isinstance(r, voices_pb2.RegisterVoiceRequest)]
    kinds = [request.WhichOneof("part") for request in sent]
    assert (kinds[0], set(kinds[1:-1]), kinds[-1]) == ("manifest_json", {"component"}, "commit")


async def test_an_upload_that_breaks_off_never_sent_its_commit(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    def on_progress(sent_bytes: int, total_bytes: int) -> None:
        if sent_bytes == total_bytes:
            raise ArithmeticError("at the very end")

    with pytest.raises(ArithmeticError, match="at the very end"):
        await connect().register_voice(source.manifest, source.files, on_progress=on_progress)
    sent = [r for r in server.requests if isinstance(r, voices_pb2.RegisterVoiceRequest)]
    assert all(request.WhichOneof("part") != "commit" for request in sent)
    assert server.voices == []


async def test_a_voice_that_is_there_already(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    client = connect()
    first = await client.register_voice(source.manifest, source.files)
    again = await client.register_voice(source.manifest, source.files)
    assert (again.created, again.voice) == (False, first.voice)


async def test_components_with_the_same_bytes_are_sent_once(
    server: FakeServer, connect: Connect, tmp_path: Path
) -> None:
    twins = Source(tmp_path, model=b"same", vocoder=b"same")
    await connect().register_voice(twins.manifest, twins.files)
    assert pieces(server) == [(twins.digest("model"), 0, 4)]


async def test_many_components_are_asked_for_in_batches(
    server: FakeServer, connect: Connect, tmp_path: Path
) -> None:
    many = Source(tmp_path, **{f"part{n}": str(n).encode() for n in range(1001)})
    server.stored |= many.data
    await connect().register_voice(many.manifest, {})
    asked = [r for r in server.requests if isinstance(r, voices_pb2.FindMissingComponentsRequest)]
    assert [len(request.components) for request in asked] == [1000, 1]


async def test_progress_counts_what_is_sent(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    digest = source.digest("config")
    server.stored[digest] = source.data[digest]
    heard = []
    await connect().register_voice(
        source.manifest, source.files, on_progress=lambda *report: heard.append(report)
    )
    total = (5 << 19) + 2
    sent = [0, PIECE_BYTES, 2 * PIECE_BYTES, 5 << 19, total]
    assert heard == [(n_bytes, total) for n_bytes in sent]


async def test_progress_that_fails_ends_the_upload(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    def on_progress(sent_bytes: int, _total_bytes: int) -> None:
        if sent_bytes:
            raise ArithmeticError("no more")

    with pytest.raises(ArithmeticError, match="no more"):
        await connect().register_voice(source.manifest, source.files, on_progress=on_progress)
    assert server.voices == []


# What is wrong here, found before anything is sent.


@pytest.mark.parametrize(
    "manifest",
    [b"{", b"\xff", b"[]", b"{}", b'{"components": [{"role": "model"}]}', b'{"components": 1}'],
)
async def test_a_manifest_that_is_none(
    server: FakeServer, connect: Connect, manifest: bytes
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await connect().register_voice(manifest, {})
    assert [fault.field for fault in caught.value.violations] == ["manifest_json"]
    assert server.requests == []


async def test_every_file_that_cannot_be_sent_is_named(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    model, symbols, config = (source.digest(role) for role in ("model", "symbols", "config"))
    del source.files[model]
    source.files[symbols].unlink()
    source.files[config].write_bytes(b"longer than it was")
    with pytest.raises(InvalidRequestError) as caught:
        await connect().register_voice(source.manifest, source.files)
    assert [fault.description for fault in caught.value.violations] == [
        f"model {model}: no file is given",
        f"symbols {symbols}: {source.files[symbols]} cannot be read: No such file or directory",
        f"config {config}: {source.files[config]} has 18 bytes, and the manifest says 6",
    ]
    assert all(fault.description in caught.value.message for fault in caught.value.violations)
    assert [type(r) for r in server.requests] == [voices_pb2.FindMissingComponentsRequest]


async def test_a_file_that_is_cut_while_it_is_sent(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    def cut(sent_bytes: int, _total_bytes: int) -> None:
        if sent_bytes:
            source.files[source.digest("model")].write_bytes(b"")

    with pytest.raises(VoxswapClientError, match=r"model: it became shorter"):
        await connect().register_voice(source.manifest, source.files, on_progress=cut)
    assert server.voices == []


async def test_a_file_that_goes_while_another_is_sent(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    def remove(*_report: int) -> None:
        source.files[source.digest("config")].unlink(missing_ok=True)

    with pytest.raises(VoxswapClientError, match=r"config: No such file or directory"):
        await connect().register_voice(source.manifest, source.files, on_progress=remove)
    assert server.voices == []


# How the server ends it.


def after(count: int, end: Callable[..., Any]) -> Callable[..., Any]:
    """Takes ``count`` messages of the upload, then ends the call with ``end``."""

    def behaviour(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        for _ in range(count):
            next(requests)
        yield from end(requests, context)

    return behaviour


ENDS = [
    (grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk is full", ResourceExhaustedError),
    (grpc.StatusCode.INVALID_ARGUMENT, "MANIFEST_INVALID", InvalidRequestError),
    (grpc.StatusCode.ALREADY_EXISTS, "npc/new@7 is there", VersionExistsError),
]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize(("code", "message", "kind"), ENDS)
async def test_the_servers_own_status_is_raised(
    server: FakeServer,
    connect: Connect,
    tmp_path: Path,
    code: grpc.StatusCode,
    message: str,
    kind: type[Any],
    count: int,
) -> None:
    # More than flow control lets through unread: the client is still writing when the status comes.
    big = Source(tmp_path, model=bytes(20 << 20))
    server.script.extend([server.play(), after(count, server.fail(code, message))])
    with pytest.raises(kind) as caught:
        await connect().register_voice(big.manifest, big.files)
    assert (type(caught.value), caught.value.message) == (kind, message)
    assert caught.value.code == code.name
    assert server.voices == []


async def test_the_upload_is_never_tried_again(
    server: FakeServer, connect: Connect, fake_clock: FakeClock, source: Source
) -> None:
    down = server.fail(grpc.StatusCode.UNAVAILABLE, "restarting", server.retry_info(0.5))
    server.script.extend([server.play(), down])
    with pytest.raises(UnavailableError):
        await connect(time=fake_clock).register_voice(source.manifest, source.files)
    assert fake_clock.sleeps == []
    assert pieces(server) == []


async def test_the_question_before_it_is_tried_again(
    server: FakeServer, connect: Connect, fake_clock: FakeClock, source: Source
) -> None:
    server.script.append(server.fail(grpc.StatusCode.UNAVAILABLE, "restarting"))
    found = await connect(time=fake_clock).register_voice(source.manifest, source.files)
    assert found.created
    assert len(fake_clock.sleeps) == 1


async def test_a_server_that_is_not_there(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    server.stop()
    client = connect(retries=RetryPolicy(max_attempts=1))
    with pytest.raises(UnavailableError):
        await client.register_voice(source.manifest, source.files)


async def test_the_clients_own_deadline_is_not_that_of_an_upload(
    server: FakeServer, connect: Connect, fake_clock: FakeClock, source: Source
) -> None:
    left_s = []

    def note_the_deadline(_requests: Any, context: Any) -> Iterator[Any]:
        left_s.append(context.time_remaining())
        yield from ()

    server.script.extend([note_the_deadline] * 4)
    client = connect(time=fake_clock, timeout_s=50.0)
    await client.register_voice(source.manifest, source.files)
    await client.register_voice(source.manifest, source.files, timeout_s=20.0)
    question, upload, short_question, short_upload = left_s
    assert 40 < question < 51
    assert upload is None or upload > 1e6
    assert 10 < short_question < 21
    assert 10 < short_upload < 21


async def test_a_deadline_ends_an_upload(
    server: FakeServer, connect: Connect, source: Source
) -> None:
    server.script.extend([server.play(), server.stall()])
    with pytest.raises(DeadlineExceededError):
        await connect().register_voice(source.manifest, source.files, timeout_s=0.3)
    assert server.ended.wait(server.patience_s)


async def test_cancelling_the_task_ends_the_upload(server: FakeServer, tmp_path: Path) -> None:
    big = Source(tmp_path, model=bytes(20 << 20))
    server.script.extend([server.play(), server.stall()])
    async with AsyncClient(server.address) as client:
        task = asyncio.create_task(client.register_voice(big.manifest, big.files))
        assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.ended.wait, server.patience_s)


def test_an_interrupt_ends_the_upload(server: FakeServer, tmp_path: Path) -> None:
    big = Source(tmp_path, model=bytes(20 << 20))
    server.script.extend([server.play(), after(1, server.stall())])

    def interrupt() -> None:
        server.waiting.wait(server.patience_s)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with Client(server.address) as client:
        with pytest.raises(KeyboardInterrupt):
            client.register_voice(big.manifest, big.files)
        assert server.ended.wait(server.patience_s)
    interrupter.join()


def test_closing_the_client_ends_the_upload(server: FakeServer, tmp_path: Path) -> None:
    big = Source(tmp_path, model=bytes(20 << 20))
    server.script.extend([server.play(), server.stall()])
    client = Client(server.address)
    closer = threading.Thread(
        target=lambda: (server.waiting.wait(server.patience_s), client.close())
    )
    closer.start()
    with pytest.raises(CallCancelledError):
        client.register_voice(big.manifest, big.files)
    closer.join()
    assert server.ended.wait(server.patience_s)


async def test_closing_the_asyncio_client_ends_the_upload(
    server: FakeServer, tmp_path: Path
) -> None:
    big = Source(tmp_path, model=bytes(20 << 20))
    server.script.extend([server.play(), server.stall()])
    client = AsyncClient(server.address)
    task = asyncio.create_task(client.register_voice(big.manifest, big.files))
    assert await asyncio.to_thread(server.waiting.wait, server.patience_s)
    await client.close()
    with pytest.raises(CallCancelledError):
        await task
