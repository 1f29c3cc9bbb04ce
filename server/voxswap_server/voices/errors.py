"""What can go wrong while voices are changed, beside the registry's own errors."""

from __future__ import annotations

from voxswap_registry.errors import RegistryBusyError, VoxswapError


class TooManyUploadsError(VoxswapError):
    """As many voices are being uploaded as this server takes at a time."""

    reason = "TOO_MANY_UPLOADS"


class UploadStalledError(VoxswapError):
    """An upload sent nothing for so long, or so little on the whole, that it was given up."""

    reason = "UPLOAD_STALLED"


class StoreClosedError(RegistryBusyError):
    """The server stops, and calls to the registry's store are not taken any more."""
