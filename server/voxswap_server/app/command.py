"""``voxswap serve``: from a command line to a server, and to the process's end."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.errors import VoxswapError
from voxswap_server.app.config import RELOADABLE, Settings, load_settings
from voxswap_server.app.serve import RunningServer, running
from voxswap_server.app.warden import start_warden
from voxswap_server.app.way_down import (
    BEYOND_GRACE_S,
    CLOSED_S,
    LEFT_BEHIND,
    Guard,
    WayDown,
    leave,
    threads_of_ours,
    threads_that_hang,
)
from voxswap_server.compute.process import keep_freed_memory, raise_descriptor_limit

_LOGGER = logging.getLogger("voxswap_server")

_SHOWN = 6
_CLIENTS_DEFAULT_ADDRESS = "127.0.0.1:50051"
_STOPPING = (signal.SIGINT, signal.SIGTERM)

FAILED, WRONG_SETTING = 1, 2


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM, and return the exit status.

    0 after a clean end, `FAILED`, or `WRONG_SETTING`. If something hangs that should have ended,
    the process leaves from here, with `LEFT_BEHIND` if it was told to end.
    """
    keep_freed_memory()
    raise_descriptor_limit()
    guard = Guard()
    try:
        settings = load_settings(arguments)
        logging.basicConfig(
            level=settings.log_level.upper(),
            format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        )
    except VoxswapError as error:
        return _told(error)
    way_down = WayDown(settings.shutdown_grace_s)
    try:
        status = asyncio.run(_serve(settings, arguments, guard, way_down))
    finally:
        # All is closed; a signal more changes nothing.
        for number in (*_STOPPING, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    hanging = threads_that_hang(way_down.left_s(CLOSED_S))
    if hanging or way_down.left_behind:
        # Python's own end would wait for them.
        what = ", ".join(way_down.left_behind) or "threads"
        leave(
            f"the process ends, and leaves behind: {what}",
            threads={*hanging, *threads_of_ours()},
            status=status or LEFT_BEHIND,
        )
    guard.disarm()
    return status


def _told(error: VoxswapError) -> int:
    for line in str(error).splitlines():
        print(f"voxswap serve: error: {line}", file=sys.stderr)  # noqa: T201
    return WRONG_SETTING


async def _serve(
    settings: Settings, arguments: Sequence[str], guard: Guard, way_down: WayDown
) -> int:
    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(thread_name_prefix="voxswap-default")
    loop.set_default_executor(threads)
    stop = asyncio.Event()
    running_server: list[RunningServer] = []

    def ask_to_stop(number: signal.Signals) -> None:
        is_first = bool(running_server) and not stop.is_set()
        guard.arm(settings.shutdown_grace_s if is_first else 0.0)
        if is_first:
            _LOGGER.info(
                "%s: streams have %g s to end; once more, and they have none",
                *(number.name, settings.shutdown_grace_s),
            )
            way_down.begin()
        else:
            _LOGGER.info("%s: ending at once", number.name)
            way_down.hurry()
        stop.set()

    for number in _STOPPING:
        loop.add_signal_handler(number, ask_to_stop, number)
    try:
        start_warden(settings.shutdown_grace_s + BEYOND_GRACE_S, _STOPPING)
    except OSError as error:
        _LOGGER.warning(
            "no process can be started beside this one (%s): should the interpreter stand still, "
            "a stop has to wait for whoever sends SIGKILL",
            error,
        )

    def reload() -> None:
        for server in running_server:  # none until it is there: until then the signal is harmless
            _reload(server, arguments)

    async def serve() -> None:
        async with running(settings, way_down) as server:
            running_server.append(server)
            print(await asyncio.to_thread(_greeting, server, settings), flush=True)  # noqa: T201
            waits = [asyncio.ensure_future(wait) for wait in (stop.wait(), server.ended())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            if not stop.is_set():
                # A process that lives and takes no call would be taken for a server.
                guard.arm(0.0)
                way_down.hurry()
                raise RuntimeError("grpc has stopped taking calls by itself; see the log above")

    loop.add_signal_handler(signal.SIGHUP, reload)
    serving, stopping = asyncio.ensure_future(serve()), asyncio.ensure_future(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not running_server:
        serving.cancel()  # It was still starting.
    stopping.cancel()
    status = 0
    try:
        await serving
    except asyncio.CancelledError:
        # Nothing is lost, and what was begun (an import, a first look) need not come to its end.
        leave("stopped while it was starting", status=0)
    except VoxswapError as error:
        status = _told(error)
    except Exception:
        _LOGGER.exception("the server failed")
        status = FAILED
    threads.shutdown(wait=False, cancel_futures=True)
    # asyncio waits for its executor's threads without an end: for those of this one.
    loop.set_default_executor(ThreadPoolExecutor())
    return status


def _reload(server: RunningServer, arguments: Sequence[str]) -> None:
    """Read the settings again; those that may change while the server runs are taken up.

    A fault in the file changes nothing: the server goes on with what it has.
    """
    try:
        settings = load_settings(arguments)
    except VoxswapError as error:
        _LOGGER.warning("SIGHUP: the settings stay as they are: %s", error)
        return
    residents = server.house.residents
    changed = {
        name
        for name in Settings.model_fields
        if getattr(settings, name) != getattr(residents.settings, name)
    }
    logging.getLogger().setLevel(settings.log_level.upper())
    residents.reload(settings)
    taken = ", ".join(f"{n}={getattr(settings, n)}" for n in sorted(changed & RELOADABLE))
    _LOGGER.info("SIGHUP: %s", f"now {taken}" if taken else "nothing changed")
    if later := changed - RELOADABLE:
        _LOGGER.warning("SIGHUP: only a restart changes %s", ", ".join(sorted(later)))


def _greeting(server: RunningServer, settings: Settings) -> str:
    catalog = server.house.catalog
    newest = catalog.page(VoiceFilter(), limit=_SHOWN + 1)
    usable = [listing.voice_id for listing in newest if listing.error is None][:_SHOWN]
    n = catalog.count()
    lines = [
        f"voxswap is serving on {server.address}",
        *([f"  page      http://{server.http_address}/"] if server.http_address else ()),
        *([f"  wyoming   {server.wyoming_address}"] if server.wyoming_address else ()),
        f"  metrics   {_metrics_url(server)}",
        f"  registry  {settings.registry}",
        f"  memory    {settings.memory_budget >> 20} MiB on {settings.device}",
        f"  voices    {n}: {', '.join(usable)}{' …' if n > len(usable) else ''}",
    ]
    lines += [f"  broken    {x.voice_id}: {x.error}" for x in newest if x.error is not None]
    command = [_command(), "voices", "add", "PATH", "--id", "ID"]
    if usable:
        command = [_command(), "say", usable[0], '"Halt! Who goes there?"', "-o", "out.wav"]
    if server.address != _CLIENTS_DEFAULT_ADDRESS:
        command += ["--address", server.address]
    lines.append(f"{'try' if usable else 'register a voice'}: {' '.join(command)}")
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
