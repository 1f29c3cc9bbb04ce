"""``voxswap serve``, also as ``python -m voxswap_server``."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
import sysconfig
import threading
from collections.abc import Sequence
from pathlib import Path

from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.errors import VoxswapError
from voxswap_server.app import RunningServer, running
from voxswap_server.config import RELOADABLE, Settings, load_settings
from voxswap_server.process import keep_freed_memory, raise_descriptor_limit
from voxswap_server.residents import LOADING_THREADS

_LOGGER = logging.getLogger("voxswap_server")

_SHOWN = 6
_LAST_WAIT_S = 2.0
_CLIENTS_DEFAULT_ADDRESS = "127.0.0.1:50051"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; 0 after a clean end, 2 for a wrong setting."""
    keep_freed_memory()
    raise_descriptor_limit()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        settings = load_settings(arguments)
        logging.basicConfig(
            level=settings.log_level.upper(),
            format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        )
        asyncio.run(_serve(settings, arguments))
    except VoxswapError as error:
        for line in error.message.splitlines():
            print(f"voxswap serve: error: {line}", file=sys.stderr)  # noqa: T201
        return 2
    _leave_behind_what_hangs()
    return 0


def _leave_behind_what_hangs() -> None:
    """End the process if a load hangs on its disk: Python would wait for its thread for ever."""
    loads = [t for t in threading.enumerate() if t.name.startswith(LOADING_THREADS)]
    for thread in loads:
        thread.join(_LAST_WAIT_S)
    if any(thread.is_alive() for thread in loads):
        _LOGGER.warning("a load still hangs; the process ends without it")
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


async def _serve(settings: Settings, arguments: Sequence[str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    running_server: list[RunningServer] = []

    def reload() -> None:
        for server in running_server:  # none until it is there: until then the signal is harmless
            _reload(server, arguments)

    loop.add_signal_handler(signal.SIGHUP, reload)
    async with running(settings) as server:
        running_server.append(server)
        print(await asyncio.to_thread(_greeting, server, settings), flush=True)  # noqa: T201
        await stop.wait()
        _LOGGER.info("stopping: streams have %g s to end", settings.shutdown_grace_s)


def _reload(server: RunningServer, arguments: Sequence[str]) -> None:
    """Read the settings again; those that may change while the server runs are taken up.

    A fault in the file changes nothing: the server goes on with what it has.
    """
    try:
        settings = load_settings(arguments)
    except VoxswapError as error:
        _LOGGER.warning("SIGHUP: the settings stay as they are: %s", error)
        return
    changed = {
        name
        for name in Settings.model_fields
        if getattr(settings, name) != getattr(server.residents.settings, name)
    }
    logging.getLogger().setLevel(settings.log_level.upper())
    server.residents.reload(settings)
    taken = ", ".join(f"{n}={getattr(settings, n)}" for n in sorted(changed & RELOADABLE))
    _LOGGER.info("SIGHUP: %s", f"now {taken}" if taken else "nothing changed")
    if later := changed - RELOADABLE:
        _LOGGER.warning("SIGHUP: only a restart changes %s", ", ".join(sorted(later)))


def _greeting(server: RunningServer, settings: Settings) -> str:
    newest = server.catalog.page(VoiceFilter(), limit=_SHOWN + 1)
    usable = [listing.voice_id for listing in newest if listing.error is None][:_SHOWN]
    n = server.catalog.count()
    lines = [
        f"voxswap is serving on {server.address}",
        f"  metrics   {_metrics_url(server)}",
        f"  registry  {settings.registry}",
        f"  memory    {settings.memory_budget >> 20} MiB on {settings.device}",
        f"  voices    {n}: {', '.join(usable)}{' …' if n > len(usable) else ''}",
    ]
    lines += [f"  broken    {x.voice_id}: {x.error}" for x in newest if x.error is not None]
    if usable:
        command = [_command(), "say", usable[0], '"Halt! Who goes there?"', "-o", "out.wav"]
        if server.address != _CLIENTS_DEFAULT_ADDRESS:
            command += ["--address", server.address]
        lines.append(f"try: {' '.join(command)}")
    else:
        lines.append("register a voice: voxswap voices add PATH --id ID")
    return "\n".join(lines)


def _command() -> str:
    """`voxswap` if a shell finds ours, otherwise its path, so that the line can be pasted."""
    ours = Path(sysconfig.get_path("scripts")) / "voxswap"
    found = shutil.which("voxswap")
    if found is not None and Path(found) == ours:
        return "voxswap"
    return str(ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours)


def _metrics_url(server: RunningServer) -> str:
    return "off" if server.metrics_address is None else f"http://{server.metrics_address}/metrics"


if __name__ == "__main__":
    sys.exit(main())
