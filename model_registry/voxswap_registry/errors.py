"""The one exception tree of voxswap's server side.

::

    VoxswapError                      reason
    ├── InvalidInputError             INVALID_INPUT          carries field violations
    │   ├── UnreadableTextError       TEXT_UNREADABLE        a text that ends what reads it
    │   └── UnusableClipError         CLIP_UNUSABLE          (voxswap_server.audio.clips.limits)
    ├── VoiceNotFoundError            VOICE_NOT_FOUND
    ├── VersionExistsError            VERSION_EXISTS         two publishers took one number
    ├── VersionInUseError             VERSION_IN_USE         a label or split names what would go
    ├── RevisionConflictError         REVISION_CONFLICT      somebody else changed the voice first
    ├── NothingToRollBackError        NOTHING_TO_ROLL_BACK   the label never moved
    ├── RegistryBusyError             REGISTRY_BUSY          a publish or a collection is under way
    ├── UploadTooLargeError           UPLOAD_TOO_LARGE       more bytes than a server takes
    ├── SignatureError                SIGNATURE_INVALID      not signed by a trusted key
    ├── GraphNotTrustedError          GRAPH_NOT_TRUSTED      a program that no operator vouches for
    ├── KeyFileError                  KEY_FILE               a key file that is not one
    ├── RegistryError                 REGISTRY_UNREADABLE    the store itself is at fault
    │   ├── StorageFullError          STORAGE_FULL
    │   ├── ManifestError             MANIFEST_INVALID
    │   ├── ObjectMissingError        OBJECT_MISSING
    │   ├── ComponentMissingError     COMPONENT_MISSING
    │   ├── DigestMismatchError       DIGEST_MISMATCH        bytes differ from their name
    │   └── ComponentChangedError     COMPONENT_CHANGED      a file was written to while in use
    ├── ImportSourceError             IMPORT_REFUSED         a foreign file that is not taken
    ├── FrontEndError                 FRONT_END_UNAVAILABLE  a language part is not installed
    ├── FrontEndBusyError             FRONT_END_BUSY         its processes are being started anew
    ├── EncoderUnavailableError       ENCODER_UNAVAILABLE    a codec's library is not installed
    ├── ClipReaderError               CLIP_READER            what decodes recordings is not there
    ├── NotBuiltError                 NOT_IMPLEMENTED        the wire has it, this server not yet
    ├── EngineError                   ENGINE_FAILED          weights or arithmetic went wrong
    ├── ClosedError                   SHUTTING_DOWN          whatever was asked is being ended
    └── ResidencyError                RESIDENCY              (voxswap_server.residency.errors)

Every message says what happened, to what, and what to do; it may go to any client, so it names keys
and digests and no path of this machine. ``detail`` is for logs and for commands on this machine
alone: paths, and the words of foreign libraries. ``str(error)`` has both. ``reason`` is stable:
clients may match on it. ``metadata`` holds short strings for the same purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


class VoxswapError(Exception):
    """Base of every error that voxswap raises on purpose."""

    reason: ClassVar[str] = "INTERNAL"

    # Here, for a subclass may have an __init__ of its own.
    detail: str = ""

    def __init__(
        self, message: str, *, metadata: Mapping[str, str] | None = None, detail: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.metadata: dict[str, str] = dict(metadata or {})
        self.retry_s: float | None = None

    def __str__(self) -> str:
        return f"{self.message} [{self.detail}]" if self.detail else self.message

    def copy(self) -> Self:
        """The same error for another caller, without the frames that this one has seen."""
        told = type(self).__new__(type(self))
        told.__dict__.update(self.__dict__)
        told.args = (self.message,)
        return told

    def again(self, message: str, *, retry_s: float) -> Self:
        """The same error for another caller, who may try again after ``retry_s`` seconds."""
        told = self.copy()
        told.message, told.args, told.retry_s = message, (message,), retry_s
        return told


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One fault of the input: the field's path, and what is wrong together with the remedy."""

    field: str
    description: str


class InvalidInputError(VoxswapError):
    """The caller's input is at fault; ``violations`` names every field at once."""

    reason = "INVALID_INPUT"

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = tuple(violations)

    @classmethod
    def one(cls, field: str, description: str) -> InvalidInputError:
        """An error with a single violation."""
        return cls([FieldViolation(field, description)])


