"""Components: whose bytes are handed out, whose are not, and who hears of it."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.registry.faults import HookedObjects
from tests.registry.stores import memory_objects
from voxswap_registry.components import Components, check_bytes
from voxswap_registry.errors import (
    ComponentMissingError,
    DigestMismatchError,
    RegistryError,
    VoxswapError,
)
from voxswap_registry.layout import blob_key
from voxswap_registry.manifest import Component
from voxswap_registry.storage.cache import ComponentCache
from voxswap_registry.storage.download import Check
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.verified import VerifiedFile

DATA = b"the weights of npc/smith" * 100
OUTAGE = RegistryError("the network is down; plug it in")
WAIT_S = 30


def made(data: bytes = DATA, role: str = "model") -> Component:
    return Component(role, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), "x/y")


class ComponentsFixture:
    """A store with one component on it, `Components` over it, and all that they told."""

    def __init__(self, kind: str, folder: Path) -> None:
        inner = FolderObjects(folder / "registry") if kind == "folder" else memory_objects()
        self.is_local = kind == "folder"
        self.objects = HookedObjects(inner)
        self.folder = folder / "cache"
        self.told: list[tuple[Component, DigestMismatchError]] = []
        self.components = self.opened()
        self.put(DATA)

    def opened(self) -> Components:
        """Components as another process would open them: its memory is empty."""
        cache = None if self.is_local else ComponentCache(self.folder, 1 << 20)
        return Components(self.objects, cache, listener=lambda *told: self.told.append(told))

    def put(self, data: bytes, component: Component | None = None) -> None:
        """Let the store have ``data`` in the place of ``component``."""
        key = blob_key((component or made()).digest)
        self.objects.inner.upload(key, iter([memoryview(data)]))

    def held(self, component: Component | None = None) -> bytes:
        with self.components.hold(component or made()) as file:
            return file.read_bytes()

    def fault(self, component: Component | None = None) -> VoxswapError:
        with pytest.raises(VoxswapError) as raised:
            self.held(component)
        return raised.value

    def reads_of(self, work: Callable[[], object]) -> int:
        """How often ``work`` reads the bytes of a component out of the store."""
        self.objects.calls.clear()
        opened: list[VerifiedFile] = []

        def count(file: VerifiedFile, check: Check) -> None:
            opened.append(file)
            check_bytes(file, check)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("voxswap_registry.components.check_bytes", count)
            work()
        return len(opened) + sum(call == "stream" for call, _ in self.objects.calls)


@pytest.fixture(params=["folder", "bucket"])
def fixture(request: pytest.FixtureRequest, tmp_path: Path) -> ComponentsFixture:
    return ComponentsFixture(request.param, tmp_path)


@pytest.fixture
def far(tmp_path: Path) -> ComponentsFixture:
    return ComponentsFixture("bucket", tmp_path)


def test_sound_bytes_are_handed_out(fixture: ComponentsFixture) -> None:
    assert fixture.held() == DATA
    assert fixture.held() == DATA
    fixture.components.check_present(made())
    assert (fixture.told, fixture.components.quarantined()) == ([], ())


@pytest.mark.parametrize("altered", [DATA[:-1] + b"X", DATA[:-1], DATA + b"X", b""])
def test_altered_bytes_in_the_store_are_never_handed_out(
    fixture: ComponentsFixture, altered: bytes
) -> None:
    fixture.put(altered)
    error = fixture.fault()
    assert isinstance(error, DigestMismatchError)
    assert made().digest in error.message
    assert "mport the voice again" in error.message
    assert error.metadata == {"digest": made().digest}
    assert fixture.told == [(made(), error)]
    (quarantined,) = fixture.components.quarantined()
    assert quarantined.component == made()


def test_in_quarantine_it_fails_at_once_and_unread(fixture: ComponentsFixture) -> None:
    fixture.put(b"X" * len(DATA))
    first = fixture.fault()
    messages = set()

    def again() -> None:
        error = fixture.fault()
        assert isinstance(error, DigestMismatchError)
        messages.add(error.message)

    assert fixture.reads_of(lambda: [again() for _ in range(5)]) == 0
    # The same each time, however often it is asked for.
    (message,) = messages
    assert message.startswith(first.message)
    assert message.count("quarantine") == 1
    with pytest.raises(DigestMismatchError, match="in quarantine until its bytes"):
        fixture.components.check_present(made())
    assert len(fixture.told) == 1
    assert fixture.components.quarantined()[0].error.message == first.message


def test_quarantine_ends_when_the_object_changes(fixture: ComponentsFixture) -> None:
    fixture.put(b"X" * len(DATA))
    fixture.fault()
    fixture.put(b"Y" * len(DATA))
    # Another fault of the same component is told of too.
    assert "quarantine" not in fixture.fault().message
    assert len(fixture.told) == 2
    fixture.put(DATA)
    fixture.components.check_present(made())
    assert fixture.held() == DATA
    assert fixture.components.quarantined() == ()
    assert len(fixture.told) == 2


def test_quarantine_is_of_one_process_and_does_not_outlive_it(fixture: ComponentsFixture) -> None:
    fixture.put(b"X" * len(DATA))
    fixture.fault()
    fixture.components = fixture.opened()
    assert fixture.components.quarantined() == ()
    assert "quarantine" not in fixture.fault().message
    assert len(fixture.told) == 2


def test_quarantine_of_one_component_is_not_that_of_another(fixture: ComponentsFixture) -> None:
    other = made(b"another one", "vocoder")
    fixture.put(b"another one", other)
    fixture.put(b"X" * len(DATA))
    fixture.fault()
    assert fixture.held(other) == b"another one"


def test_a_manifest_that_lies_about_a_size_spoils_no_other(fixture: ComponentsFixture) -> None:
    """Two manifests name one component; one of them says a wrong size."""
    liar = dataclasses.replace(made(), size_bytes=len(DATA) + 1)
    for _ in range(2):
        assert isinstance(fixture.fault(liar), DigestMismatchError)
        assert fixture.held() == DATA
        fixture.components.check_present(made())
        with pytest.raises(DigestMismatchError):
            fixture.components.check_present(liar)


def test_a_component_that_is_missing_is_told_as_missing(fixture: ComponentsFixture) -> None:
    fixture.objects.inner.delete(blob_key(made().digest))
    for _ in range(2):
        error = fixture.fault()
        assert isinstance(error, ComponentMissingError)
        assert error.metadata == {"digest": made().digest}
        with pytest.raises(ComponentMissingError, match="import the voice again"):
            fixture.components.check_present(made())
    assert (fixture.told, fixture.components.quarantined()) == ([], ())
    fixture.put(DATA)
    assert fixture.held() == DATA


def test_a_component_that_goes_away_meanwhile_is_missing(fixture: ComponentsFixture) -> None:
    key = blob_key(made().digest)
    call = "head" if fixture.is_local else "stream"  # The last step before its bytes are read.
    fixture.objects.on(call, key, lambda: fixture.objects.inner.delete(key))
    assert isinstance(fixture.fault(), ComponentMissingError)
    assert fixture.told == []


def test_a_missing_component_of_a_damaged_one_is_out_of_quarantine(
    fixture: ComponentsFixture,
) -> None:
    fixture.put(b"X" * len(DATA))
    fixture.fault()
    fixture.objects.inner.delete(blob_key(made().digest))
    assert isinstance(fixture.fault(), ComponentMissingError)
    fixture.put(DATA)
    assert fixture.held() == DATA


def test_an_outage_is_no_fault_of_the_component(fixture: ComponentsFixture) -> None:
    fixture.objects.fail("head", "", OUTAGE)
    assert fixture.fault() is OUTAGE
    with pytest.raises(RegistryError, match="the network is down"):
        fixture.components.check_present(made())
    assert (fixture.told, fixture.components.quarantined()) == ([], ())
    fixture.objects.heal()
    assert fixture.held() == DATA


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_a_cancelled_hold_ends_and_leaves_nothing_behind(
    fixture: ComponentsFixture, asked: int
) -> None:
    large = bytes(5 << 20) if fixture.is_local else bytes(20 << 10)
    component = made(large)
    fixture.put(large, component)
    questions: list[bool] = []

    def cancelled() -> bool:
        questions.append(len(questions) + 1 == asked)
        return questions[-1]

    with pytest.raises(concurrent.futures.CancelledError):
        with fixture.components.hold(component, cancelled=cancelled):
            raise AssertionError("it was cancelled")
    assert len(questions) == asked
    assert (fixture.told, fixture.components.quarantined()) == ([], ())
    assert fixture.held(component) == large


def test_many_holders_at_once_read_it_once_and_tell_of_it_once(far: ComponentsFixture) -> None:
    gate = threading.Barrier(8)

    def hold(_: int) -> bytes | type:
        gate.wait(WAIT_S)
        try:
            return far.held()
        except VoxswapError as error:
            return type(error)

    with ThreadPoolExecutor(8) as pool:
        assert far.reads_of(lambda: list(pool.map(hold, range(8)))) == 1
        far.put(b"X" * len(DATA))
        far.folder = far.folder.with_name("another-cache")
        far.components = far.opened()
        assert list(pool.map(hold, range(8))) == [DigestMismatchError] * 8
    assert len(far.told) == 1


# The cache between


def cached_file(fixture: ComponentsFixture) -> Path:
    hexadecimal = made().digest.removeprefix("sha256:")
    return fixture.folder / "sha256" / hexadecimal[:2] / hexadecimal


def spoil(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_what_is_cached_is_not_fetched_again(far: ComponentsFixture) -> None:
    assert far.components.cached_bytes() == 0
    assert far.reads_of(far.held) == 1
    assert far.components.cached_bytes() == len(DATA)
    far.components = far.opened()
    assert far.reads_of(far.held) == 0


def test_what_is_cached_is_held_without_the_store(far: ComponentsFixture) -> None:
    far.held()
    for call in ("head", "stream", "read", "list"):
        far.objects.fail(call, "", OUTAGE)
    assert far.held() == DATA
    far.components = far.opened()
    assert far.held() == DATA
    assert isinstance(far.fault(made(b"never seen")), RegistryError)


@pytest.mark.parametrize("altered", [b"X" * len(DATA), DATA[:-1], b""])
def test_altered_bytes_in_the_cache_are_healed_and_told(
    far: ComponentsFixture, altered: bytes
) -> None:
    far.held()
    spoil(cached_file(far), altered)
    assert far.reads_of(lambda: far.held() == DATA or pytest.fail("wrong bytes")) == 1
    assert cached_file(far).read_bytes() == DATA
    ((component, error),) = far.told
    assert component == made()
    assert "in the cache" in error.message
    # The store is not at fault.
    assert far.components.quarantined() == ()
    far.components.check_present(made())
    assert far.held() == DATA


def test_altered_in_the_cache_and_in_the_store_is_altered(far: ComponentsFixture) -> None:
    far.held()
    spoil(cached_file(far), b"X" * len(DATA))
    far.put(b"Y" * len(DATA))
    assert isinstance(far.fault(), DigestMismatchError)
    assert len(far.told) == 2
    assert len(far.components.quarantined()) == 1
    assert not cached_file(far).exists()
    far.put(DATA)
    assert far.held() == DATA


def test_a_damaged_cache_without_the_store_is_the_stores_outage(far: ComponentsFixture) -> None:
    far.held()
    spoil(cached_file(far), b"X" * len(DATA))
    far.objects.fail("head", "", OUTAGE)
    assert far.fault() is OUTAGE
    far.objects.heal()
    assert far.held() == DATA


def test_a_sound_copy_is_held_while_the_store_is_damaged(far: ComponentsFixture) -> None:
    far.held()
    far.put(b"X" * len(DATA))
    assert far.held() == DATA
    assert far.told == []


def test_an_outage_amid_a_download_is_continued(far: ComponentsFixture) -> None:
    large = bytes(range(256)) * (80 << 10)  # 20 MiB: three requests.
    component = made(large)
    far.components = Components(far.objects, ComponentCache(far.folder, 64 << 20))
    far.put(large, component)
    blocks = iter(far.objects.inner.stream(blob_key(component.digest)))
    starts: list[int] = []
    stream = far.objects.stream

    def torn(key: str, *, start: int = 0) -> object:
        starts.append(start)
        if len(starts) == 1:
            yield next(blocks)
            raise OUTAGE
        yield from stream(key, start=start)

    far.objects.stream = torn  # type: ignore[assignment, method-assign]
    assert far.fault(component) is OUTAGE
    assert far.held(component) == large
    assert starts == [0, 8 << 20]


def test_a_bucket_without_a_cache_says_what_is_lacking() -> None:
    components = Components(memory_objects())
    with pytest.raises(RegistryError, match="cache_dir"):
        with components.hold(made()):
            raise AssertionError("there is nothing to hold")


def test_with_copies_a_folders_bytes_are_used_from_the_copy_alone(tmp_path: Path) -> None:
    """Who may write to the registry cannot reach what was verified."""
    objects = FolderObjects(tmp_path / "registry")
    objects.upload(blob_key(made().digest), iter([memoryview(DATA)]))
    cache = ComponentCache(tmp_path / "cache", 1 << 20)
    components = Components(objects, cache, copies=True)
    assert not components.is_local(made())
    with components.hold(made()) as file:
        watched = file.watch()
    assert components.is_local(made())
    spoil(objects.path(blob_key(made().digest)), b"X" * len(DATA))
    assert watched.is_unchanged()
    with components.hold(made()) as file:
        assert file.read_bytes() == DATA
    with pytest.raises(DigestMismatchError), Components(objects).hold(made()):
        raise AssertionError("it was altered")


def test_what_takes_a_files_place_before_it_is_opened_is_what_is_in_quarantine(
    tmp_path: Path,
) -> None:
    """Not the file that was looked at before."""
    fixture = ComponentsFixture("folder", tmp_path)
    key = blob_key(made().digest)
    path = fixture.objects.inner.path(key)
    assert path is not None
    path.with_name("sound").hardlink_to(path)
    path.with_name("wrong").write_bytes(b"X" * len(DATA))
    fixture.objects.on("head", key, lambda: None)
    real = fixture.objects.inner.head

    def head(key: str) -> object:
        found = real(key)
        path.with_name("wrong").replace(path)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixture.objects.inner, "head", head)
        assert isinstance(fixture.fault(), DigestMismatchError)
    path.with_name("sound").replace(path)
    assert fixture.held() == DATA
