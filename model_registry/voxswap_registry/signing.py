"""Ed25519 signatures over manifests: key files, signature documents, and who is trusted.

A signature covers the exact bytes of a manifest. These name every component by its digest, and the
voice and version as well, so no signature fits another version.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from voxswap_registry.errors import KeyFileError, SignatureError

SCHEMA_VERSION = 1
ALGORITHM = "ed25519"
MAX_KEY_FILE_BYTES = 16 << 10
MAX_SIGNATURE_BYTES = 4 << 10

# A key that signs other things as well can never be led into signing a manifest.
_DOMAIN = b"voxswap manifest v1\n"
_KEY_ID = re.compile(r"ed25519:[0-9a-f]{16}")
_MAX_NAMED = 4  # Key ids in one message; strangers may add any number of signatures.


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that checks signatures. Immutable and thread-safe.

    ``key_id`` is ``ed25519:`` and the first 16 hexadecimal digits of the SHA-256 of the raw key. It
    finds a key and proves nothing: whether a signature is good, the key itself decides.
    """

    key_id: str
    _key: Ed25519PublicKey = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> PublicKey:
        """Read a PEM file. Blocks. Raises `KeyFileError`, for a private key's file above all."""
        data, _ = _read(path)
        if b"PRIVATE KEY" in data:
            raise KeyFileError(
                f"{path} holds a private key where a public one is expected; name the .pub file "
                "beside it, and keep the private key away from servers"
            )
        with _as_no_key(path, "public"):
            key = serialization.load_pem_public_key(data)
        if not isinstance(key, Ed25519PublicKey):
            raise _other_kind(path)
        return _public(key)

    def verifies(self, signature: bytes, manifest_bytes: bytes) -> bool:
        """Whether this key signed exactly these bytes."""
        try:
            self._key.verify(signature, _DOMAIN + manifest_bytes)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs. Immutable and thread-safe; neither `repr` nor an error shows the secret."""

    key_id: str
    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> PrivateKey:
        """Read an unencrypted PEM file that its owner alone may read. Blocks.

        Raises `KeyFileError` if it is open to others, encrypted, or no Ed25519 private key.
        """
        data, mode = _read(path)
        if b"PUBLIC KEY" in data:
            raise KeyFileError(
                f"{path} holds a public key where a private one is expected; name the file "
                "without .pub"
            )
        if mode & 0o077:
            raise KeyFileError(
                f"the private key {path} is open to other users (mode {mode:04o}); close it with "
                f"`chmod 600 {path}`, and make a new key if somebody may have read it"
            )
        with _as_no_key(path, "private"):
            key = serialization.load_pem_private_key(data, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise _other_kind(path)
        return cls(_public(key.public_key()).key_id, key)

    def signature(self, manifest_bytes: bytes) -> bytes:
        """The 64 bytes of a signature over ``manifest_bytes``."""
        return self._key.sign(_DOMAIN + manifest_bytes)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Two files that `new_key_pair` has written, and the id that signatures name."""

    private_path: Path
    public_path: Path
    key_id: str


class TrustedKeys(Mapping[str, PublicKey]):
    """The keys whose signatures count, by key id. Immutable and thread-safe."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = {key.key_id: key for key in keys}

    @classmethod
    def load(cls, paths: Iterable[Path]) -> TrustedKeys:
        """Read public keys: each path is a file, or a folder whose ``*.pub`` files count. Blocks.

        Raises `KeyFileError` for a file that holds no public key, for a folder without one, and if
        there is no path: with no key at all, nothing could ever be trusted.
        """
        files = [file for path in paths for file in _key_files(path)]
        if not files:
            raise KeyFileError(
                "trusted_keys names no key, so no signature could be trusted; name a .pub file or "
                "a folder of them"
            )
        return cls(PublicKey.load(file) for file in files)

    def __getitem__(self, key_id: str) -> PublicKey:
        return self._keys[key_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"TrustedKeys({sorted(self._keys)})"


def new_key_pair(path: Path) -> KeyPair:
    """Write a new private key to ``path`` (mode 0600) and its public key to ``path``.pub. Blocks.

    Both files are written or neither, and neither is ever overwritten. Raises `KeyFileError`.
    """
    key = Ed25519PrivateKey.generate()
    public_path = path.with_name(path.name + ".pub")
    _write_new(
        path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        0o600,
    )
    try:
        _write_new(
            public_path,
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            0o644,
        )
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return KeyPair(path, public_path, _public(key.public_key()).key_id)


def sign(manifest_bytes: bytes, key: PrivateKey) -> bytes:
    """The signature document of ``key`` over a manifest: JSON with sorted keys and a newline."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "algorithm": ALGORITHM,
        "key_id": key.key_id,
        "signature": base64.b64encode(key.signature(manifest_bytes)).decode(),
    }
    return json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"


