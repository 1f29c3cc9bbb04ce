"""A real redis-server on a socket of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


class RedisProcess:
    """Started by `start`, ended by `kill`, and both may be repeated: the socket stays the same."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"

    def start(self, *options: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [
                *(self._program, "--port", "0", "--unixsocket", str(self.socket)),
                *("--save", "", "--appendonly", "no", "--dir", str(self._folder), *options),
            ],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if b"eady to accept connections" in line:
                return
        pytest.fail(f"redis-server ended: {b''.join(said).decode()}")

    def kill(self) -> None:
        if self._process is not None:
            assert self._process.stdout is not None
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


@contextlib.contextmanager
def redis_process() -> Iterator[RedisProcess]:
    """Skips where there is none, except in CI."""
    program = shutil.which("redis-server")
    if program is None and os.environ.get("VOXSWAP_CI"):
        pytest.fail("CI must have redis-server: see .ci/run")
    if program is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    # A socket's path has 107 characters at most, and pytest's folders may be longer.
    with tempfile.TemporaryDirectory(prefix="voxswap-redis-") as folder:
        process = RedisProcess(program, Path(folder))
        process.start()
        try:
            yield process
        finally:
            process.kill()
