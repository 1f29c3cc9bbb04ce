"""What can go wrong when several streams share what is made for one of them."""

from __future__ import annotations

from voxswap_registry.errors import VoxswapError


class CannotContinueError(VoxswapError):
    """What a stream followed ended, and its encoding cannot be taken up in the middle."""

    reason = "CANNOT_CONTINUE"
