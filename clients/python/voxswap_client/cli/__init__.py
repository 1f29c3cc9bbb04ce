"""The ``voxswap`` command. Exit codes: 0 well, 1 failed, 2 misused, 130 interrupted."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from voxswap_client.cli import serve
from voxswap_client.cli.failure import CliError, report
from voxswap_client.errors import VoxswapClientError
from voxswap_client.version import __version__

_INTERRUPTED = 130


class _Version(argparse.Action):
    """Tells the version, and the kernels that a server here would use."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from voxswap_families.layers.native.library import shown

        print(f"voxswap {__version__}\nkernels {shown()}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands. Each sets ``run``, a function of the parsed arguments."""
    # Here, and not above: `serve` has signals to see to before anything that takes a while.
    from voxswap_client.cli import (
        converse,
        keys,
        outlook,
        ps,
        registry,
        render,
        say,
        steering,
        top,
        voices,
        watch,
    )

    parser = argparse.ArgumentParser(
        prog="voxswap",
        description="Speak with many voices: a text-to-speech server over gRPC, and its client.",
        epilog="VOXSWAP_ADDRESS and VOXSWAP_REGISTRY stand in for --address and --registry.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show the version, and what would compute here"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for group in (
        *(serve, say, converse, render, voices, ps, top, watch),
        *(steering, outlook, registry, keys),
    ):
        group.add_to(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Expected errors are told in a line or two."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["serve"]:  # its flags, --help among them, are the server's own
            return serve.run(arguments[1:])
        args = build_parser().parse_args(arguments)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse has said what it had to say
        return stop.code if isinstance(stop.code, int) else 0
    except (CliError, VoxswapClientError) as error:
        return report(error)
    except BrokenPipeError:
        # Whoever read our output has gone; what is still buffered must not raise at exit again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return report(error)
    except KeyboardInterrupt:
        print("voxswap: interrupted", file=sys.stderr)
        return _INTERRUPTED
