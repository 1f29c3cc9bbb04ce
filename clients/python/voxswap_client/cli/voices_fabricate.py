"""``voxswap voices fabricate``: make up a voice with random weights, for tests and benches."""

from __future__ import annotations

import argparse
from pathlib import Path

from voxswap_client.cli import importing
from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.output import print_json


def add_to(actions: Commands) -> None:
    """Add the command."""
    fabricate = add_command(
        actions,
        "fabricate",
        "make up a voice with random weights, in the layout of published ones",
        run_fabricate,
    )
    fabricate.add_argument("kind", metavar="KIND", help="such as sambert or vits; 'list' lists all")
    fabricate.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        help="where; empty, or not there yet (default: KIND-SEED)",
    )
    fabricate.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the same seed gives the same bytes"
    )
    fabricate.add_argument(
        "--size",
        choices=("tiny", "real"),
        default="real",
        help="as large as published voices (the default), or for tests",
    )


def run_fabricate(args: argparse.Namespace) -> int:
    """Write the folder, and say how it is added."""
    kinds = importing.kinds()
    if args.kind == "list":
        if args.json:
            print_json({"kinds": kinds})
        else:
            width = max(map(len, kinds))
            for name, description in kinds.items():
                print(f"{name.ljust(width)}  {description}")
        return 0
    if args.kind not in kinds:
        raise usage_error(f"there is no {args.kind!r} to make up", f"one of: {', '.join(kinds)}")
    folder = args.folder or Path(f"{args.kind}-{args.seed}")
    importing.fabricate(args.kind, folder, args.seed, args.size)
    if args.json:
        print_json({"kind": args.kind, "folder": str(folder), "seed": args.seed, "size": args.size})
        return 0
    print(f"made up {folder}: {kinds[args.kind]}, with random weights")
    print(f"add it with: voxswap voices add {folder} --id bench/{args.kind}")
    print("a server speaks with it only if it is started with --allow-fabricated true")
    return 0
