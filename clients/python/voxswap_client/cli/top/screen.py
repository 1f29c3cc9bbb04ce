"""Draws with Rich: one frame, a picture of it, or the terminal as long as somebody looks."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import io
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.theme import Theme

from voxswap_client.audio_file import write_atomically
from voxswap_client.cli.connection import address_of, connect_async
from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.table import WIDTH
from voxswap_client.cli.top.figures import Frame
from voxswap_client.cli.top.lines import KEYS, Line, lines
from voxswap_client.cli.top.monitor import Monitor
from voxswap_client.cli.top.scrape import fetch, metrics_url

if TYPE_CHECKING:
    from voxswap_client import AsyncClient

_THEME = Theme(
    {
        "title": "bold",
        "heading": "bold",
        "faint": "dim",
        "resident": "green",
        "pinned": "cyan",
        "loading": "yellow",
        "workspace": "blue",
        "evicting": "magenta",
        "free": "dim",
        "bad": "bold red",
    }
)
_REDRAW_S = 0.5
_LOOK_TIMEOUT_S = 5.0


def show(args: argparse.Namespace) -> int:
    """Show one frame, or the terminal until told to leave. Ctrl-C is a way to leave."""
    address = address_of(args)
    url = metrics_url(args.metrics, address)
    if args.svg and not Path(args.svg).parent.is_dir():
        folder = Path(args.svg).parent
        raise usage_error(f"there is no folder {folder}", f"mkdir -p {folder}")
    width = None if sys.stdout.isatty() else WIDTH
    console = Console(theme=_THEME, width=width, highlight=False)
    once = args.once or args.svg or not console.is_terminal or console.is_dumb_terminal
    with contextlib.suppress(KeyboardInterrupt):
        if once:
            frame = asyncio.run(_one_frame(args, url))
            _print(console, frame, args, address)
            if args.svg:
                write_atomically(args.svg, picture(frame, address=address, sort=args.sort).encode())
                print(f"wrote {args.svg}", file=sys.stderr)
        else:
            asyncio.run(_live(args, console, url, address))
    return 0


def picture(frame: Frame, *, address: str, sort: str, width: int = WIDTH) -> str:
    """The frame as SVG. It names no font that would have to be fetched."""
    console = Console(
        theme=_THEME,
        width=width,
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
    )
    console.print(_text(lines(frame, address=address, width=width, sort=sort)))
    svg = console.export_svg(title="voxswap top", unique_id="voxswap-top")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


async def _one_frame(args: argparse.Namespace, url: str | None) -> Frame:
    """Look, listen to events, and look again: rates need two looks."""
    async with connect_async(args, timeout_s=_LOOK_TIMEOUT_S) as client:
        monitor = _monitor(client, url)
        await monitor.look(first=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(args.interval):
                await monitor.follow()
                await asyncio.sleep(args.interval)
        await monitor.look()
        return monitor.frame(lately=False)


async def _live(args: argparse.Namespace, console: Console, url: str | None, address: str) -> None:
    async with connect_async(args, timeout_s=_LOOK_TIMEOUT_S) as client:
        monitor = _monitor(client, url)
        await monitor.look(first=True)
        tasks = [
            asyncio.create_task(_look(monitor, args.interval)),
            asyncio.create_task(monitor.follow()),
        ]
        try:
            with (
                _keyboard() as keys,
                Live(console=console, screen=True, auto_refresh=False) as live,
            ):
                sort = args.sort
                while True:
                    for task in tasks:
                        if task.done():
                            task.result()
                    width, height = console.size
                    found = lines(
                        monitor.frame(),
                        address=address,
                        width=width,
                        height=height,
                        sort=sort,
                        with_keys=True,
                        ascii_only=_ascii_only(console),
                    )
                    live.update(_text(found), refresh=True)
                    key = await _pressed(keys)
                    if key == "q":
                        return
                    sort = KEYS.get(key, sort)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _monitor(client: AsyncClient, url: str | None) -> Monitor:
    return Monitor(client, functools.partial(fetch, url) if url else None, clock=time.monotonic)


async def _look(monitor: Monitor, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        await monitor.look()


async def _pressed(keys: asyncio.Queue[str]) -> str:
    """The next key; "" if none was pressed for a while."""
    # Not `wait_for`: until Python 3.12 it forgets Ctrl-C if a key comes at the same moment.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_REDRAW_S):
            return await keys.get()
    return ""


@contextlib.contextmanager
def _keyboard() -> Iterator[asyncio.Queue[str]]:
    """Keys as they are pressed. None come where there is no such terminal; Ctrl-C always does."""
    keys: asyncio.Queue[str] = asyncio.Queue()
    try:
        import termios
        import tty
    except ImportError:
        yield keys
        return
    if not sys.stdin.isatty():
        yield keys
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def read() -> None:
        for key in os.read(descriptor, 64).decode(errors="ignore").lower():
            keys.put_nowait(key)

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield keys
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _print(console: Console, frame: Frame, args: argparse.Namespace, address: str) -> None:
    found = lines(
        frame,
        address=address,
        width=console.width,
        sort=args.sort,
        ascii_only=_ascii_only(console),
    )
    console.print(_text(found))


def _ascii_only(console: Console) -> bool:
    return console.options.ascii_only


def _text(found: list[Line]) -> Text:
    text = Text(no_wrap=True, overflow="crop")
    for i, line in enumerate(found):
        text.append("\n" if i else "")
        for span in line:
            text.append(span.text, span.style)
    return text
