"""Signatures: which are good, why the others are not, and that no secret is ever told."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from voxswap_registry.errors import KeyFileError, SignatureError
from voxswap_registry.signing import (
    MAX_KEY_FILE_BYTES,
    MAX_SIGNATURE_BYTES,
    PrivateKey,
    PublicKey,
    TrustedKeys,
    check,
    new_key_pair,
    sign,
)

MANIFEST = b'{"voice_id": "npc/smith", "version": 3}\n'
OTHER_VERSION = b'{"voice_id": "npc/smith", "version": 2}\n'
REF = "npc/smith@3"
_PEM, _PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


class Signers:
    """A trusted key, a second trusted key, and a stranger's; with their files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("studio", "backup", "stranger"):
            new_key_pair(folder / name)
        self.studio = PrivateKey.load(folder / "studio")
        self.backup = PrivateKey.load(folder / "backup")
        self.stranger = PrivateKey.load(folder / "stranger")
        self.trusted = TrustedKeys.load([folder / "studio.pub", folder / "backup.pub"])


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Signers:
    return Signers(tmp_path_factory.mktemp("keys"))


def changed(document: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(document) | fields).encode()


def with_bit_flipped(document: bytes, bit: int) -> bytes:
    signature = bytearray(base64.b64decode(json.loads(document)["signature"]))
    signature[bit // 8] ^= 1 << bit % 8
    return changed(document, signature=base64.b64encode(signature).decode())


def refusal(documents: list[bytes], trusted: TrustedKeys, manifest: bytes = MANIFEST) -> str:
    with pytest.raises(SignatureError) as caught:
        check(manifest, iter(documents), trusted, ref=REF)
    assert caught.value.metadata == {"voice": REF}
    assert caught.value.message.startswith(f"{REF} is not signed by a trusted key: ")
    assert f"`voxswap voices sign {REF} --key FILE`" in caught.value.message
    return caught.value.message


# Good signatures


def test_trusted_signature_is_good(signers: Signers) -> None:
    document = sign(MANIFEST, signers.studio)
    assert check(MANIFEST, [document], signers.trusted, ref=REF) == signers.studio.key_id


def test_document_is_canonical_and_small(signers: Signers) -> None:
    document = sign(MANIFEST, signers.studio)
    raw = json.loads(document)
    assert document == sign(MANIFEST, signers.studio)
    assert document == json.dumps(raw, sort_keys=True, indent=1).encode() + b"\n"
    assert len(document) < MAX_SIGNATURE_BYTES
    assert raw == {
        "schema_version": 1,
        "algorithm": "ed25519",
        "key_id": signers.studio.key_id,
        "signature": raw["signature"],
    }


def test_what_is_signed_is_separated_from_other_uses_of_the_key(signers: Signers) -> None:
    public = serialization.load_pem_public_key((signers.folder / "studio.pub").read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    signature = base64.b64decode(json.loads(sign(MANIFEST, signers.studio))["signature"])
    public.verify(signature, b"voxswap manifest v1\n" + MANIFEST)

    secret = serialization.load_pem_private_key((signers.folder / "studio").read_bytes(), None)
    assert isinstance(secret, Ed25519PrivateKey)
    bare = base64.b64encode(secret.sign(MANIFEST)).decode()
    document = changed(sign(MANIFEST, signers.studio), signature=bare)
    assert "does not match" in refusal([document], signers.trusted)


def test_good_signature_counts_whatever_lies_before_it(signers: Signers) -> None:
    documents = [
        b"garbage",
        sign(MANIFEST, signers.stranger),
        sign(OTHER_VERSION, signers.studio),
        sign(MANIFEST, signers.backup),
        sign(MANIFEST, signers.studio),
    ]
    assert check(MANIFEST, documents, signers.trusted, ref=REF) == signers.backup.key_id


# Refusals, and that each says precisely why


def test_unsigned(signers: Signers) -> None:
    message = refusal([], signers.trusted)
    assert "it has no signature at all" in message
    assert "trusted_keys" not in message


def test_untrusted(signers: Signers) -> None:
    message = refusal([sign(MANIFEST, signers.stranger)] * 2, signers.trusted)
    assert f"signed by untrusted key {signers.stranger.key_id};" in message
    assert "add the public key to trusted_keys" in message


def test_altered_manifest(signers: Signers) -> None:
    document = sign(MANIFEST, signers.studio)
    for i in range(len(MANIFEST)):
        altered = MANIFEST[:i] + bytes([MANIFEST[i] ^ 1]) + MANIFEST[i + 1 :]
        message = refusal([document], signers.trusted, altered)
        assert f"by trusted key {signers.studio.key_id} does not match the manifest's" in message
        assert "find out who changed" in message
    for altered in (b"", MANIFEST[:-1], MANIFEST + b"\n", b"\n" + MANIFEST):
        assert "does not match" in refusal([document], signers.trusted, altered)


def test_altered_signature(signers: Signers) -> None:
    document = sign(MANIFEST, signers.studio)
    for bit in range(512):
        message = refusal([with_bit_flipped(document, bit)], signers.trusted)
        assert "does not match" in message


def test_signature_of_another_version(signers: Signers) -> None:
    document = sign(OTHER_VERSION, signers.studio)
    assert "does not match" in refusal([document], signers.trusted)


def test_swapped_key_id(signers: Signers) -> None:
    by_stranger = sign(MANIFEST, signers.stranger)
    posing = changed(by_stranger, key_id=signers.studio.key_id)
    assert f"{signers.studio.key_id} does not match" in refusal([posing], signers.trusted)
    by_studio = sign(MANIFEST, signers.studio)
    posing = changed(by_studio, key_id=signers.backup.key_id)
    assert f"{signers.backup.key_id} does not match" in refusal([posing], signers.trusted)
    unknown = changed(by_studio, key_id=signers.stranger.key_id)
    assert f"untrusted key {signers.stranger.key_id}" in refusal([unknown], signers.trusted)


def test_all_findings_are_told_together(signers: Signers) -> None:
    documents = [b"{}", sign(MANIFEST, signers.stranger), sign(OTHER_VERSION, signers.studio)]
    message = refusal(documents, signers.trusted)
    assert "does not match" in message
    assert f"untrusted key {signers.stranger.key_id}" in message
    assert "cannot be read (its schema_version is not 1)" in message


def test_message_is_bounded(signers: Signers) -> None:
    document = sign(MANIFEST, signers.stranger)
    crowd = [changed(document, key_id=f"ed25519:{i:016x}") for i in range(500)]
    message = refusal(crowd, signers.trusted)
    assert "and 496 more" in message
    assert len(message) < 1000


# Documents by strangers

GOOD_SIGNATURE = base64.b64encode(bytes(64)).decode()
BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"schema_version": 2}, "its schema_version is not 1"),
    ({"schema_version": True}, "its schema_version is not 1"),
    ({"schema_version": 1.0}, "its schema_version is not 1"),
    ({"schema_version": "1"}, "its schema_version is not 1"),
    ({"schema_version": None}, "its schema_version is not 1"),
    ({"algorithm": "none"}, "its algorithm is not ed25519"),
    ({"algorithm": "ED25519"}, "its algorithm is not ed25519"),
    ({"algorithm": ["ed25519"]}, "its algorithm is not ed25519"),
    ({"key_id": None}, "its key_id is none"),
    ({"key_id": 7}, "its key_id is none"),
    ({"key_id": {}}, "its key_id is none"),
    ({"key_id": "ed25519:"}, "its key_id is none"),
    ({"key_id": "ed25519:" + "A" * 16}, "its key_id is none"),
    ({"key_id": "ed25519:" + "a" * 16 + "\n"}, "its key_id is none"),
    ({"key_id": "ed25519:" + "a" * 64}, "its key_id is none"),
    ({"key_id": "\x1b[31m\ud800"}, "its key_id is none"),
    ({"signature": None}, "not 64 bytes in base64"),
    ({"signature": 5}, "not 64 bytes in base64"),
    ({"signature": []}, "not 64 bytes in base64"),
    ({"signature": ""}, "not 64 bytes in base64"),
    ({"signature": "****"}, "not 64 bytes in base64"),
    ({"signature": "ä" * 88}, "not 64 bytes in base64"),
    ({"signature": "\ud800"}, "not 64 bytes in base64"),
    ({"signature": GOOD_SIGNATURE[:-1]}, "not 64 bytes in base64"),
    ({"signature": GOOD_SIGNATURE + "\n"}, "not 64 bytes in base64"),
    ({"signature": base64.b64encode(bytes(63)).decode()}, "not 64 bytes in base64"),
    ({"signature": base64.b64encode(bytes(65)).decode()}, "not 64 bytes in base64"),
    ({"signature": GOOD_SIGNATURE[:-3] + "B=="}, "not 64 bytes in base64"),  # Spare bits set.
]


