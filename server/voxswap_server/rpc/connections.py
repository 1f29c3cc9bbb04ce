"""Ends a client's connection: no other way ends a call whose client takes nothing any more."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
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
    for name in _OPEN_FILES.iterdir():
        # A copy: gRPC may close its own meanwhile, and the number be somebody else's. The family
        # is not looked at; what is no connection has no peer.
        with (
            contextlib.suppress(OSError, ValueError),
            socket.fromfd(int(name.name), socket.AF_INET, socket.SOCK_STREAM) as connection,
        ):
            host, port = connection.getpeername()[:2]
            if (_plain(host), port) == wanted:
                connection.shutdown(socket.SHUT_RDWR)
                return True
    return False


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
