"""A port of a door that listens itself."""

from __future__ import annotations

import socket


def bound(host: str, port: int) -> tuple[socket.socket, str]:
    """A socket that has the port, and its address as it is. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By the protocol asyncio tells what has Nagle's algorithm to turn off: with it, of two small
    # pieces the second waits for up to 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except BaseException:
        found.close()
        raise
    name = f"[{host}]" if family is socket.AF_INET6 else host
    return found, f"{name}:{found.getsockname()[1]}"
