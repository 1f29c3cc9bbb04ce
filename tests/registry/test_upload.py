"""Uploads: what is taken, what is refused by which field, and that nothing stays of a failure."""

from __future__ import annotations

import errno
import json
import operator
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.families.vits_fakes import preset
from tests.registry.drafts import BAD_IDS, listings, make_draft
from tests.registry.stores import check_sound, memory_objects, stored_blobs
from tests.registry.uploads import (
    MAX_BYTES,
    MODEL,
    SYMBOLS,
    Sender,
    assert_untouched,
    beginning,
    digest_of,
    fault,
    workdirs,
)
from voxswap_registry.errors import (
    DigestMismatchError,
    InvalidInputError,
    RegistryError,
    UploadTooLargeError,
    VersionExistsError,
)
from voxswap_registry.layout import blob_key
from voxswap_registry.manifest import MAX_MANIFEST_BYTES, Component
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit
from voxswap_registry.storage.cache import ComponentCache
from voxswap_registry.store import Registry
from voxswap_registry.upload import MAX_PIECE_BYTES, Upload, missing


@pytest.fixture(params=["folder", "bucket"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    if request.param == "folder":
        return Registry(tmp_path / "registry")
    cache = ComponentCache(tmp_path / "cache", 64 << 20)
    return Registry(memory_objects(), cache=cache, workdir=tmp_path / "work")


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    return Sender(tmp_path)


# What is taken


def test_a_component_keeps_its_form(registry: Registry, tmp_path: Path) -> None:
    """Both of what is sent and of what is there already, as another version's has none."""
    config = json.loads(json.dumps(preset("low", shrink=1).to_config()))
    sender = Sender(tmp_path, engine_config=config)
    plain, _ = sender.publish(registry)
    sender.raw["components"][0]["form"] = "packed"
    packed, created = sender.publish(registry)
    assert created
    assert [component.form for component in plain.components] == [None, None]
    assert [component.form for component in packed.components] == ["packed", None]
    assert [c.digest for c in packed.components] == [c.digest for c in plain.components]
    assert sender.publish(registry) == (packed, False)


def test_a_form_that_nobody_knows_is_refused(registry: Registry, sender: Sender) -> None:
    sender.raw["components"][0]["form"] = "folded"
    field, told = fault(registry, sender, lambda upload: None)
    assert field == "manifest_json.components[0].form"
    assert "update voxswap to the one that wrote it" in told


def test_a_whole_upload_is_a_version(registry: Registry, sender: Sender) -> None:
    manifest, created = sender.publish(registry, label="canary", actor="me")
    assert created
    assert manifest == registry.resolve(VoiceRef.parse("npc/new@canary"))
    assert manifest.ref == "npc/new@1"
    for component in manifest.components:
        with registry.components.hold(component) as file:
            assert file.read_bytes() == sender.parts[component.role]
    assert registry.record("npc/new").state.change.actor == "me"
    assert workdirs(registry) == []
    check_sound(registry)


@pytest.mark.parametrize("size", [10_000, 1 << 17, MAX_PIECE_BYTES])
def test_pieces_may_have_any_size_up_to_the_largest(
    registry: Registry, sender: Sender, size: int
) -> None:
    with beginning(registry, sender.manifest) as upload:
        sender.send(upload, "symbols", "model", size=size)
        assert upload.publish()[1]
    check_sound(registry)


def test_an_empty_piece_is_no_harm(registry: Registry, sender: Sender) -> None:
    with beginning(registry, sender.manifest) as upload:
        upload.write(digest_of(MODEL), 0, b"")
        sender.send(upload, "model", "symbols")
        assert upload.publish()[1]


def test_what_the_registry_has_need_not_be_sent(
    registry: Registry, sender: Sender, tmp_path: Path
) -> None:
    sender.publish(registry)
    other = Sender(tmp_path, "npc/other")
    other.parts["symbols"] = b'{"layout": "blanks"}'
    other.raw["components"][1] |= {
        "digest": digest_of(other.parts["symbols"]), "size_bytes": len(other.parts["symbols"])
    }  # fmt: skip
    wanted = {c["digest"]: Component(**c) for c in other.raw["components"]}
    assert missing(registry, wanted) == [digest_of(other.parts["symbols"])]
    with beginning(registry, other.manifest) as upload:
        assert upload.missing == {digest_of(other.parts["symbols"])}
        other.send(upload, "symbols")
        assert upload.publish()[1]
    assert len(stored_blobs(registry.objects)) == 3
    check_sound(registry)


def test_what_the_registry_has_may_be_sent_all_the_same(
    registry: Registry, sender: Sender, tmp_path: Path
) -> None:
    sender.publish(registry)
    other = Sender(tmp_path, "npc/other")
    with beginning(registry, other.manifest) as upload:
        other.send(upload, "model")
        assert upload.publish()[1]
    assert len(stored_blobs(registry.objects)) == 2


def test_bytes_in_quarantine_are_asked_for_and_replaced(registry: Registry, sender: Sender) -> None:
    manifest, _ = sender.publish(registry)
    model = manifest.component("model")
    registry.objects.upload(blob_key(model.digest), iter([memoryview(b"X" * len(MODEL))]))
    with pytest.raises(DigestMismatchError):
        registry.verify(model)
    assert missing(registry, {model.digest: model}) == [model.digest]
    again, created = sender.publish(registry)
    assert (again, created) == (manifest, False)
    registry.verify(model)
    assert registry.components.quarantined() == ()


def test_an_unchanged_voice_makes_no_version(registry: Registry, sender: Sender) -> None:
    first, _ = sender.publish(registry)
    again, created = sender.publish(registry)
    assert (again, created) == (first, False)
    # Imported at another time from another place, it is the same still.
    sender.raw["provenance"] |= {"created": "2027-01-01T00:00:00+00:00", "source": "elsewhere"}
    assert sender.publish(registry) == (first, False)
    sender.raw["licence"] = "MIT"
    changed, created = sender.publish(registry)
    assert (changed.version, created) == (2, True)


def test_an_unchanged_voice_gets_its_label(registry: Registry, sender: Sender) -> None:
    sender.publish(registry)
    assert sender.publish(registry, label="stable")[1] is False
    assert registry.record("npc/new").state.labels == {"stable": 1}


def test_a_number_that_is_taken_or_was_is_refused(registry: Registry, sender: Sender) -> None:
    sender.publish(registry, version=7)
    sender.raw["licence"] = "MIT"
    assert sender.publish(registry)[0].version == 8
    for number in (7, 8):
        sender.raw["licence"] = f"licence {number}"
        with pytest.raises(VersionExistsError):
            sender.publish(registry, version=number)
    registry.delete(VoiceRef("npc/new", 7))
    with pytest.raises(VersionExistsError):
        sender.publish(registry, version=7)
    assert registry.versions("npc/new") == (8,)
    assert workdirs(registry) == []


# Pieces that are not as they should be


def test_a_digest_that_the_manifest_does_not_name(registry: Registry, sender: Sender) -> None:
    for digest in (digest_of(b"x"), "", "sha256:../../x", "x" * 10_000, f"{digest_of(MODEL)}\n"):
        send = operator.methodcaller("write", digest, 0, b"x")
        field, text = fault(registry, sender, send)
        assert field == "component.digest"
        assert "not in the manifest" in text
        assert len(text) < 200


def test_a_gap_and_an_overlap(registry: Registry, sender: Sender) -> None:
    digest = digest_of(MODEL)
    for first, second in ((0, 1001), (0, 999), (0, 0), (0, -1), (0, 1 << 60), (1, 1)):

        def send(upload: Upload, starts: tuple[int, int] = (first, second)) -> None:
            for start in starts:
                upload.write(digest, start, MODEL[:1000])

        field, text = fault(registry, sender, send)
        assert field == "component.offset_bytes"
        assert "without gaps" in text


@pytest.mark.parametrize("more", [b"x", bytes(MAX_PIECE_BYTES)])
def test_too_long(registry: Registry, sender: Sender, more: bytes) -> None:
    def send(upload: Upload) -> None:
        upload.write(digest_of(MODEL), 0, MODEL[:MAX_PIECE_BYTES])
        rest = (MODEL[MAX_PIECE_BYTES:] + more)[:MAX_PIECE_BYTES]
        upload.write(digest_of(MODEL), MAX_PIECE_BYTES, rest)

    field, text = fault(registry, sender, send)
    assert field == "component.data"
    assert f"longer than the {len(MODEL)} bytes" in text


def test_a_piece_after_the_end_is_one_sent_twice(registry: Registry, sender: Sender) -> None:
    def send(upload: Upload) -> None:
        sender.send(upload, "model")
        upload.write(digest_of(MODEL), len(MODEL), b"x")

    field, text = fault(registry, sender, send)
    assert field == "component.digest"
    assert "was sent already" in text
    field, text = fault(registry, sender, lambda upload: sender.send(upload, "model", "model"))
    assert "was sent already" in text


def test_too_short(registry: Registry, sender: Sender) -> None:
    def send(upload: Upload) -> None:
        sender.send(upload, "symbols")
        upload.write(digest_of(MODEL), 0, MODEL[:MAX_PIECE_BYTES])

    field, text = fault(registry, sender, send)
    assert field == "component.data"
    assert f"ends after {MAX_PIECE_BYTES} of {len(MODEL)} bytes" in text


def test_one_component_amid_another(registry: Registry, sender: Sender) -> None:
    def send(upload: Upload) -> None:
        upload.write(digest_of(MODEL), 0, MODEL[:1000])
        sender.send(upload, "symbols")

    field, text = fault(registry, sender, send)
    assert field == "component.digest"
    assert "one after the other" in text


def test_wrong_bytes_of_the_right_length(registry: Registry, sender: Sender) -> None:
    wrong = bytes(len(SYMBOLS))
    field, text = fault(registry, sender, lambda upload: upload.write(digest_of(SYMBOLS), 0, wrong))
    assert field == "component.data"
    assert digest_of(wrong) in text


def test_a_piece_that_is_too_big(registry: Registry, sender: Sender) -> None:
    field, text = fault(
        registry,
        sender,
        lambda upload: upload.write(digest_of(MODEL), 0, MODEL[: MAX_PIECE_BYTES + 1]),
    )
    assert field == "component.data"
    assert str(MAX_PIECE_BYTES) in text


@pytest.mark.parametrize("sent", [(), ("model",), ("symbols",)])
def test_a_component_that_was_not_sent(
    registry: Registry, sender: Sender, sent: tuple[str, ...]
) -> None:
    field, text = fault(registry, sender, lambda upload: sender.send(upload, *sent))
    assert field == "component"
    lacking = set(sender.parts) - set(sent)
    assert all(digest_of(sender.parts[role]) in text for role in lacking)
    assert not any(digest_of(sender.parts[role]) in text for role in sent)


def test_more_bytes_in_all_than_the_server_takes(registry: Registry, sender: Sender) -> None:
    total = len(MODEL) + len(SYMBOLS)
    with pytest.raises(UploadTooLargeError, match=str(total)):
        with beginning(registry, sender.manifest, max_bytes=total - 1):
            raise AssertionError("nothing was sent yet")
    assert_untouched(registry)
    with beginning(registry, sender.manifest, max_bytes=total) as upload:
        sender.send(upload, "model", "symbols")
        assert upload.publish()[1]


def test_what_need_not_be_sent_counts_when_it_is(
    registry: Registry, sender: Sender, tmp_path: Path
) -> None:
    sender.publish(registry)
    other = Sender(tmp_path, "npc/other")
    with beginning(registry, other.manifest, max_bytes=len(SYMBOLS)) as upload:
        other.send(upload, "symbols")
        with pytest.raises(UploadTooLargeError):
            other.send(upload, "model")
    with beginning(registry, other.manifest, max_bytes=0) as upload:
        assert upload.publish()[1]


def test_a_size_that_is_not_that_of_the_stored_bytes_is_never_satisfied(
    registry: Registry, sender: Sender, tmp_path: Path
) -> None:
    sender.publish(registry)
    liar = Sender(tmp_path, "npc/liar")
    liar.raw["components"][1]["size_bytes"] += 1
    with beginning(registry, liar.manifest) as upload:
        assert upload.missing == {digest_of(SYMBOLS)}
        liar.send(upload, "symbols")
        with pytest.raises(InvalidInputError, match="ends after"):
            upload.publish()
    check_sound(registry)
    assert [listing.voice_id for listing in listings(registry)] == ["npc/new"]


# Manifests that are not as they should be


def deep(depth: int) -> bytes:
    return b'{"engine_config": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"\x00" * 100,
        b'{"voice_id": "a", "x": NaN}',
        b'{"voice_id": "a", "x": 1e999}',
        b'{"voice_id": "a", "x": ' + b"9" * 5000 + b"}",
        b'{"voice_id": "\\ud800"}',
        deep(500),
        deep(50_000),
        b"[" * (MAX_MANIFEST_BYTES - 1),
        b" " * (MAX_MANIFEST_BYTES + 1),
        b'{"a": "' + b"x" * MAX_MANIFEST_BYTES + b'"}',
    ],
    ids=lambda data: f"{len(data)}:{data[:12]!r}",
)
def test_a_manifest_that_is_none(registry: Registry, data: bytes) -> None:
    refused(registry, data)


