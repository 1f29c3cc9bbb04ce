"""``voxswap watch``: loads, failures and evictions of a server, as they happen."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime

from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import add_address, connect
from voxswap_client.cli.events import event_line
from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.output import json_line
from voxswap_client.cli.table import terminal_width
from voxswap_client.residency_types import ResidencyEvent


def add_to(commands: Commands) -> None:
    """Add the command."""
    text = "show loads, failures and evictions as they happen"
    parser = add_command(
        commands,
        "watch",
        text,
        run,
        add_address,
        json=False,
        description=f"{text.capitalize()}, until interrupted.",
        epilog="A connection that breaks is made anew after the last event. To go on with events "
        "of an earlier watch, pass the number and epoch of its last one (see --json).",
    )
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--after", type=int, metavar="N", help="begin after event N")
    begin.add_argument(
        "--since-start", action="store_true", help="begin with the server's start (--after 0)"
    )
    parser.add_argument(
        "--epoch", type=int, metavar="E", default=0, help="the run of the server that counted N"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON document for each event")


def run(args: argparse.Namespace) -> int:
    """Print events until something ends it."""
    if args.epoch and args.after is None:
        raise usage_error("--epoch goes with --after N")
    after = 0 if args.since_start else args.after
    width = terminal_width() if sys.stdout.isatty() else None
    with connect(args) as client, client.watch(after=after, epoch=args.epoch) as events:
        for line in map(json_line, events) if args.json else event_lines(events, width):
            print(line, flush=True)
    return 0


def event_lines(
    events: Iterable[ResidencyEvent], width: int | None, *, today: date | None = None
) -> Iterator[str]:
    """A line for each event, and one for the date where it is not that of the line before."""
    shown = today or datetime.now().astimezone().date()
    for event in events:
        if event.time is not None and (day := event.time.astimezone().date()) != shown:
            shown = day
            yield f"{day:%Y-%m-%d}"
        yield event_line(event, width=width)