class UnreadableTextError(InvalidInputError):
    """A text that the library which reads it cannot bear: it crashed, or did not come to an end."""

    reason = "TEXT_UNREADABLE"


class VoiceNotFoundError(VoxswapError):
    """No such voice, or no such version of it. Another voice is never taken in its place."""

    reason = "VOICE_NOT_FOUND"


class VersionExistsError(VoxswapError):
    """A version with this number is there already; versions never change."""

    reason = "VERSION_EXISTS"


class VersionInUseError(VoxswapError):
    """A version cannot be deleted while a label or a traffic split names it."""

    reason = "VERSION_IN_USE"


class RevisionConflictError(VoxswapError):
    """The voice is no longer at the revision that the change was made for."""

    reason = "REVISION_CONFLICT"


class NothingToRollBackError(VoxswapError):
    """A label names the version that it always named, or nothing."""

    reason = "NOTHING_TO_ROLL_BACK"


class RegistryBusyError(VoxswapError):
    """A collection waits for publishers, or a publisher for a collection, and gave up."""

    reason = "REGISTRY_BUSY"


class UploadTooLargeError(VoxswapError):
    """A voice has more bytes than this server takes over the wire."""

    reason = "UPLOAD_TOO_LARGE"


class SignatureError(VoxswapError):
    """A version that must be signed by a trusted key is not."""

    reason = "SIGNATURE_INVALID"


class GraphNotTrustedError(VoxswapError):
    """A component is a program, and no operator has imported it or named its digest."""

    reason = "GRAPH_NOT_TRUSTED"


class KeyFileError(VoxswapError):
    """A file that should hold an Ed25519 key cannot be read, is none, or is open to others."""

    reason = "KEY_FILE"


class RegistryError(VoxswapError):
    """The store cannot be read or written."""

    reason = "REGISTRY_UNREADABLE"


class StorageFullError(RegistryError):
    """The disk or the quota under the store or its cache is used up."""

    reason = "STORAGE_FULL"


class ManifestError(RegistryError):
    """A manifest is torn, of an unknown schema, or says something impossible.

    ``violations`` names each field that is at fault, where it could be read so far.
    """

    reason = "MANIFEST_INVALID"

    def __init__(
        self,
        message: str,
        violations: Sequence[FieldViolation] = (),
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, metadata=metadata)
        self.violations = tuple(violations)


class ObjectMissingError(RegistryError):
    """The store has no object with this key."""

    reason = "OBJECT_MISSING"


class ComponentMissingError(RegistryError):
    """A manifest names a component whose bytes are not in the store."""

    reason = "COMPONENT_MISSING"


class DigestMismatchError(RegistryError):
    """The bytes of a component are not those that its digest names."""

    reason = "DIGEST_MISMATCH"


class ComponentChangedError(RegistryError):
    """A file that is mapped was written to or truncated, and is no longer what its digest names."""

    reason = "COMPONENT_CHANGED"


class ImportSourceError(VoxswapError):
    """A foreign checkpoint is refused: wrong format, code inside, or not a supported model."""

    reason = "IMPORT_REFUSED"


class FrontEndError(VoxswapError):
    """A text front-end cannot be had: its package is missing or its language is unknown to it."""

    reason = "FRONT_END_UNAVAILABLE"


class FrontEndBusyError(VoxswapError):
    """A text front-end did not answer, through no fault of the text; it is being started anew."""

    reason = "FRONT_END_BUSY"


class EncoderUnavailableError(VoxswapError):
    """The library that writes an audio encoding is missing on the server, or cannot be opened."""

    reason = "ENCODER_UNAVAILABLE"


class ClipReaderError(VoxswapError):
    """What decodes recordings is not installed, or did not answer, through no fault of the clip."""

    reason = "CLIP_READER"


class NotBuiltError(VoxswapError):
    """The public API has this, and this server does not do it yet. ``violations`` names fields."""

    reason = "NOT_IMPLEMENTED"

    def __init__(self, message: str, violations: Sequence[FieldViolation] = ()) -> None:
        super().__init__(message)
        self.violations = tuple(violations)


class EngineError(VoxswapError):
    """Weights do not fit their architecture, or the arithmetic gave something that is no audio."""

    reason = "ENGINE_FAILED"


class ClosedError(VoxswapError):
    """What was asked is closed: the server is shutting down."""

    reason = "SHUTTING_DOWN"