@pytest.mark.parametrize(("fields", "reason"), BAD_FIELDS)
def test_bad_field(signers: Signers, fields: dict[str, Any], reason: str) -> None:
    document = changed(sign(MANIFEST, signers.studio), **fields)
    message = refusal([document], signers.trusted)
    assert f"a signature document cannot be read ({reason}" in message.replace(
        "its signature is ", ""
    )
    assert message.isprintable()


@pytest.mark.parametrize("field", ["schema_version", "algorithm", "key_id", "signature"])
def test_missing_field(signers: Signers, field: str) -> None:
    raw = json.loads(sign(MANIFEST, signers.studio))
    del raw[field]
    assert "cannot be read" in refusal([json.dumps(raw).encode()], signers.trusted)


@pytest.mark.parametrize(
    "document",
    [b"", b"\xff", b"\xef\xbb\xbf{}", b"null", b"1", b'"x"', b"[]", b"{}", b"[" * 4096,
     b'{"a":' * 800, b"9" * 4096, b"NaN", "{}".encode("utf-16")],
)  # fmt: skip
def test_garbage(signers: Signers, document: bytes) -> None:
    assert "cannot be read" in refusal([document], signers.trusted)


def test_size_is_bounded(signers: Signers) -> None:
    document = sign(MANIFEST, signers.studio)
    room = MAX_SIGNATURE_BYTES - len(document)
    assert check(MANIFEST, [document + b" " * room], signers.trusted, ref=REF)
    assert "over 4096 bytes" in refusal([document + b" " * (room + 1)], signers.trusted)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(["schema_version", "algorithm", "key_id", "signature"])


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_garbage_bytes_raise_nothing_else(signers: Signers, documents: list[bytes]) -> None:
    refusal(documents, signers.trusted)


