"""Who made a marker or a folder of files on their way, and whether that process is known dead.

A process is named by its host, its boot and its pid namespace, then its pid and when it started.
Containers of one machine may share a host name, and have one boot; each has a pid namespace of its
own. A pid is given again after a while; with the time of the start it is one process's for ever.
What another host or namespace made can be judged by its age alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

MAX_OWNER_BYTES = 4096
_PROC = Path("/proc")
_NAME = re.compile(r"(?P<place>[0-9a-f]{16})\.(?P<pid>[0-9]{1,10})\.(?P<started>[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process. ``boot`` and ``namespace`` are empty, ``started`` is 0, where no system tells."""

    host: str
    pid: int
    boot: str = ""
    namespace: str = ""
    started: int = 0  # clock ticks after the boot

    @classmethod
    def this_process(cls) -> Owner:
        """Who asks."""
        host, boot, namespace = _here()
        found = _status(os.getpid())
        return cls(host, os.getpid(), boot, namespace, found[1] if found else 0)

    def to_json(self) -> bytes:
        """For a file that others read."""
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Owner | None:
        """What `to_json` wrote; None for anything else, older markers included."""
        try:
            raw = json.loads(data)
            found = cls(**{field.name: raw[field.name] for field in dataclasses.fields(cls)})
        except (ValueError, RecursionError, TypeError, KeyError):
            return None
        texts = (found.host, found.boot, found.namespace)
        numbers = (found.pid, found.started)
        if not all(isinstance(text, str) and text for text in texts):
            return None
        if not all(type(number) is int and 0 < number < 1 << 63 for number in numbers):
            return None
        return found

    def to_name(self) -> str:
        """For the name of a folder: there from the moment when the folder is."""
        return f"{_digest(self.host, self.boot, self.namespace)}.{self.pid}.{self.started}"

    @classmethod
    def from_name(cls, name: str) -> Owner | None:
        """Whose `to_name` was; None for anything else, and for processes that are not of here."""
        match, here = _NAME.fullmatch(name), _here()
        if match is None or not here[1] or match["place"] != _digest(*here):
            return None
        return cls(here[0], int(match["pid"]), here[1], here[2], int(match["started"]))

    @property
    def is_here(self) -> bool:
        """Whether this process could see it: the same host, boot and pid namespace."""
        return bool(self.boot) and (self.host, self.boot, self.namespace) == _here()

    @property
    def is_known_dead(self) -> bool:
        """Whether it certainly runs no more. False also where nobody can know."""
        if not self.is_here:
            return False
        try:
            os.kill(self.pid, 0)  # Asks, and sends nothing.
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            pass  # Another user's; or no pid at all, which age will end.
        found = _status(self.pid)
        if found is None:
            return False  # Hidden from this user.
        state, started = found
        return state in "ZX" or started != self.started


def _digest(*place: str) -> str:
    return hashlib.blake2b("\0".join(place).encode(), digest_size=8).hexdigest()


def _here() -> tuple[str, str, str]:
    """Host, boot and pid namespace of this process; empty texts where the system tells none."""
    boot = namespace = ""
    with contextlib.suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = f"{(_PROC / 'self/ns/pid').stat().st_ino:x}"
    return socket.gethostname(), boot if namespace else "", namespace


def _status(pid: int) -> tuple[str, int] | None:
    """State and start of a process, in clock ticks since the boot; None if it cannot be had."""
    try:
        data = (_PROC / f"{pid}/stat").read_bytes()
        # The name stands in parentheses and may hold anything.
        fields = data.rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
