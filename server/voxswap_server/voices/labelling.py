"""The label of a voice that came over the wire: the version speaks before anybody is led to it."""

from __future__ import annotations

import logging

from voxswap_families.errors import DeviceMemoryError, DeviceStuckError
from voxswap_registry.errors import (
    EngineError,
    ManifestError,
    VersionInUseError,
    VoiceNotFoundError,
    VoxswapError,
)
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit, VoiceRecord
from voxswap_registry.store import Registry
from voxswap_server.residency.errors import FootprintError, LoadFailedError
from voxswap_server.voices.self_test import SelfTest, SelfTestError
from voxswap_server.voices.store_calls import StoreCalls
from voxswap_server.voices.uploads import Received

_LOGGER = logging.getLogger(__name__)

# What is wrong with the version itself. All else is this server's state, or passes.
_ITS_OWN = (SelfTestError, EngineError, ManifestError, LoadFailedError, FootprintError)
_NOT_ITS_OWN = (DeviceMemoryError, DeviceStuckError)


class Labelling:
    """Moves labels to what was uploaded. Confined to one event loop; holds no state."""

    def __init__(self, registry: Registry, store: StoreCalls, self_test: SelfTest) -> None:
        self._registry = registry
        self._store = store
        self._self_test = self_test

    async def move(
        self, received: Received, label: str, record: VoiceRecord, *, timeout_s: float | None
    ) -> VoiceRecord:
        """Let the version speak, then move ``label`` to it; the voice as it is then.

        Raises `SelfTestError` for a version that does not speak; it is deleted again if this upload
        made it. Raises whatever else goes wrong, and cancellation too, with the version left there
        and without the label.
        """
        manifest = received.manifest
        if record.state.labels.get(label) == manifest.version:
            return record
        try:
            await self._self_test.run(manifest, timeout_s=timeout_s)
        except _ITS_OWN as error:
            if isinstance(error, _NOT_ITS_OWN):
                raise _kept(error, manifest, label) from error
            fault = error.fault if isinstance(error, SelfTestError) else error.message
            raise await self._withdrawn(received, fault) from error
        except VoxswapError as error:
            raise _kept(error, manifest, label) from error
        except Exception as error:
            _LOGGER.exception("%s: an error in a self-test that nobody foresaw", manifest.ref)
            fault = "the engine failed, and the server's log has the cause"
            raise await self._withdrawn(received, fault) from error
        edit = Edit(moves={label: manifest.version})
        try:
            return await self._store.run(
                self._registry.edit, manifest.voice_id, edit, actor=received.actor
            )
        except VoxswapError as error:
            raise _kept(error, manifest, label) from error

    async def _withdrawn(self, received: Received, fault: str) -> SelfTestError:
        """The error of a version that failed its test, which goes if this upload made it."""
        manifest = received.manifest
        outcome = "the version was there before, and stays"
        if received.created:
            outcome = await self._delete(manifest, received.actor)
        return SelfTestError(
            f"{manifest.ref} did not pass its self-test: {fault}. No label was moved, and "
            f"{outcome}",
            fault=fault,
            metadata={"voice": manifest.ref},
        )

    async def _delete(self, manifest: Manifest, actor: str) -> str:
        """Delete a version; what became of it."""
        ref = VoiceRef(manifest.voice_id, manifest.version)
        note = "did not pass its self-test"
        try:
            await self._store.run(self._registry.delete, ref, actor=actor, note=note)
        except VoiceNotFoundError:
            pass  # Somebody was faster.
        except VersionInUseError as error:
            return f"the version stays, for others have taken it up: {error.message}"
        except VoxswapError as error:
            _LOGGER.warning("%s failed its self-test and could not be deleted: %s", ref, error)
            return f"the version could not be deleted, which is left to you: {error.message}"
        return "the version was deleted again"


def _kept(error: VoxswapError, manifest: Manifest, label: str) -> VoxswapError:
    """``error``, which also says what was done and what is left to do."""
    told = error.copy()
    told.message = (
        f"{manifest.ref} is published, and the label {label!r} was not moved to it: "
        f"{error.message}; move it with: voxswap voices promote {manifest.ref} --label {label}"
    )
    told.args = (told.message,)
    return told
