"""``voxswap ps``: what is in the server's memory, and what is left of its budget."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

from voxswap_client.cli.connection import add_address, add_json, add_timeout, connect
from voxswap_client.cli.output import human_ago, human_bytes, human_ms, print_json
from voxswap_client.cli.table import render
from voxswap_client.types import Ledger, Resident


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    text = "show the voices in a server's memory and its budget"
    parser = commands.add_parser(
        "ps", help=text, description=f"{text.capitalize()}.", allow_abbrev=False
    )
    add_address(parser)
    add_timeout(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask once and print."""
    with connect(args) as client:
        residents, ledgers = client.residents(timeout_s=args.timeout)
    if args.json:
        print_json({"residents": residents, "ledgers": ledgers})
    else:
        print(page(residents, ledgers, now=datetime.now(UTC)))
    return 0


def page(residents: Sequence[Resident], ledgers: Sequence[Ledger], *, now: datetime) -> str:
    """The table of residents and a line for each device's budget."""
    lines = ["no voice is in memory"]
    if residents:
        numbers = ["SIZE", "LEASES", "USES", "LAST USE", "LOAD"]
        lines = [
            render(["VOICE", "STATE", *numbers], [_row(r, now) for r in residents], right=numbers)
        ]
    lines += [_budget(ledger) for ledger in ledgers]
    return "\n".join(lines)


def _row(resident: Resident, now: datetime) -> list[object]:
    first, *others = resident.voices or ("?",)
    return [
        f"{first} +{len(others)}" if others else first,
        f"{resident.state}, pinned" if resident.pinned else resident.state,
        human_bytes(resident.size_bytes),
        resident.leases,
        resident.uses,
        human_ago(resident.last_use_time, now),
        human_ms(resident.load_ms),
    ]


def _budget(ledger: Ledger) -> str:
    parts = [f"{human_bytes(ledger.resident_bytes)} resident"]
    if ledger.reserved_bytes:
        parts.append(f"{human_bytes(ledger.reserved_bytes)} loading")
    if ledger.evicting_bytes:
        parts.append(f"{human_bytes(ledger.evicting_bytes)} evicting")
    parts.append(f"{human_bytes(ledger.free_bytes)} free")
    return f"{ledger.device}: {', '.join(parts)} of {human_bytes(ledger.budget_bytes)}"
