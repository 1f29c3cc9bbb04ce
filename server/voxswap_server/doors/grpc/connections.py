"""Ends a client's connection: no other way ends a call whose client takes nothing any more."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

# The files that this process has open, as names that are numbers; on Linux and macOS.
_OPEN_FILES = Path("/dev/fd")


def hang_up(peer: str) -> bool:
    """Shut the connection from ``peer``, as gRPC names it (``ipv4:192.0.2.1:40000``).

    gRPC then finds its peer gone, and ends all of its calls. False if there is no such connection.
    Looks at each open file of the process: some microseconds for each.
    """
    wanted = _address(peer)
    if wanted is None:
        return False
    for connection in _connections():
        host, port = connection.getpeername()[:2]
        if (_plain(host), port) == wanted:
            connection.shutdown(socket.SHUT_RDWR)
            return True
    return False


def hang_up_all(port: int) -> None:
    """Shut every connection that came to ``port`` of this process."""
    for connection in _connections():
        if connection.getsockname()[1] == port:
            with contextlib.suppress(OSError):  # its client was quicker
                connection.shutdown(socket.SHUT_RDWR)


def _connections() -> Iterator[socket.socket]:
    """Each connection over IP that this process has, as a copy that lasts until the next."""
    for name in list(_OPEN_FILES.iterdir()):
        with contextlib.suppress(OSError, ValueError), _copy(int(name.name)) as found:
            if found.family in (socket.AF_INET, socket.AF_INET6) and found.getpeername():
                yield found


def _copy(file: int) -> socket.socket:
    """A copy of ``file``, which gRPC may close meanwhile. Raises OSError if it is no socket."""
    copy = os.dup(file)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _address(peer: str) -> tuple[str, int] | None:
    kind, _, rest = peer.partition(":")
    host, _, port = unquote(rest).rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdecimal():
        return None
    return _plain(host.strip("[]")), int(port)


def _plain(host: str) -> str:
    """An address as IPv4 where it is one: servers for both see it as IPv6."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
