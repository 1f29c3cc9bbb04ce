"""The options that say which server a command asks, and the client made of them."""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING

from voxswap_client.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT_S
from voxswap_client.cli.commands import Container

if TYPE_CHECKING:
    from voxswap_client import AsyncClient, Client
    from voxswap_client.retry import RetryPolicy


def add_address(
    parser: Container, text: str = f"the server (default: $VOXSWAP_ADDRESS or {DEFAULT_ADDRESS})"
) -> None:
    """Add ``--address``."""
    parser.add_argument("--address", metavar="HOST:PORT", help=text)


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Add ``--timeout``."""
    parser.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="give up after this long"
    )


def names_server(args: argparse.Namespace) -> bool:
    """Whether a server was named, by option or environment."""
    return bool(args.address or os.environ.get("VOXSWAP_ADDRESS"))


def address_of(args: argparse.Namespace) -> str:
    """The address that was asked for, by option or environment, or the usual one."""
    return args.address or os.environ.get("VOXSWAP_ADDRESS") or DEFAULT_ADDRESS


def connect(args: argparse.Namespace, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Client:
    """A client for the server that ``args`` name, with a deadline for calls without their own."""
    _silence_grpc()
    from voxswap_client import Client

    return Client(address_of(args), timeout_s=timeout_s)


def connect_async(
    args: argparse.Namespace, *, timeout_s: float, retries: RetryPolicy | None = None
) -> AsyncClient:
    """The same for asyncio; call it in the event loop."""
    _silence_grpc()
    from voxswap_client import AsyncClient
    from voxswap_client.retry import DEFAULT_RETRIES

    return AsyncClient(address_of(args), timeout_s=timeout_s, retries=retries or DEFAULT_RETRIES)


def _silence_grpc() -> None:
    # grpc's core writes notes of its own to stderr, such as one when a server goes away.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def seconds(text: str) -> float:
    """A number above 0; ``inf`` is one. Raises `ArgumentTypeError`."""
    value = float(text)
    if math.isnan(value) or value <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value
