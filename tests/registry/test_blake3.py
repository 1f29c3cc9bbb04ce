"""The BLAKE3 beside the SHA-256: who computes it, what it is checked for, and who is at fault."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.registry.drafts import make_draft, root_of
from tests.registry.stores import memory_objects
from tests.registry.uploads import MODEL, SYMBOLS, Sender, assert_untouched, beginning, fault
from voxswap_client.cli import checking
from voxswap_registry import digests, publishing
from voxswap_registry.components import Components
from voxswap_registry.digests import DigestLike, Digests
from voxswap_registry.draft import DraftComponent
from voxswap_registry.errors import (
    DigestMismatchError,
    InvalidInputError,
    ManifestError,
    RegistryError,
    SignatureError,
)
from voxswap_registry.layout import blob_key, manifest_key
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.named import named_digests
from voxswap_registry.publishing import as_upload
from voxswap_registry.signing import PrivateKey, TrustedKeys, new_key_pair
from voxswap_registry.storage.cache import ComponentCache
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.verified import VerifiedFile
from voxswap_registry.store import Registry

DATA = b"the weights of npc/smith" * 100
# Of no bytes at all, from the test vectors of BLAKE3's authors.
OF_NOTHING = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def made(data: bytes = DATA, *, says: bytes | None = None) -> Component:
    """A component of ``data``, whose manifest says that it has the BLAKE3 of ``says``."""
    found = Digests()
    found.update(data)
    return Component(
        "model", found.digest, len(data), "x/y", blake3(data if says is None else says).hexdigest()
    )


HONEST, OLD, LYING = made(), made().by_name(), made(says=b"others")


def test_both_digests_are_of_the_same_bytes_however_they_come() -> None:
    assert Digests().blake3 == OF_NOTHING
    pieces = Digests()
    for n in range(0, len(DATA), 7):
        pieces.update(DATA[n : n + 7])
    assert (pieces.digest, pieces.blake3) == (HONEST.digest, HONEST.blake3)
    for other in (HONEST.digest, HONEST.checked_by):
        like = DigestLike(other)
        like.update(DATA)
        assert like.digest == other


# The manifest


def manifest_of(folder: Path, *components: Component) -> Manifest:
    return make_draft(folder).manifest(
        3, (*components, Component("symbols", f"sha256:{'b' * 64}", 2, "application/json"))
    )


def test_a_manifest_has_it_or_is_as_it_always_was(tmp_path: Path) -> None:
    old, new = manifest_of(tmp_path, OLD), manifest_of(tmp_path, HONEST)
    assert b"blake3" not in old.to_json()
    assert json.loads(new.to_json())["components"][0]["blake3"] == HONEST.blake3
    for manifest in (old, new):
        again = Manifest.from_json(manifest.to_json(), where="here")
        assert (again, again.to_json()) == (manifest, manifest.to_json())
    assert old.component("model").checked_by == OLD.digest
    assert new.component("model").checked_by == f"blake3:{HONEST.blake3}"
    assert new.component("model").by_name() == OLD


@pytest.mark.parametrize("bad", ["", "abc", HONEST.digest, "A" * 64, "a" * 65, "a" * 63 + "\n"])
def test_a_value_that_is_none_is_refused_with_its_field(tmp_path: Path, bad: str) -> None:
    manifest = manifest_of(tmp_path, dataclasses.replace(HONEST, blake3=bad))
    with pytest.raises(ManifestError, match=r"64 hexadecimal digits .* or leave it out") as raised:
        Manifest.from_json(manifest.to_json(), where="here")
    assert [fault.field for fault in raised.value.violations] == ["components[0].blake3"]
    # Whoever collects garbage knows what it names, all the same.
    found = named_digests(manifest.to_json(), voice_id="npc/smith", version=3, where="here")
    assert HONEST.digest in found


@pytest.mark.parametrize("bad", [None, 1, True, [HONEST.blake3]])
def test_a_value_of_another_type_is_refused_with_its_field(tmp_path: Path, bad: object) -> None:
    raw = json.loads(manifest_of(tmp_path, HONEST).to_json())
    raw["components"][0]["blake3"] = bad
    with pytest.raises(ManifestError, match=r"components\[0\].blake3 is .*; write the 64"):
        Manifest.from_json(json.dumps(raw).encode(), where="here")


def test_a_signature_covers_it(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    manifest = registry.publish(make_draft(tmp_path))
    new_key_pair(tmp_path / "key")
    trusted = TrustedKeys.load([tmp_path / "key.pub"])
    registry.sign(manifest.voice_id, 1, PrivateKey.load(tmp_path / "key"))
    registry.check_signature(manifest.voice_id, 1, trusted)
    path = root_of(registry) / manifest_key(manifest.voice_id, 1)
    told = manifest.component("model").blake3
    assert told is not None
    path.chmod(0o644)
    path.write_bytes(
        path.read_bytes().replace(told.encode(), blake3(b"others").hexdigest().encode())
    )
    assert registry.read(manifest.voice_id, 1) != manifest
    with pytest.raises(SignatureError):
        registry.check_signature(manifest.voice_id, 1, trusted)


# What loading checks


class ComponentsFixture:
    """A store with ``DATA`` on it, and `Components` over it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.objects = memory_objects() if kind == "bucket" else FolderObjects(folder / "registry")
        self.cache = ComponentCache(folder / "cache", 1 << 20)
        self.told: list[Component] = []
        self.components = Components(
            self.objects,
            self.cache,
            listener=lambda component, error: self.told.append(component),
            copies=kind == "copies",
        )
        self.put(DATA)

    def put(self, data: bytes) -> None:
        self.objects.upload(blob_key(HONEST.digest), iter([memoryview(data)]))

    def held(self, component: Component) -> bytes:
        with self.components.hold(component) as file:
            return file.read_bytes()