@given(_FIELDS, _JSON)
def test_garbage_fields_raise_nothing_else(signers: Signers, field: str, value: Any) -> None:
    document = sign(MANIFEST, signers.studio)
    if json.loads(document)[field] != value or type(value) not in {int, str}:
        refusal([changed(document, **{field: value})], signers.trusted)


@given(st.data())
def test_document_with_a_byte_changed(signers: Signers, data: st.DataObject) -> None:
    """Either it is refused, or it is the same statement in other words (white space)."""
    document = sign(MANIFEST, signers.studio)
    at = data.draw(st.integers(0, len(document) - 1))
    altered = document[:at] + data.draw(st.binary(min_size=1, max_size=1)) + document[at + 1 :]
    try:
        check(MANIFEST, [altered], signers.trusted, ref=REF)
    except SignatureError:
        return
    assert json.loads(altered) == json.loads(document)


# Key files


def test_new_pair(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        pair = new_key_pair(tmp_path / "studio")
    finally:
        os.umask(old)
    assert (pair.private_path, pair.public_path) == (tmp_path / "studio", tmp_path / "studio.pub")
    assert stat.S_IMODE(pair.private_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(pair.public_path.stat().st_mode) == 0o644
    assert pair.private_path.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert pair.public_path.read_text().startswith("-----BEGIN PUBLIC KEY-----")

    public = serialization.load_pem_public_key(pair.public_path.read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    digest = hashlib.sha256(public.public_bytes_raw()).hexdigest()
    assert pair.key_id == f"ed25519:{digest[:16]}"
    assert PrivateKey.load(pair.private_path).key_id == pair.key_id
    assert PublicKey.load(pair.public_path).key_id == pair.key_id
    assert new_key_pair(tmp_path / "second").key_id != pair.key_id


@pytest.mark.parametrize("taken", ["studio", "studio.pub"])
def test_new_pair_overwrites_nothing(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_bytes(b"precious")
    with pytest.raises(KeyFileError, match=f"{taken} is there already, and keys are never"):
        new_key_pair(tmp_path / "studio")
    assert [file.name for file in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_bytes() == b"precious"


def test_new_pair_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "studio").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        new_key_pair(tmp_path / "studio")
    assert not (tmp_path / "elsewhere").exists()


def test_new_pair_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"cannot write the key file .*No such file"):
        new_key_pair(tmp_path / "none" / "studio")


@pytest.mark.parametrize("call", ["fsync", "fchmod", "open"])
@pytest.mark.parametrize("at", [1, 2])
def test_new_pair_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    real, n = getattr(os, call), 0

    def fail(*args: Any, **kwargs: Any) -> Any:
        nonlocal n
        n += 1
        if n == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(KeyFileError, match="No space left on device"):
            new_key_pair(tmp_path / "studio")
    assert not list(tmp_path.iterdir())
    new_key_pair(tmp_path / "studio")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601, 0o620])
def test_private_key_open_to_others(tmp_path: Path, mode: int) -> None:
    pair = new_key_pair(tmp_path / "studio")
    pair.private_path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*`chmod 600 {pair.private_path}`"):
        PrivateKey.load(pair.private_path)
    pair.private_path.chmod(0o400)
    assert PrivateKey.load(pair.private_path).key_id == pair.key_id


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def encrypted() -> bytes:
    password = serialization.BestAvailableEncryption(b"password")
    return Ed25519PrivateKey.generate().private_bytes(_PEM, _PKCS8, password)


def der() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.DER, _PKCS8, serialization.NoEncryption()
    )


