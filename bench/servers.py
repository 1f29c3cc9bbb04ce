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


@dataclass(frozen=True, slots=True)
class BenchServer:
    """A server that serves; figures are of its process, from ``/proc``."""

    address: str
    pid: int
    metrics_url: str = "off"

    def memory_bytes(self, field: str = "Rss") -> int:
        """A figure of ``smaps_rollup``: Rss, Pss, Private_Dirty, Anonymous …"""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
        assert found, field
        return int(found.group(1)) * 1024

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
    registry: Path | str, *, cache_dir: Path | str, log: Path | None = None, **settings: str
) -> Iterator[BenchServer]:
    """Start a server, wait until it says that it serves, and stop it in the end.

    What it logs goes to ``log``, or where our own does.
    """
    chosen = {
        "registry": str(registry),
        "cache_dir": str(cache_dir),
        "listen": "127.0.0.1:0",
        "metrics_listen": "off",
        "log_level": "error",
        "warm_start": "false",
        "audio_cache_bytes": "0",
    }
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in (chosen | settings).items()]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOXSWAP_")}
    command = [sys.executable, "-m", "voxswap_server", *flags]
    with (
        log.open("w") if log else contextlib.nullcontext() as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process,
    ):
        assert process.stdout is not None
        greeting = process.stdout.readline()
        found = re.search(r"serving on (\S+)", greeting)
        assert found, f"the server did not start: {greeting!r}"
        metrics_url = process.stdout.readline().split()[-1]
        try:
            yield BenchServer(found.group(1), process.pid, metrics_url)
        finally:
            process.terminate()
            process.communicate(timeout=60)
