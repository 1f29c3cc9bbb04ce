"""Errors that only a caller over the wire can meet."""

from __future__ import annotations

from voxswap_registry.errors import VoxswapError


class TooManyStreamsError(VoxswapError):
    """As many streams speak as this server lets speak at a time."""

    reason = "TOO_MANY_STREAMS"


class TooManyCallsError(VoxswapError):
    """As many calls of one method are open as this server keeps open at a time."""

    reason = "TOO_MANY_CALLS"


class FirstMessageError(VoxswapError):
    """A call was begun and did not say in time what it wants."""

    reason = "FIRST_MESSAGE_LATE"


class WriteStalledError(VoxswapError):
    """A client did not take for so long what was sent to it that its call was given up."""

    reason = "WRITE_STALLED"


class PeerGoneError(Exception):
    """Nobody is there any more to whom something could be sent."""