def refused(registry: Registry, manifest_json: bytes) -> str:
    with pytest.raises(InvalidInputError) as raised:
        with beginning(registry, manifest_json):
            raise AssertionError("that is no manifest")
    assert_untouched(registry)
    assert all(v.field.partition(".")[0] == "manifest_json" for v in raised.value.violations)
    return raised.value.violations[0].description


@pytest.mark.parametrize("voice_id", [*BAD_IDS, None, 7, ["a"]])
def test_a_bad_id(registry: Registry, sender: Sender, voice_id: object) -> None:
    sender.raw["voice_id"] = voice_id
    assert "id" in refused(registry, sender.manifest)


WRONG: list[Any] = [None, True, -1, 1.5, "text", [], {}, {"a": None}, [None], [[]], "x" * 20_000]


def test_each_field_must_be_there_and_of_its_kind(registry: Registry, sender: Sender) -> None:
    """Whatever stands in its place: it is taken, or refused by the field's name."""
    whole = dict(sender.raw)
    optional = {"tags", "gender"}
    seen = 0
    for field, right in whole.items():
        for wrong in ("absent", *WRONG):
            sender.raw = {k: v for k, v in whole.items() if k != field}
            if wrong != "absent":
                sender.raw[field] = wrong
            try:
                with beginning(registry, sender.manifest):
                    pass
            except InvalidInputError as error:
                told = {violation.field.split(".")[1] for violation in error.violations}
                # An engine that is none here has other parts; a hop that is none fits no rate.
                assert any(re.match(rf"{field}\b", name) for name in told), (field, wrong)
                seen += 1
            else:
                assert field in optional or wrong != "absent", field
                assert wrong == "absent" or isinstance(wrong, type(right)), (field, wrong)
    assert seen > 5 * len(whole)
    assert_untouched(registry)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"role": "symbols"}, "same role"),
        ({"digest": "sha256:../../../etc/passwd"}, "64 hexadecimal digits"),
        ({"digest": "md5:" + "0" * 64}, "64 hexadecimal digits"),
        ({"digest": digest_of(MODEL).upper()}, "64 hexadecimal digits"),
        ({"size_bytes": 0}, "use 1 to 1099511627776"),
        ({"size_bytes": -1}, "use 1 to 1099511627776"),
        ({"size_bytes": 1 << 60}, "use 1 to 1099511627776"),
        ({"size_bytes": 1.0}, "is 1.0; use 1 to"),
        ({"size_bytes": True}, "is True; use 1 to"),
        ({"media_type": None}, "is None; write one such as"),
    ],
)
def test_a_bad_component(
    registry: Registry, sender: Sender, change: Mapping[str, Any], told: str
) -> None:
    sender.raw["components"][0] |= change
    assert told in refused(registry, sender.manifest)


