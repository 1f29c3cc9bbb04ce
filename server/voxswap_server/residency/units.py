"""Sizes as people read them in messages."""

from __future__ import annotations

_MIB = 1 << 20


def human_bytes(size_bytes: int) -> str:
    """Such as ``60.3 MiB``; below one MiB, ``512 bytes``."""
    return f"{size_bytes / _MIB:.1f} MiB" if abs(size_bytes) >= _MIB else f"{size_bytes} bytes"


def several(n: int, what: str) -> str:
    """Such as ``1 stream`` or ``3 streams``."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