@pytest.fixture(params=["folder", "bucket", "copies"])
def fixture(request: pytest.FixtureRequest, tmp_path: Path) -> ComponentsFixture:
    return ComponentsFixture(request.param, tmp_path)


def cannot(*_: object) -> object:
    raise AssertionError("was not to be computed")


def test_it_is_what_is_computed_and_nothing_else(
    fixture: ComponentsFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture.held(HONEST)  # what comes from afar is hashed by both
    with monkeypatch.context() as patch:
        patch.setattr("voxswap_registry.digests.hashlib.sha256", cannot)
        assert fixture.held(HONEST) == DATA
        with fixture.components.hold(HONEST) as file:
            assert file.watch().verify()
    monkeypatch.setattr(digests, "blake3", cannot)
    assert fixture.held(OLD) == DATA


@pytest.mark.parametrize("first", [HONEST, OLD, LYING])
def test_a_manifest_that_lies_about_it_fails_alone(
    fixture: ComponentsFixture, first: Component
) -> None:
    for component in (first, HONEST, LYING, OLD, LYING, HONEST):
        if component is not LYING:
            assert fixture.held(component) == DATA
            continue
        with pytest.raises(ManifestError, match="publish the voice again") as raised:
            fixture.held(component)
        assert f"blake3:{HONEST.blake3}" in raised.value.message
        assert LYING.checked_by in raised.value.message
    assert (fixture.told, fixture.components.quarantined()) == ([], ())
    assert fixture.held(HONEST) == DATA


def test_what_a_lying_manifest_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    fixture = ComponentsFixture("bucket", tmp_path)
    with pytest.raises(ManifestError):
        fixture.held(LYING)
    fixture.objects.delete(blob_key(HONEST.digest))
    fixture.put(b"X" * len(DATA))
    assert fixture.held(HONEST) == DATA


@pytest.mark.parametrize("component", [HONEST, LYING])
def test_damaged_bytes_are_the_bytes_fault_whatever_the_manifest_says(
    fixture: ComponentsFixture, component: Component
) -> None:
    fixture.put(b"X" * len(DATA))
    for named in (component, HONEST, OLD):
        with pytest.raises(DigestMismatchError):
            fixture.held(named)
    assert len(fixture.told) == 1
    assert len(fixture.components.quarantined()) == 1
    fixture.put(DATA)
    assert fixture.held(HONEST) == DATA


def test_bytes_of_another_name_are_not_taken_for_their_blake3(tmp_path: Path) -> None:
    """A planted manifest whose BLAKE3 fits planted bytes gives them to nobody else."""
    fixture, planted = ComponentsFixture("folder", tmp_path), b"X" * len(DATA)
    fixture.put(planted)
    for named in (HONEST, OLD):
        with pytest.raises(DigestMismatchError):
            fixture.held(named)
    with pytest.raises(DigestMismatchError, match="quarantine"):
        fixture.held(made(says=planted))


def test_a_damaged_copy_is_found_by_it_and_fetched_again(tmp_path: Path) -> None:
    fixture = ComponentsFixture("bucket", tmp_path)
    fixture.held(HONEST)
    (path,) = fixture.cache.folder.glob("sha256/*/*")
    path.chmod(0o644)
    path.write_bytes(b"X" * len(DATA))
    assert fixture.held(HONEST) == DATA
    assert fixture.told == [HONEST]


def test_a_file_that_is_mended_between_two_hashes_accuses_nobody(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"X" * len(DATA))
    looks = iter(range(100))

    def check() -> None:
        if next(looks) == 2:  # before the first block of the second hash
            path.write_bytes(DATA)

    with path.open("rb") as opened:
        assert VerifiedFile(opened.fileno(), HONEST).difference(check) is None
    assert next(looks) > 4


def test_the_command_that_verifies_finds_who_is_at_fault(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    honest = registry.publish(make_draft(tmp_path, data=DATA))
    path = root_of(registry) / manifest_key("npc/liar", 1)
    path.parent.mkdir(parents=True)
    model = dataclasses.replace(LYING, media_type=honest.component("model").media_type)
    components = (model, honest.component("symbols"))
    path.write_bytes(
        dataclasses.replace(honest, voice_id="npc/liar", components=components).to_json()
    )
    findings = checking.verify(str(root_of(registry)), ["npc/liar@1", "npc/smith@1"])
    assert {(f.voice, f.role): f.result for f in findings} == {
        ("npc/liar@1", "model"): checking.UNREADABLE,
        ("npc/liar@1", "symbols"): checking.SOUND,
        ("npc/smith@1", "model"): checking.SOUND,
        ("npc/smith@1", "symbols"): checking.SOUND,
    }


# Publishing


def blake3s(manifest: Manifest) -> dict[str, str | None]:
    return {component.role: component.blake3 for component in manifest.components}


OF_DRAFT = {"model": blake3(b"weights").hexdigest(), "symbols": blake3(b"{}").hexdigest()}


def test_what_is_published_has_it(tmp_path: Path) -> None:
    registry, draft = Registry(tmp_path / "registry"), make_draft(tmp_path)
    assert blake3s(registry.publish(draft)) == OF_DRAFT
    raw, _ = as_upload(draft)
    assert {c["role"]: c["blake3"] for c in json.loads(raw)["components"]} == OF_DRAFT


def named(manifest: Manifest, *, with_it: bool) -> tuple[DraftComponent, ...]:
    return tuple(
        DraftComponent(c.role, None, c.media_type, c.digest, c.blake3 if with_it else None)
        for c in manifest.components
    )


def test_what_is_named_alone_keeps_what_was_said_of_it(tmp_path: Path) -> None:
    registry, draft = Registry(tmp_path / "registry"), make_draft(tmp_path)
    first = registry.publish(draft)
    for with_it in (True, False):
        other = dataclasses.replace(
            draft, voice_id="other", components=named(first, with_it=with_it)
        )
        found = blake3s(registry.publish(other))
        assert found == (OF_DRAFT if with_it else {"model": None, "symbols": None})


def test_a_draft_that_says_nothing_of_it_is_the_same_voice_and_one_that_does_is_more(
    tmp_path: Path,
) -> None:
    registry, draft = Registry(tmp_path / "registry"), make_draft(tmp_path)
    registry.publish(draft)  # so that the bytes are there
    manifest = registry.read("npc/smith", 1)
    without = dataclasses.replace(draft, voice_id="old", components=named(manifest, with_it=False))
    assert registry.publish_if_new(without)[1]
    assert not registry.publish_if_new(without)[1]
    upgraded, is_new = registry.publish_if_new(dataclasses.replace(draft, voice_id="old"))
    assert (is_new, upgraded.version, blake3s(upgraded)) == (True, 2, OF_DRAFT)
    assert registry.publish_if_new(without) == (upgraded, False)


def test_a_file_is_known_by_both_digests_or_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who says one of them has not said enough; and what is said is proven before it is a name."""
    draft = make_draft(tmp_path)
    hashed: list[str] = []
    real: Callable[..., Component] = publishing._hashed

    def counted(part: DraftComponent, *rest: Any) -> Component:
        hashed.append(part.role)
        return real(part, *rest)

    monkeypatch.setattr(publishing, "_hashed", counted)
    registry = Registry(tmp_path / "registry")
    model, symbols = draft.components
    known = registry.publish(draft)
    hashed.clear()
    (right, _) = known.components
    both = dataclasses.replace(model, digest=right.digest, blake3=right.blake3)
    one = dataclasses.replace(symbols, digest=known.components[1].digest)
    again = registry.publish(dataclasses.replace(draft, components=(both, one)))
    assert (hashed, again.components) == (["symbols"], known.components)


def test_what_a_draft_says_of_its_file_is_proven(tmp_path: Path) -> None:
    draft, registry = make_draft(tmp_path, data=DATA), Registry(tmp_path / "registry")
    model, symbols = draft.components
    for is_there in (False, True):
        for wrong in (made(b"X" * len(DATA)), LYING, made(b"X" * len(DATA), says=DATA)):
            part = dataclasses.replace(model, digest=wrong.digest, blake3=wrong.blake3)
            with pytest.raises(RegistryError, match="changed while it was published"):
                registry.publish(dataclasses.replace(draft, components=(part, symbols)))
        assert (registry.objects.head(blob_key(HONEST.digest)) is not None) is is_there
        assert registry.objects.head(blob_key(made(b"X" * len(DATA)).digest)) is None
        registry.publish(dataclasses.replace(draft, voice_id="good"))


# Uploads


@pytest.fixture(params=["folder", "bucket"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    if request.param == "folder":
        return Registry(tmp_path / "registry")
    cache = ComponentCache(tmp_path / "cache", 64 << 20)
    return Registry(memory_objects(), cache=cache, workdir=tmp_path / "work")


OF_SENT = {"model": blake3(MODEL).hexdigest(), "symbols": blake3(SYMBOLS).hexdigest()}


def says(sender: Sender, **told: str) -> Sender:
    for component in sender.raw["components"]:
        if component["role"] in told:
            component["blake3"] = told[component["role"]]
    return sender


def test_an_upload_that_names_none_gets_it_and_is_the_same_when_it_comes_again(
    registry: Registry, tmp_path: Path
) -> None:
    first, created = Sender(tmp_path).publish(registry)
    assert (created, blake3s(first)) == (True, OF_SENT)
    assert Sender(tmp_path).publish(registry) == (first, False)
    assert says(Sender(tmp_path), **OF_SENT).publish(registry) == (first, False)


def test_an_upload_that_names_it_keeps_it_whether_the_bytes_are_sent_or_there(
    registry: Registry, tmp_path: Path
) -> None:
    assert blake3s(says(Sender(tmp_path), **OF_SENT).publish(registry)[0]) == OF_SENT
    other = says(Sender(tmp_path, "npc/other"), model=OF_SENT["model"])
    with beginning(registry, other.manifest) as upload:
        assert upload.missing == frozenset()
        assert blake3s(upload.publish()[0]) == {"model": OF_SENT["model"], "symbols": None}


def test_an_upload_whose_bytes_have_another_is_refused(registry: Registry, tmp_path: Path) -> None:
    sender = says(Sender(tmp_path), model=OF_NOTHING)
    field, description = fault(registry, sender, lambda upload: sender.send(upload, "model"))
    assert field == "manifest_json"
    assert OF_NOTHING in description
    assert f"{OF_SENT['model']}; write that, or leave it out" in description


def test_an_upload_that_lies_about_bytes_that_are_there_is_refused_and_harms_nobody(
    registry: Registry, tmp_path: Path
) -> None:
    first, _ = Sender(tmp_path).publish(registry)
    liar = says(Sender(tmp_path, "npc/liar"), model=OF_NOTHING)
    with pytest.raises(InvalidInputError) as raised:
        liar.publish(registry)
    (violation,) = raised.value.violations
    assert violation.field == "manifest_json"
    assert OF_SENT["model"] in violation.description
    assert registry.look("npc/liar").versions == ()
    assert registry.components.quarantined() == ()
    for component in first.components:
        registry.verify(component)


def test_bytes_have_one_in_every_role(registry: Registry, tmp_path: Path) -> None:
    sender = Sender(tmp_path)
    model, symbols = sender.raw["components"]
    symbols |= {"digest": model["digest"], "size_bytes": model["size_bytes"], "blake3": OF_NOTHING}
    with (
        pytest.raises(InvalidInputError, match="two things as its BLAKE3"),
        beginning(registry, sender.manifest),
    ):
        pass
    assert_untouched(registry)


def test_damage_that_is_found_while_it_is_checked_is_mended_by_the_next_upload(
    registry: Registry, tmp_path: Path
) -> None:
    first, _ = Sender(tmp_path).publish(registry)
    model = first.component("model")
    registry.objects.upload(blob_key(model.digest), iter([memoryview(b"X" * len(MODEL))]))
    other = says(Sender(tmp_path, "npc/other"), **OF_SENT)
    with pytest.raises(DigestMismatchError):
        other.publish(registry)
    assert blake3s(other.publish(registry)[0]) == OF_SENT
    registry.verify(model)
