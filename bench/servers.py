"""A voxswap server in a process of its own, as in life, and what the system says of it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.turns import Tree

# A mapping in ``smaps``: its file, if it has one, what of it is in memory, and what has no file.
_MAPPING = re.compile(
    r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)\n(?:.*\n)*?Rss: +(\d+) kB\n(?:.*\n)*?"
    r"Anonymous: +(\d+) kB$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class BenchServer:
    """A server that serves; figures are of its process, from ``/proc``."""

    address: str
    pid: int
    metrics_url: str = "off"
    http_address: str = ""  # empty if nothing listens for HTTP

    def memory_bytes(self, field: str = "Rss") -> int:
        """A figure of ``smaps_rollup``: Rss, Pss, Private_Dirty, Anonymous …"""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
        assert found, field
        return int(found.group(1)) * 1024

    def own_bytes(self, *folders: Path) -> int:
        """Memory that only its end or its own doing gives back: anonymous, and pages of files that
        it has mapped from ``folders``.

        From ``smaps``, since no sum tells weights, which a ledger charges, from the pages of shared
        libraries, which are the system's to drop. Not of one instant: mappings come and go.
        """
        text = Path(f"/proc/{self.pid}/smaps").read_text()
        # Shared anonymous memory, which Python's own maps are, has that name and is of no file.
        below = ("/dev/zero", *(f"{folder}/" for folder in folders))
        total = 0
        for file, rss, anonymous in _MAPPING.findall(text):
            total += int(rss if file.startswith(below) else anonymous)
        return total * 1024

    def descriptors(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208

    def metric(self, name: str) -> float:
        """A metric, summed over its labels."""
        with urllib.request.urlopen(self.metrics_url, timeout=60) as answer:  # noqa: S310 - ours
            text = answer.read().decode()
        return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))

    def threads(self) -> int:
        """Threads."""
        return len(os.listdir(f"/proc/{self.pid}/task"))  # noqa: PTH208

    def maps(self) -> int:
        """Mapped regions."""
        return Path(f"/proc/{self.pid}/maps").read_text().count("\n")


@contextlib.contextmanager
def serving(
    registry: Path | str,
    *,
    cache_dir: Path | str,
    log: Path | None = None,
    tree: Tree | None = None,
    **settings: str,
) -> Iterator[BenchServer]:
    """Start a server, wait until it says that it serves, and stop it in the end.

    It is of this tree, or of ``tree``. What it logs goes to ``log``, or where our own does.
    """
    chosen = {
        "registry": str(registry),
        "cache_dir": str(cache_dir),
        "listen": "127.0.0.1:0",
        "metrics_listen": "off",
        "http_listen": "off",
        "log_level": "error",
        "warm_start": "false",
        "audio_cache_bytes": "0",
    }
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in (chosen | settings).items()]
    environment = os.environ if tree is None else tree.environment()
    environment = {k: v for k, v in environment.items() if not k.startswith("VOXSWAP_")}
    command = [sys.executable, "-m", "voxswap_server", *flags]
    with (
        log.open("w") if log else contextlib.nullcontext() as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            cwd=None if tree is None else tree.path,
        ) as process,
    ):
        assert process.stdout is not None
        greeting = process.stdout.readline()
        found = re.search(r"serving on (\S+)", greeting)
        assert found, f"the server did not start: {greeting!r}"
        told = {}
        while "metrics" not in told:
            name, _, value = process.stdout.readline().strip().partition(" ")
            assert name, "the server said no more"
            told[name] = value.strip()
        page = told.get("page", "").removeprefix("http://").rstrip("/")
        try:
            yield BenchServer(found.group(1), process.pid, told["metrics"], page)
        finally:
            process.terminate()
            process.communicate(timeout=60)