BAD_PEM = b"-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "data",
    [b"", b"garbage", b"\xff" * 100, BAD_PEM % b"AAAA", BAD_PEM % b"****", b"ssh-ed25519 AA"],
)
@pytest.mark.parametrize("kind", [PrivateKey, PublicKey])
def test_file_that_is_no_key(
    tmp_path: Path, kind: type[PrivateKey | PublicKey], data: bytes
) -> None:
    with pytest.raises(KeyFileError, match="holds"):
        kind.load(write(tmp_path / "key", data))


@pytest.mark.parametrize("make", [encrypted, der])
def test_private_key_in_another_form(tmp_path: Path, make: Any) -> None:
    with pytest.raises(KeyFileError, match="no readable private key in PEM form"):
        PrivateKey.load(write(tmp_path / "key", make()))


def test_other_algorithm(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(_PEM, _PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyFileError, match="is not Ed25519"):
        PrivateKey.load(write(tmp_path / "key", private))
    with pytest.raises(KeyFileError, match="is not Ed25519"):
        PublicKey.load(write(tmp_path / "key.pub", public))


@pytest.mark.parametrize("kind", [PrivateKey, PublicKey])
def test_file_that_cannot_be_read(tmp_path: Path, kind: type[PrivateKey | PublicKey]) -> None:
    with pytest.raises(KeyFileError, match=r"cannot read the key file .*No such file"):
        kind.load(tmp_path / "none")
    with pytest.raises(KeyFileError, match=r"cannot read the key file .*Is a directory"):
        kind.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeyFileError, match="is no regular file"):
        kind.load(tmp_path / "pipe")
    large = write(tmp_path / "large", b"\n" * (MAX_KEY_FILE_BYTES + 1))
    with pytest.raises(KeyFileError, match="more than 16384 bytes"):
        kind.load(large)


