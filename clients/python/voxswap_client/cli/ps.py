"""``voxswap ps``: what is in the server's memory, and what is left of its budget."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import add_address, add_timeout, connect
from voxswap_client.cli.output import human_ago, human_bytes, human_ms, print_json
from voxswap_client.cli.table import printable, render, terminal_width, wrapped
from voxswap_client.residency_types import (
    Ledger,
    ResidencySnapshot,
    Resident,
    ResidentComponent,
    ResidentState,
    Tier,
)

_DIGEST_CHARACTERS = 12


def add_to(commands: Commands) -> None:
    """Add the command."""
    text = "show the voices in a server's memory and its budget"
    parser = add_command(commands, "ps", text, run, add_address, add_timeout)
    parser.add_argument(
        "--components", action="store_true", help="show their components as well, each once"
    )


def run(args: argparse.Namespace) -> int:
    """Ask once and print."""
    with connect(args) as client:
        found = client.residents(timeout_s=args.timeout)
    if args.json:
        print_json(found)
    else:
        components = args.components
        now, width = datetime.now(UTC), terminal_width()
        print(page(found, now=now, components=components, width=width))
    return 0


def page(
    found: ResidencySnapshot, *, now: datetime, components: bool = False, width: int = 100
) -> str:
    """The table of residents, that of components if wanted, and each device's budget."""
    lines = ["no voice is in memory"]
    if found.residents:
        lines = [residents_table(found.residents, now=now, width=width)]
        lines += [line for each in found.residents for line in _failure(each, width)]
    if components and found.components:
        lines += ["", _components_table(found.components, now=now, width=width), ""]
    lines += [line for ledger in found.ledgers for line in ledger_lines(ledger, width=width)]
    lines += beside_lines(found.beside, width=width)
    return "\n".join(lines)


def residents_table(residents: Sequence[Resident], *, now: datetime, width: int) -> str:
    """One line for each resident. What nobody shares or waits for has no column."""
    shared = any(resident.shared_bytes for resident in residents)
    waiting = any(resident.waiting for resident in residents)
    headings = [
        *("VOICE", "STATE", "SIZE"),
        *(["SHARED"] if shared else []),
        "LEASES",
        *(["WAITING"] if waiting else []),
        *("USES", "LAST USE", "LOAD"),
    ]

    def row(resident: Resident) -> list[object]:
        return [
            several(resident.voices),
            _state(resident),
            human_bytes(resident.size_bytes),
            *([human_bytes(resident.shared_bytes)] if shared else []),
            resident.leases,
            *([resident.waiting] if waiting else []),
            resident.uses,
            human_ago(resident.last_use_time, now),
            human_ms(resident.load_ms),
        ]

    optional = ["LOAD", "USES", *(["SHARED"] if shared else []), "LAST USE", "LEASES"]
    rows = [row(resident) for resident in residents]
    return render(headings, rows, right=headings[2:], names="VOICE", optional=optional, width=width)


def several(names: Sequence[str]) -> str:
    """Such as ``npc/smith@3 +1``."""
    first, *others = names or ("?",)
    return f"{first} +{len(others)}" if others else first


def short_digest(digest: str) -> str:
    """The first twelve of its hexadecimal digits."""
    return digest.removeprefix("sha256:")[:_DIGEST_CHARACTERS]


def ledger_lines(ledger: Ledger, *, width: int = 100) -> list[str]:
    """The books of one device in a line, and in another one what is out of the ordinary."""
    parts = [f"{human_bytes(ledger.resident_bytes)} resident"]
    loading = ledger.reserved_bytes - ledger.workspace_bytes - ledger.for_streams_bytes
    for n_bytes, what in (
        (loading, "loading"),
        (ledger.workspace_bytes, "workspace"),
        (ledger.for_streams_bytes, "for streams"),
        (ledger.evicting_bytes, "evicting"),
    ):
        if n_bytes:
            parts.append(f"{human_bytes(n_bytes)} {what}")
    parts.append(f"{human_bytes(ledger.free_bytes)} free")
    budget = human_bytes(ledger.budget_bytes)
    lines = [f"{ledger_name(ledger)}: {', '.join(parts)} of {budget}", *ledger_notes(ledger)]
    return [row for line in lines for row in wrapped(line, width)]


def beside_lines(beside: Mapping[str, int], *, width: int = 100) -> list[str]:
    """What no budget counts, the largest first."""
    order = sorted(beside.items(), key=lambda item: -item[1])
    held = [f"{human_bytes(size)} {printable(what)}" for what, size in order if size]
    return wrapped(f"beside the budget: {', '.join(held)}", width) if held else []


def ledger_name(ledger: Ledger) -> str:
    """The device, and its tier if that is another one."""
    if ledger.tier is Tier.DEVICE or ledger.device == ledger.tier:
        return printable(ledger.device)
    return f"{printable(ledger.device)} ({ledger.tier})"


def ledger_notes(ledger: Ledger) -> list[str]:
    """What goes below the books."""
    notes = []
    if ledger.target_bytes and ledger.target_bytes < ledger.budget_bytes:
        notes.append(f"shrinking to {human_bytes(ledger.target_bytes)} as memory comes free")
    if ledger.held_bytes:
        holder = "process" if ledger.device == "cpu" else "allocator"
        notes.append(f"the {holder} holds {human_bytes(ledger.held_bytes)}")
    return [f"  {'; '.join(notes)}"] if notes else []


def _state(resident: Resident) -> str:
    if resident.pinned:
        is_plain = resident.state is ResidentState.RESIDENT
        return "pinned" if is_plain else f"{resident.state}, pinned"
    return resident.state


def _failure(resident: Resident, width: int) -> list[str]:
    if resident.state is not ResidentState.FAILED:
        return []
    line = f"{several(resident.voices)} failed: {resident.error or 'no reason was given'}"
    if resident.retry_ms > 0:
        line += (
            f"; it is tried again in {human_ms(resident.retry_ms)}, or at once by `voxswap load`"
        )
    return wrapped(printable(line), width)


def _components_table(components: Sequence[ResidentComponent], *, now: datetime, width: int) -> str:
    headings = ["COMPONENT", "DIGEST", "STATE", "SIZE", "LEASES", "LAST USE", "VOICES"]
    rows = [
        [
            component.role,
            short_digest(component.digest),
            component.state,
            human_bytes(component.size_bytes),
            component.leases,
            human_ago(component.last_use_time, now),
            several(component.voices) if component.voices else "-",
        ]
        for component in components
    ]
    return render(
        headings,
        rows,
        right=["SIZE", "LEASES", "LAST USE"],
        names="VOICES",
        optional=["LAST USE", "LEASES"],
        width=width,
    )
