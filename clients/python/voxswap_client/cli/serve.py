"""``voxswap serve``: starts the server, if it is installed."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Sequence

from voxswap_client.cli.failure import CliError


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """List the command. `main` never lets argparse read its flags: they are the server's."""
    commands.add_parser("serve", help="start a server (see: voxswap serve --help)", add_help=False)


def run(argv: Sequence[str]) -> int:
    """Serve until told to stop."""
    # Before anything that takes a while: until it is handled, SIGHUP would end the process.
    with contextlib.suppress(AttributeError, ValueError):  # Windows; not the main thread
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        from voxswap_server.app.command import main as serve
    except ImportError as error:
        raise not_installed("the server", error) from error
    return serve(argv)


def not_installed(what: str, error: ImportError) -> CliError:
    """The error for a part of voxswap that needs the ``server`` extra."""
    return CliError(f"{what} cannot be loaded: {error}", "pip install 'voxswap[server]'")