def test_a_version_in_the_manifest_is_passed_over(registry: Registry, sender: Sender) -> None:
    strays: tuple[Any, ...] = (7, "x", None, -1, {})
    for n, stray in enumerate(strays, 1):
        sender.raw |= {"version": stray, "licence": f"licence {n}"}
        assert sender.publish(registry)[0].version == n


def test_a_manifest_in_any_script_may_have_its_full_size(
    registry: Registry, sender: Sender
) -> None:
    """As UTF-8 it fits; with its characters escaped it would not."""
    sender.raw["engine"] = "unheard_of"
    sender.raw["engine_config"] = {"names": ["铁" * 1_000] * 20}
    data = json.dumps(sender.raw, ensure_ascii=False).encode()
    assert 60_000 < len(data) < MAX_MANIFEST_BYTES < len(json.dumps(sender.raw))
    with beginning(registry, data) as upload:
        sender.send(upload, "model", "symbols")
        manifest, _ = upload.publish()
    assert registry.resolve(VoiceRef("npc/new")) == manifest
    assert manifest.engine_config == sender.raw["engine_config"]


def test_a_manifest_that_would_be_too_large_once_stored_is_refused_at_once(
    registry: Registry, sender: Sender
) -> None:
    """As sent it fits; as the registry writes it, with a line for each entry, it does not."""
    sender.raw["speakers"] = {f"sp{n:05}": n % 8 for n in range(4_090)}
    data = json.dumps(sender.raw, separators=(",", ":")).encode()
    assert len(data) < len(sender.manifest) < MAX_MANIFEST_BYTES
    assert str(MAX_MANIFEST_BYTES) in refused(registry, data)


