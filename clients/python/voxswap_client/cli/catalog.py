"""Where the `voices` commands look: at a server, or at a registry from here."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import shlex
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from voxswap_client.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT_S
from voxswap_client.cli import local
from voxswap_client.cli.commands import Parser
from voxswap_client.cli.connection import (
    add_address,
    add_timeout,
    connect,
    names_server,
)
from voxswap_client.cli.failure import CliError
from voxswap_client.errors import UnavailableError, VoxswapClientError

if TYPE_CHECKING:
    from voxswap_client import Client

_MAX_ACTOR_CHARACTERS = 128


@contextlib.contextmanager
def catalog(args: argparse.Namespace) -> Iterator[Client | local.LocalCatalog]:
    """The server or registry that ``args`` name, for as long as the block lasts.

    Both have the methods that the commands call. Raises `CliError` if there is no such registry, or
    if no server answers.
    """
    if asks_server(args):
        with server(args) as client:
            yield client
    else:
        yield local.LocalCatalog(local.registry_location(args))


def asks_server(args: argparse.Namespace) -> bool:
    """Whether a server is asked: the one at the usual address too, unless a registry was named.

    Options go before the environment, and there a server before a registry.
    """
    if args.registry is not None:
        return False
    return names_server(args) or not os.environ.get("VOXSWAP_REGISTRY")


@contextlib.contextmanager
def server(args: argparse.Namespace) -> Iterator[Client]:
    """The server that ``args`` name; `CliError` says what else there is if none answers."""
    try:
        with connect(args, timeout_s=args.timeout or DEFAULT_TIMEOUT_S) as client:
            yield client
    except UnavailableError as error:
        if error.reason:  # it answered
            raise
        raise no_server(error) from error


def no_server(error: VoxswapClientError) -> CliError:
    """The error for a server that does not answer, with both remedies."""
    return CliError(
        error.message,
        "start a server with `voxswap serve`, or name one with --address (VOXSWAP_ADDRESS); "
        "without a server, name the registry with --registry (VOXSWAP_REGISTRY)",
    )


def add_source(parser: Parser) -> None:
    """Add ``--address``, ``--registry`` and ``--timeout``."""
    group = parser.add_mutually_exclusive_group()
    add_address(
        group,
        "ask this server (default: $VOXSWAP_ADDRESS, else $VOXSWAP_REGISTRY without a server, else "
        f"{DEFAULT_ADDRESS})",
    )
    local.add_registry(
        group, "work on this registry without a server: a folder, or s3://, gs://, az://…"
    )
    add_timeout(parser)


def same_source(args: argparse.Namespace) -> str:
    """The option that names the same source once more, for a command to copy."""
    for name in ("address", "registry"):
        if value := getattr(args, name):
            return f" --{name} {shlex.quote(str(value))}"
    return ""


def add_change(parser: Parser, *, note: bool = True) -> None:
    """Add what every command that changes something takes: the source, ``--actor``, ``--note``."""
    add_source(parser)
    add_actor(parser)
    if note:
        parser.add_argument("--note", metavar="TEXT", default="", help="why, for the history")


def add_actor(parser: Parser) -> None:
    """Add ``--actor``."""
    parser.add_argument("--actor", metavar="NAME", help="who you are, for the history")


def actor(args: argparse.Namespace) -> str:
    """Who does it: as they say, or else ``user@host``."""
    if args.actor is not None:
        return str(args.actor)
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:_MAX_ACTOR_CHARACTERS]