def test_swapped_files(tmp_path: Path) -> None:
    pair = new_key_pair(tmp_path / "studio")
    with pytest.raises(KeyFileError, match="holds a private key where a public one is expected"):
        PublicKey.load(pair.private_path)
    with pytest.raises(KeyFileError, match="holds a private key where a public one is expected"):
        TrustedKeys.load([pair.private_path])
    with pytest.raises(KeyFileError, match="holds a public key where a private one is expected"):
        PrivateKey.load(pair.public_path)


@given(st.binary(max_size=300))
def test_garbage_key_files_raise_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "garbage-key", BAD_PEM % data)
    with pytest.raises(KeyFileError):
        PrivateKey.load(path)
    path.write_bytes((BAD_PEM % data).replace(b"PRIVATE", b"PUBLIC"))
    with pytest.raises(KeyFileError):
        PublicKey.load(path)


# Trusted keys


def test_trusted_keys_from_files_and_folders(signers: Signers, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    pairs = [new_key_pair(folder / name) for name in ("a", "b")]  # The private ones are passed by.
    (folder / "README").write_text("not a key")
    trusted = TrustedKeys.load([folder, pairs[0].public_path, signers.folder / "studio.pub"])
    assert set(trusted) == {pairs[0].key_id, pairs[1].key_id, signers.studio.key_id}
    assert len(trusted) == 3
    assert all(trusted[key_id].key_id == key_id for key_id in trusted)
    assert trusted.get("ed25519:0000000000000000") is None


def test_linked_key_is_read_as_secrets_are_mounted(signers: Signers, tmp_path: Path) -> None:
    (tmp_path / "mounted.pub").symlink_to(signers.folder / "studio.pub")
    assert set(TrustedKeys.load([tmp_path])) == {signers.studio.key_id}


def test_no_trusted_key(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="trusted_keys names no key"):
        TrustedKeys.load([])
    new_key_pair(tmp_path / "studio").public_path.unlink()
    with pytest.raises(KeyFileError, match=r"the folder .* holds no \*\.pub file"):
        TrustedKeys.load([tmp_path])
    with pytest.raises(KeyFileError, match="No such file"):
        TrustedKeys.load([tmp_path / "none.pub"])
    (tmp_path / "bad.pub").write_text("garbage")
    with pytest.raises(KeyFileError, match=r"bad\.pub holds no readable public key"):
        TrustedKeys.load([tmp_path])


def test_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", fail)
    with pytest.raises(KeyFileError, match=r"cannot read the key file .*Permission denied"):
        TrustedKeys.load([tmp_path])


# Secrets


def test_no_secret_is_ever_told(tmp_path: Path) -> None:
    pair = new_key_pair(tmp_path / "studio")
    pem = pair.private_path.read_text()
    key = PrivateKey.load(pair.private_path)
    told = [repr(key), str(key), f"{key!r}", repr(pair), repr(TrustedKeys.load([pair.public_path]))]
    torn = pem.replace("\n-----END", "*\n-----END")
    for load, data, mode in (
        (PublicKey.load, pem, 0o600),
        (PrivateKey.load, pem, 0o644),
        (PrivateKey.load, torn, 0o600),
        (PublicKey.load, torn, 0o600),
    ):
        path = tmp_path / "key"
        path.write_text(data)
        path.chmod(mode)
        with pytest.raises(KeyFileError) as caught:
            load(path)
        told += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    body = pem.splitlines()[1]
    secret = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(secret, Ed25519PrivateKey)
    raw = secret.private_bytes_raw()
    for hidden in (body, body[-20:], raw.hex(), str(raw), base64.b64encode(raw).decode()):
        assert not [text for text in told if hidden in text]
