"""``voxswap top``: a server's memory and speech, as they change, in the terminal.

``prometheus``, ``figures`` and ``lines`` are pure; ``scrape`` and ``monitor`` ask the server;
``screen`` draws, and is the one place that imports Rich.
"""

from __future__ import annotations

import argparse

from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import add_address
from voxswap_client.cli.failure import CliError

_LEAST_INTERVAL_S, _MOST_INTERVAL_S = 0.1, 600.0

_PACKAGES = {"rich": "rich", "prometheus_client": "prometheus-client"}  # by module

SORTS = ("recent", "bytes", "leases", "uses", "age")


def add_to(commands: Commands) -> None:
    """Add the command."""
    text = "show voices, memory, swaps and latency as they change"
    parser = add_command(
        commands,
        "top",
        text,
        run,
        add_address,
        json=False,
        description=f"{text.capitalize()}. Keys: q leaves; r, b, l, u and a sort.",
        epilog="Rates are those of the last 10 s, loads, evictions and failures those of the last "
        "minute. Needs the extra 'cli': pip install 'voxswap[cli]'.",
    )
    parser.add_argument(
        "--metrics",
        metavar="URL",
        help="where the server's metrics are, or 'off' (default: http://HOST:9464/metrics, with "
        "HOST of --address)",
    )
    parser.add_argument(
        "--sort",
        choices=SORTS,
        default=SORTS[0],
        help="recent: last used first; age: longest in memory first (default: recent)",
    )
    parser.add_argument(
        "--interval",
        type=_interval,
        default=1.0,
        metavar="SECONDS",
        help="time between two looks (default: 1)",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="look twice, print that and leave, as it does where there is no terminal",
    )
    parser.add_argument("--svg", metavar="FILE", help="as --once, and save it as a picture")


def _interval(text: str) -> float:
    value = float(text)
    if not _LEAST_INTERVAL_S <= value <= _MOST_INTERVAL_S:
        raise argparse.ArgumentTypeError(f"use {_LEAST_INTERVAL_S:g} to {_MOST_INTERVAL_S:g}")
    return value


def run(args: argparse.Namespace) -> int:
    """Show it until told to leave. Raises `CliError` without its libraries."""
    try:
        from voxswap_client.cli.top.screen import show
    except ImportError as error:
        package = _PACKAGES.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        raise CliError(f"voxswap top needs {package}", "pip install 'voxswap[cli]'") from error
    return show(args)
