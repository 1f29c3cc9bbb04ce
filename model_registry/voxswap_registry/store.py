"""The registry over a local folder: content-addressed blobs beside small JSON manifests.

Keys, relative to the root::

    blobs/sha256/<first 2 digits>/<64 digits>       mode 0444, never changed
    voices/<segments of the voice id>@<version>.json  created once, never changed
    tmp/                                            files on their way; whatever a crash leaves
                                                    here may be deleted while nobody publishes

An id has no '@' in it, so ids may nest: ``npc`` and ``npc/smith`` are both voices.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import difflib
import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import (
    ComponentMissingError,
    DigestMismatchError,
    InvalidInputError,
    ManifestError,
    RegistryError,
    VersionExistsError,
    VoiceNotFoundError,
)
from voxswap_registry.manifest import MAX_MANIFEST_BYTES, Component, Manifest
from voxswap_registry.names import VoiceRef, check_digest, check_voice_id
from voxswap_registry.os_errors import as_registry_errors

_BLOCK_BYTES = 1 << 20
_MANIFEST_FILE = re.compile(r"(?P<name>[^@/]+)@(?P<version>[1-9][0-9]{0,8})\.json")
_LIST = "list what there is with: voxswap voices list"


@dataclass(frozen=True, slots=True)
class VoiceListing:
    """One voice of the registry: its versions in order, and its newest manifest or its fault."""

    voice_id: str
    versions: tuple[int, ...]
    newest: Manifest | None
    error: RegistryError | None = None


class Registry:
    """Voices and their versions below one folder.

    Thread-safe and safe between processes: it keeps no state and holds no lock, every file appears
    whole or not at all, and none changes afterwards. All methods block on the disk. Symbolic links
    below the root are not followed; the root itself may be one.
    """

    def __init__(self, root: Path) -> None:
        """Name the folder; it need not be there before the first `publish`."""
        self.root = Path(os.path.realpath(root))

    def __repr__(self) -> str:
        return f"Registry({str(self.root)!r})"

    # Publishing

    def publish(self, draft: VoiceDraft, *, version: int | None = None) -> Manifest:
        """Make ``draft`` the next version of its voice, and return its manifest.

        Blocks while the components are copied, hashed and synced. Blobs go first and the manifest
        last, so a reader never meets a version with parts missing, and a process that dies
        anywhere leaves the old state or the new. A blob that is there but damaged is replaced:
        publishing again repairs it. Two publishers get two numbers.

        With ``version``, that number and no other is taken: `VersionExistsError` if another was
        first. Raises `InvalidInputError` for a bad id, `ManifestError` for a draft that could not
        be read back, and `RegistryError` where the disk refuses.
        """
        check_voice_id(draft.voice_id)
        if version is not None:
            _manifest_key(draft.voice_id, version)  # Checked before anything is written.
        self._prepared(draft, 1, tuple(_placeholder(c) for c in draft.components))
        components = tuple(self._store(component) for component in draft.components)
        while True:
            number = version
            if number is None:
                number = max(self.versions(draft.voice_id), default=0) + 1
            data = self._prepared(draft, number, components)
            if self._create(_manifest_key(draft.voice_id, number), data):
                return self._read(draft.voice_id, number)
            if version is not None:
                raise VersionExistsError(
                    f"{draft.voice_id}@{version} is there already, and versions never change; "
                    "publish without a number to get the next one",
                    metadata={"voice": draft.voice_id, "version": str(version)},
                )

    @contextlib.contextmanager
    def workdir(self) -> Iterator[Path]:
        """A private folder on the registry's disk for an import; gone afterwards. Blocks."""
        with as_registry_errors("write into", self.root):
            path = Path(tempfile.mkdtemp(prefix="import-", dir=self._folder("tmp")))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _prepared(
        self, draft: VoiceDraft, version: int, components: tuple[Component, ...]
    ) -> bytes:
        """The bytes of the manifest, proven to read back."""
        try:
            data = draft.manifest(version, components).to_json()
        except ValueError as error:
            raise ManifestError(
                f"{draft.voice_id}: the draft holds text that is no Unicode ({error}); import the "
                "voice again"
            ) from error
        Manifest.from_json(data, where=f"{draft.voice_id}@{version}")
        return data

    def _store(self, draft: DraftComponent) -> Component:
        """Copy a file into the blobs, unless its bytes are there and sound."""
        temporary, digest, size_bytes = self._copy(draft.path)
        try:
            component = Component(draft.role, digest, size_bytes, draft.media_type)
            with contextlib.suppress(ComponentMissingError, DigestMismatchError):
                self.verify(component)
                return component
            blob = self._path(_blob_key(digest))
            with as_registry_errors("write", blob):
                self._folder(_blob_key(digest).rpartition("/")[0])
                os.replace(temporary, blob)  # noqa: PTH105 - tests break it here
                _sync_folder(blob.parent)
            return component
        finally:
            temporary.unlink(missing_ok=True)

    def _copy(self, source: Path) -> tuple[Path, str, int]:
        """``source`` as a synced, read-only temporary file, with its digest and size."""
        digest, size_bytes = hashlib.sha256(), 0
        block = memoryview(bytearray(_BLOCK_BYTES))
        with self._temporary() as (descriptor, temporary):
            with as_registry_errors("read", source):
                file = source.open("rb", buffering=0)
            with file:
                while True:
                    with as_registry_errors("read", source):
                        n = file.readinto(block)
                    if not n:
                        break
                    digest.update(block[:n])
                    size_bytes += n
                    _write(descriptor, block[:n], temporary)
        return temporary, f"sha256:{digest.hexdigest()}", size_bytes

    def _create(self, key: str, data: bytes) -> bool:
        """Create the file ``key`` with ``data``, whole or not at all; False if it is there."""
        path = self._path(key)
        with self._temporary() as (descriptor, temporary):
            _write(descriptor, memoryview(data), temporary)
        try:
            with as_registry_errors("write", path):
                self._folder(key.rpartition("/")[0])
                try:
                    os.link(temporary, path)
                except FileExistsError:
                    return False
                _sync_folder(path.parent)
                return True
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[int, Path]]:
        """A file with an unpredictable name, synced and read-only when the block is left well."""
        with as_registry_errors("write into", self.root):
            descriptor, name = tempfile.mkstemp(dir=self._folder("tmp"))
        path = Path(name)
        try:
            yield descriptor, path
            with as_registry_errors("write", path):
                os.fchmod(descriptor, 0o444)
                os.fsync(descriptor)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def _folder(self, key: str) -> Path:
        """The folder ``key``, made if need be, with each new name synced into its parent."""
        missing = []
        folder = self._path(key)
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)
        return self._path(key)

    # Reading

    def resolve(self, ref: VoiceRef) -> Manifest:
        """The manifest that ``ref`` names; the newest version if it names none. Blocks.

        Raises `VoiceNotFoundError`, and `ManifestError` for one that cannot be read: an older
        version never takes its place.
        """
        check_voice_id(ref.voice_id)
        versions = self.versions(ref.voice_id)
        if not versions:
            raise VoiceNotFoundError(
                f"no voice {ref.voice_id!r} is registered{self._suggestion(ref.voice_id)}; {_LIST}",
                metadata={"voice": ref.voice_id},
            )
        if ref.version is not None and ref.version not in versions:
            newest = ", ".join(str(version) for version in versions[-8:])
            raise VoiceNotFoundError(
                f"the voice {ref.voice_id!r} has no version {ref.version}; it has "
                f"{'... ' if len(versions) > 8 else ''}{newest}",
                metadata={"voice": ref.voice_id, "version": str(ref.version)},
            )
        return self._read(ref.voice_id, ref.version or versions[-1])

    def versions(self, voice_id: str) -> tuple[int, ...]:
        """The versions of a voice in rising order; none if there is no such voice. Blocks."""
        check_voice_id(voice_id)
        folder_key, _, name = f"voices/{voice_id}".rpartition("/")
        found = (_MANIFEST_FILE.fullmatch(entry) for entry in self._list(folder_key))
        return tuple(sorted(int(m["version"]) for m in found if m and m["name"] == name))

    def voices(self) -> list[VoiceListing]:
        """All voices by id. Blocks: reads the newest manifest of each.

        A manifest that cannot be read makes the ``error`` of its own listing, and hides no other.
        """
        listings = []
        for voice_id, versions in sorted(self._ids().items()):
            try:
                newest = self._read(voice_id, versions[-1])
            except RegistryError as error:
                listings.append(VoiceListing(voice_id, versions, None, error))
            else:
                listings.append(VoiceListing(voice_id, versions, newest))
        return listings

    def component_path(self, component: Component) -> Path:
        """Where the bytes of ``component`` lie. Blocks for a few file look-ups; reads no bytes.

        Raises `ComponentMissingError` if they are not there, and `RegistryError` if something else
        stands in their place, such as a symbolic link.
        """
        path = self._path(_blob_key(component.digest))
        try:
            with as_registry_errors("find", path):
                mode = path.lstat().st_mode
        except RegistryError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise ComponentMissingError(
                    f"the {component.role} component {component.digest} is not in {self.root}; "
                    "import the voice again, or copy the blob from another registry",
                    metadata={"digest": component.digest},
                ) from error
            raise
        if not stat.S_ISREG(mode):
            raise RegistryError(f"{path} is no regular file; remove it and import the voice again")
        return path

    def verify(self, component: Component, *, cancelled: Callable[[], bool] | None = None) -> Path:
        """Hash the bytes of ``component`` and return their path if they are the right ones.

        Blocks: it reads the whole file, without the interpreter's lock; about 0.6 s for 1 GB that
        is in the page cache.
        ``cancelled`` is asked before each block of 1 MiB; once it says True,
        `concurrent.futures.CancelledError` is raised. Raises `DigestMismatchError` if size or
        digest differ, and what `component_path` raises.
        """
        path = self.component_path(component)
        digest = hashlib.sha256()
        block = memoryview(bytearray(_BLOCK_BYTES))
        with as_registry_errors("read", path), _open_no_follow(path) as descriptor:
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes != component.size_bytes:
                raise _mismatch(component, f"has {size_bytes} bytes, not {component.size_bytes}")
            while True:
                if cancelled is not None and cancelled():
                    raise concurrent.futures.CancelledError(f"verifying {component.digest}")
                n = os.readv(descriptor, [block])
                if not n:
                    break
                digest.update(block[:n])
        found = f"sha256:{digest.hexdigest()}"
        if found != component.digest:
            raise _mismatch(component, f"reads as {found}")
        return path

    def _read(self, voice_id: str, version: int) -> Manifest:
        path = self._path(_manifest_key(voice_id, version))
        where = f"{voice_id}@{version} ({path})"
        with as_registry_errors("read", path), _open_no_follow(path) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ManifestError(f"{where}: is no regular file; remove it and publish again")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(MAX_MANIFEST_BYTES + 1)
        manifest = Manifest.from_json(data, where=where)
        if (manifest.voice_id, manifest.version) != (voice_id, version):
            raise ManifestError(
                f"{where}: says that it is {manifest.ref}; the file was moved. Put it back, or "
                "publish the voice under its new name"
            )
        return manifest

    def _ids(self) -> dict[str, tuple[int, ...]]:
        """Every voice id with its versions in rising order, by file names alone."""
        found: dict[str, list[int]] = {}
        folders = [""]
        while folders:
            prefix = folders.pop()
            for entry in self._list(f"voices/{prefix}".rstrip("/")):
                match = _MANIFEST_FILE.fullmatch(entry)
                voice_id = f"{prefix}{match['name'] if match else entry}"
                if not _is_voice_id(voice_id):
                    continue
                if match:
                    found.setdefault(voice_id, []).append(int(match["version"]))
                elif self._is_folder(f"voices/{voice_id}"):
                    folders.append(f"{voice_id}/")
        return {voice_id: tuple(sorted(versions)) for voice_id, versions in found.items()}

    def _is_folder(self, key: str) -> bool:
        path = self.root / key
        return path.is_dir() and not path.is_symlink()

    def _list(self, key: str) -> list[str]:
        """The names in the folder ``key``; none if it is not there."""
        path = self._path(key)
        with as_registry_errors("list", path):
            try:
                return os.listdir(path)  # noqa: PTH208 - names are wanted, not paths
            except (FileNotFoundError, NotADirectoryError):
                return []

    def _suggestion(self, voice_id: str) -> str:
        close = difflib.get_close_matches(voice_id, self._ids(), n=3)
        return f" (did you mean {' or '.join(close)}?)" if close else ""

    def _path(self, key: str) -> Path:
        """The path of a key made of checked names; refused if a link leads elsewhere."""
        path = self.root / key
        if os.path.realpath(path) != str(path):
            raise RegistryError(
                f"{path} is or lies behind a symbolic link, and the registry follows none below "
                f"its root; move the files there in its place, or link {self.root} as a whole"
            )
        return path