# A disk that is full


class Disk:
    """Counts everything that is written, and is full from the ``full_at``-th write on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, full_at: int) -> None:
        self.writes = 0
        self._full_at = full_at
        for name in ("write", "fsync", "link", "replace", "mkdir"):
            monkeypatch.setattr(os, name, self._limited(getattr(os, name)))
        real_open = Path.open

        def open_path(path: Path, *args: Any, **kwargs: Any) -> Any:
            file = real_open(path, *args, **kwargs)
            return _File(file, self._limited(file.write)) if args[:1] == ("xb",) else file

        monkeypatch.setattr(Path, "open", open_path)

    @property
    def was_full(self) -> bool:
        return self.writes >= self._full_at

    def _limited(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.writes += 1
            if self.was_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        return call


class _File:
    def __init__(self, file: Any, write: Callable[..., Any]) -> None:
        self.write, self.close = write, file.close


def test_a_disk_that_is_full_at_any_write_leaves_the_old_state_or_the_new(
    tmp_path: Path, sender: Sender
) -> None:
    outcomes = []
    for full_at in range(1, 200):
        registry = Registry(tmp_path / f"registry-{full_at}")
        registry.publish(make_draft(tmp_path / "old", "npc/new"))
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, full_at)
            try:
                sender.publish(registry, label="stable")
            except RegistryError:
                assert disk.was_full
                made = False
            else:
                made = True
        record = registry.record("npc/new")
        # Where the journal alone could not be written, all of it is done all the same.
        assert not made or record.state.labels == {"stable": 2}
        outcomes.append((len(record.versions), len(record.state.labels)))
        assert workdirs(registry) == []
        check_sound(registry)
        if not disk.was_full:
            break
        # Once there is room, the same upload does it.
        assert sender.publish(registry, label="stable")[0].version == 2
        assert registry.record("npc/new").state.labels == {"stable": 2}
    assert full_at > 20
    assert sorted(set(outcomes)) == [(1, 0), (2, 0), (2, 1)]
    assert outcomes == sorted(outcomes)


def test_a_write_that_is_cut_short_is_continued(
    registry: Registry, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systems may take fewer bytes than they are given."""
    real_open = Path.open

    def open_path(path: Path, *args: Any, **kwargs: Any) -> Any:
        file = real_open(path, *args, **kwargs)
        if args[:1] != ("xb",):
            return file
        return _File(file, lambda data: file.write(data[: max(1, len(data) // 2)]))

    monkeypatch.setattr(Path, "open", open_path)
    assert sender.publish(registry)[1]
    check_sound(registry)


def test_a_store_that_fails_ends_the_upload_and_leaves_no_version(
    registry: Registry, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RegistryError("the network is down")

    with beginning(registry, sender.manifest) as upload:
        sender.send(upload, "model", "symbols")
        with monkeypatch.context() as patch:
            patch.setattr(registry.objects, "upload", fail)
            with pytest.raises(RegistryError, match="the network is down"):
                upload.publish()
    assert_untouched(registry)


def test_closing_twice_and_amid_a_component_is_no_harm(registry: Registry, sender: Sender) -> None:
    with registry.workdir() as workdir:
        upload = Upload(registry, sender.manifest, workdir, max_bytes=MAX_BYTES)
        upload.write(digest_of(MODEL), 0, MODEL[:1000])
        upload.close()
        upload.close()
    assert_untouched(registry)


def test_nothing_of_an_upload_lies_outside_its_folder(
    registry: Registry, sender: Sender, tmp_path: Path
) -> None:
    with registry.workdir() as workdir:
        upload = Upload(registry, sender.manifest, workdir, max_bytes=MAX_BYTES)
        sender.send(upload, "model", "symbols")
        sent = {path.name for path in workdir.iterdir()}
        assert sent == {digest_of(data).removeprefix("sha256:") for data in (MODEL, SYMBOLS)}
        upload.close()
    assert_untouched(registry)


def test_the_registry_is_as_before_for_others_meanwhile(
    registry: Registry, sender: Sender, tmp_path: Path
) -> None:
    """The voice is edited by others while its next version is on the way."""
    sender.publish(registry, label="stable")
    sender.raw["licence"] = "MIT"
    with beginning(registry, sender.manifest) as upload:
        registry.edit("npc/new", Edit(tags=("busy",)))
        registry.publish(make_draft(tmp_path / "other", "npc/new", data=b"other"))
        manifest, created = upload.publish(label="canary")
    assert (manifest.version, created) == (3, True)
    assert registry.record("npc/new").state.labels == {"stable": 1, "canary": 3}
    assert registry.record("npc/new").state.tags == ("busy",)
