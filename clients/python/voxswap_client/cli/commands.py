"""How a command is added to the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

Parser = argparse.ArgumentParser
Container: TypeAlias = "argparse._ActionsContainer"  # a parser, or a group of its options
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands,
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
    *options: Callable[[Parser], object],
    description: str = "",
    epilog: str = "",
    json: bool = True,
) -> Parser:
    """Add a command with ``options`` and ``--json``; ``run`` carries it out: its exit code.

    ``text`` says in a list what it does, and in its own help too unless there is a ``description``.
    """
    parser = commands.add_parser(
        name,
        help=text,
        description=description or f"{text[0].upper()}{text[1:]}.",
        epilog=epilog or None,
        allow_abbrev=False,
    )
    for add in options:
        add(parser)
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    parser.set_defaults(run=run)
    return parser


def add_group(commands: Commands, name: str, text: str, *, description: str = "") -> Commands:
    """Add a command that has commands of its own; add those to what this gives."""
    group = commands.add_parser(name, help=text, description=description or f"{text.capitalize()}.")
    return group.add_subparsers(required=True, metavar="ACTION", dest="action")