def _blob_key(digest: str) -> str:
    hexadecimal = check_digest(digest).removeprefix("sha256:")
    return f"blobs/sha256/{hexadecimal[:2]}/{hexadecimal}"


def _manifest_key(voice_id: str, version: int) -> str:
    key = f"voices/{check_voice_id(voice_id)}@{version:d}.json"
    if not _MANIFEST_FILE.fullmatch(key.rpartition("/")[2]):
        raise InvalidInputError.one(
            "version", f"{version} is not a version; use a whole number from 1 to 999999999"
        )
    return key


def _is_voice_id(text: str) -> bool:
    try:
        check_voice_id(text)
    except InvalidInputError:
        return False  # A stray file in the folder: no voice of ours.
    return True


def _placeholder(draft: DraftComponent) -> Component:
    return Component(draft.role, f"sha256:{'0' * 64}", 1, draft.media_type)


def _mismatch(component: Component, finding: str) -> DigestMismatchError:
    return DigestMismatchError(
        f"the {component.role} component {component.digest} {finding}; it was damaged after it "
        "was written. Import the voice again to repair it; `voxswap voices verify` checks all",
        metadata={"digest": component.digest},
    )


def _write(descriptor: int, data: memoryview, path: Path) -> None:
    with as_registry_errors("write", path):
        while data:
            data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def _open_no_follow(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a loss of power, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Some network file systems sync no folders.
            raise
    finally:
        os.close(descriptor)