def check(
    manifest_bytes: bytes, signatures: Iterable[bytes], trusted: TrustedKeys, *, ref: str
) -> str:
    """The key id of the first good signature by a trusted key.

    ``signatures`` are documents as strangers may have left them: one that cannot be read is passed
    over, and hides no good one. Raises `SignatureError` that says what there was instead; ``ref``
    names the version in it.
    """
    altered: list[str] = []
    untrusted: list[str] = []
    unreadable: list[str] = []
    for document in signatures:
        try:
            key_id, signature = _parse(document)
        except ValueError as error:
            unreadable.append(str(error))
            continue
        if key_id not in trusted:
            untrusted.append(key_id)
        elif trusted[key_id].verifies(signature, manifest_bytes):
            return key_id
        else:
            altered.append(key_id)
    raise SignatureError(
        f"{ref} is not signed by a trusted key: {_findings(altered, untrusted, unreadable)}; "
        f"{_remedy(ref, altered, untrusted)}",
        metadata={"voice": ref},
    )


def _findings(altered: list[str], untrusted: list[str], unreadable: list[str]) -> str:
    parts = []
    if altered:
        parts.append(
            f"a signature by trusted key {_named(altered)} does not match the manifest's bytes"
        )
    if untrusted:
        parts.append(f"it is signed by untrusted key {_named(untrusted)}")
    if unreadable:
        parts.append(f"a signature document cannot be read ({_named(unreadable)})")
    return ", and ".join(parts) or "it has no signature at all"


def _remedy(ref: str, altered: list[str], untrusted: list[str]) -> str:
    command = f"`voxswap voices sign {ref} --key FILE`"
    if altered:
        return f"find out who changed the manifest or the signature before you sign with {command}"
    if untrusted:
        return f"sign it by a trusted key with {command}, or add the public key to trusted_keys"
    return f"sign it with {command}"


def _named(findings: list[str]) -> str:
    unique = list(dict.fromkeys(findings))
    more = f" and {len(unique) - _MAX_NAMED} more" if len(unique) > _MAX_NAMED else ""
    return ", ".join(unique[:_MAX_NAMED]) + more


def _parse(document: bytes) -> tuple[str, bytes]:
    """Key id and signature of a document; ValueError with a reason that quotes nothing of it."""
    if len(document) > MAX_SIGNATURE_BYTES:
        raise ValueError(f"over {MAX_SIGNATURE_BYTES} bytes")
    try:
        raw = json.loads(document.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    schema_version = raw.get("schema_version") if isinstance(raw, dict) else None
    if type(schema_version) is not int or schema_version != SCHEMA_VERSION:
        raise ValueError(f"its schema_version is not {SCHEMA_VERSION}")
    if raw.get("algorithm") != ALGORITHM:
        raise ValueError(f"its algorithm is not {ALGORITHM}")
    key_id, text = raw.get("key_id"), raw.get("signature")
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise ValueError("its key_id is none")
    try:
        signature = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        signature = b""
    # Compared with its own encoding: base64 has several spellings, and one is enough.
    if len(signature) != 64 or base64.b64encode(signature).decode() != text:
        raise ValueError("its signature is not 64 bytes in base64")
    return key_id, signature


def _public(key: Ed25519PublicKey) -> PublicKey:
    return PublicKey(f"ed25519:{hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]}", key)


def _key_files(path: Path) -> list[Path]:
    with _as_key_file_errors("read", path):
        if not path.is_dir():
            return [path]
        files = sorted(file for file in path.iterdir() if file.suffix == ".pub")
    if not files:
        raise KeyFileError(f"the folder {path} holds no *.pub file; put a public key into it")
    return files


def _read(path: Path) -> tuple[bytes, int]:
    """Bytes and permission bits of a key file. Links are followed: mounted secrets are links."""

    def opener(name: str, flags: int) -> int:
        # Without O_NONBLOCK, opening a named pipe would wait for ever.
        return os.open(name, flags | os.O_NONBLOCK)

    with _as_key_file_errors("read", path), open(path, "rb", opener=opener) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise KeyFileError(f"{path} is no regular file; name a key file")
        data = file.read(MAX_KEY_FILE_BYTES + 1)
    if len(data) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(
            f"{path} has more than {MAX_KEY_FILE_BYTES} bytes, and no key has; name a key file"
        )
    return data, stat.S_IMODE(mode)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _as_key_file_errors("write", path):
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            raise KeyFileError(
                f"{path} is there already, and keys are never overwritten; choose another name"
            ) from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _as_key_file_errors(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeyFileError(
            f"cannot {action} the key file {path}: {error.strerror or error}; check the path, and "
            f"that this user may {action} there"
        ) from error


@contextlib.contextmanager
def _as_no_key(path: Path, kind: str) -> Iterator[None]:
    """Map what the library raises. Its own words are left out: no part of a key is ever told."""
    try:
        yield
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = " (an encrypted one is not taken)" if kind == "private" else ""
        raise KeyFileError(
            f"{path} holds no readable {kind} key in PEM form{hint}; name a file that voxswap wrote"
        ) from None


def _other_kind(path: Path) -> KeyFileError:
    return KeyFileError(f"{path} holds a key that is not Ed25519; name a file that voxswap wrote")
