"""What a registry says of its voices: their versions, and what may change of them."""

from __future__ import annotations

from collections.abc import Iterator

from voxswap_registry import state as states
from voxswap_registry.errors import ManifestError, RevisionConflictError, VoiceNotFoundError
from voxswap_registry.layout import (
    Kind,
    manifest_key,
    state_key,
    voice_folder,
    voice_object,
    voice_part,
)
from voxswap_registry.manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
)
from voxswap_registry.named import MAX_OLD_MANIFEST_BYTES, named_digests
from voxswap_registry.names import VoiceRef
from voxswap_registry.resolution import chosen_version
from voxswap_registry.signing import MAX_SIGNATURE_BYTES, TrustedKeys, check
from voxswap_registry.state import Change, VoiceRecord, VoiceState
from voxswap_registry.storage.objects import Objects

TRIES = 64  # as often somebody may be faster


class RegistryReader:
    """Reads voices from a store, anew at each call. Thread-safe; all methods block."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def resolve(self, ref: VoiceRef, *, session_id: str = "") -> Manifest:
        """The manifest that ``ref`` names, see `resolution.chosen_version`.

        Raises `VoiceNotFoundError`, and `ManifestError` for one that cannot be read: another
        version never takes its place.
        """
        record = self.record(ref.voice_id)
        return self.read(ref.voice_id, chosen_version(record, ref, session_id=session_id))

    def record(self, voice_id: str) -> VoiceRecord:
        """Versions and state of a voice. Raises `VoiceNotFoundError` if it has no version."""
        record = self.look(voice_id)
        if not record.versions:
            raise VoiceNotFoundError(
                f"no voice {voice_id!r} is registered; list what there is with: voxswap voices "
                "list",
                metadata={"voice": voice_id},
            )
        return record

    def versions(self, voice_id: str) -> tuple[int, ...]:
        """The versions of a voice in rising order; none if there is no such voice."""
        return self.look(voice_id).versions

    def history(self, voice_id: str, *, below: int | None = None) -> Iterator[VoiceState]:
        """The states of a voice, the newest first, as far back as they are kept.

        With ``below``, only revisions below it.
        """
        for revision in sorted(self.revisions(voice_id), reverse=True):
            if below is not None and revision >= below:
                continue
            try:
                state = self._state(voice_id, revision)
            except ManifestError:
                state = VoiceState(revision, change=Change("(cannot be read)"))
            if state is not None:
                yield state

    def signatures(self, voice_id: str, version: int) -> list[bytes]:
        """The signature documents of a version, unchecked."""
        keys = sorted(
            info.key
            for info in self.objects.list(voice_folder(voice_id))
            if (found := voice_object(info.key))
            and (found.kind, found.number) == ("signature", version)
        )
        found_documents = (self.objects.read(k, limit_bytes=MAX_SIGNATURE_BYTES) for k in keys)
        return [document for document in found_documents if document is not None]

    def check_signature(self, voice_id: str, version: int, trusted: TrustedKeys) -> str:
        """The id of a trusted key that has signed a version. Raises `SignatureError`."""
        data = self._manifest_bytes(voice_id, version)
        signatures = self.signatures(voice_id, version)
        return check(data, signatures, trusted, ref=f"{voice_id}@{version}")

    def read(self, voice_id: str, version: int) -> Manifest:
        """The manifest of a version. Raises `VoiceNotFoundError` and `ManifestError`."""
        data = self._manifest_bytes(voice_id, version)
        return checked_manifest(data, voice_id, version)

    def named_digests(self, voice_id: str, version: int) -> frozenset[str]:
        """The digests that a version names, also where its manifest says what is not taken.

        Raises as `read`, for one that is torn.
        """
        data = self._manifest_bytes(voice_id, version, limit_bytes=MAX_OLD_MANIFEST_BYTES)
        where = f"{voice_id}@{version}"
        return named_digests(data, voice_id=voice_id, version=version, where=where)

    def look(self, voice_id: str) -> VoiceRecord:
        """Versions and state of a voice; without versions if it has none or never was.

        Raises `RevisionConflictError` if it never stands still.
        """
        for _ in range(TRIES):
            versions, revision = set(), 0
            for kind, number in self._numbers(voice_id):
                if kind == "manifest":
                    versions.add(number)
                elif kind == "state":
                    revision = max(revision, number)
            state = self._state(voice_id, revision) if revision else VoiceState()
            if state is not None:
                return VoiceRecord(voice_id, tuple(sorted(versions - state.deleted)), state)
            # Others have made so many changes since it was listed that it was removed.
        raise RevisionConflictError(
            f"{voice_id} changes faster than it can be read; try again",
            metadata={"voice": voice_id},
        )

    def _state(self, voice_id: str, revision: int) -> VoiceState | None:
        key = state_key(voice_id, revision)
        data = self.objects.read(key, limit_bytes=states.MAX_STATE_BYTES)
        return None if data is None else checked_state(data, key, revision)

    def _manifest_bytes(
        self, voice_id: str, version: int, *, limit_bytes: int = MAX_MANIFEST_BYTES
    ) -> bytes:
        key = manifest_key(voice_id, version)
        data = self.objects.read(key, limit_bytes=limit_bytes)
        if data is None:
            raise VoiceNotFoundError(
                f"{voice_id}@{version} is not in the registry; list what there is with: voxswap "
                f"voices versions {voice_id}",
                metadata={"voice": voice_id, "version": str(version)},
            )
        return data

    def _numbers(self, voice_id: str) -> Iterator[tuple[Kind, int]]:
        """The objects of a voice: what they are, and of which version or revision."""
        folder = voice_folder(voice_id)
        for key in self.objects.keys(folder):
            part = voice_part(key.removeprefix(f"{folder}/"))
            if part is not None:
                yield part

    def revisions(self, voice_id: str) -> list[int]:
        """The revisions of a voice that are kept, in no order."""
        return [number for kind, number in self._numbers(voice_id) if kind == "state"]


def checked_manifest(data: bytes, voice_id: str, version: int) -> Manifest:
    """A manifest that was read from where ``voice_id@version`` lies. Raises `ManifestError`."""
    where = f"{voice_id}@{version} ({manifest_key(voice_id, version)})"
    manifest = Manifest.from_json(data, where=where)
    if (manifest.voice_id, manifest.version) != (voice_id, version):
        raise ManifestError(
            f"{where}: says that it is {manifest.ref}; the file was moved. Put it back, or "
            "publish the voice under its new name"
        )
    return manifest


def checked_state(data: bytes, key: str, revision: int) -> VoiceState:
    """A state that was read from ``key``. Raises `ManifestError`."""
    state = VoiceState.from_json(data, where=key)
    if state.revision != revision:
        raise ManifestError(
            f"{key}: says that it is revision {state.revision}; the file was moved. Remove it: the "
            "state before it then counts"
        )
    return state
