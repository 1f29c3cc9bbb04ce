"""How errors are told at the terminal: one line that says what happened, then what to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from voxswap_client import errors
from voxswap_client.cli.table import WIDTH, wrapped


class CliError(Exception):
    """A failure with its remedy. ``exit_code`` is 2 if the command line itself is at fault.

    ``details`` are lines between the two.
    """

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        exit_code: int = 1,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code
        self.details = details


def usage_error(message: str, remedy: str = "") -> CliError:
    """A command line that cannot be carried out."""
    return CliError(message, remedy, exit_code=2)


_REMEDIES: dict[type[errors.VoxswapClientError], str] = {
    errors.UnavailableError: (
        "start a server with `voxswap serve`, or say where one is with --address or VOXSWAP_ADDRESS"
    ),
    errors.DeadlineExceededError: "give it longer with --timeout SECONDS",
    errors.TooLateError: "give it longer with --start-by MS, or leave that out",
    errors.ConversationIdleError: "end the text when all is said, at a terminal with Ctrl-D",
    errors.RevisionConflictError: "look at the voice with `voxswap voices history`, then try again",
    errors.EventsLostError: "see what is in memory with `voxswap ps`, then watch from now on",
    errors.SlowWatcherError: "let something fast read it, such as a file, and watch again",
    errors.DataLossError: "on the server's machine, run `voxswap voices verify`",
}


def report(error: CliError | errors.VoxswapClientError | OSError) -> int:
    """Tell ``error`` on stderr and return the exit code."""
    if isinstance(error, CliError):
        _say(error.message)
        for line in (*error.details, *filter(None, [error.remedy])):
            _wrapped(f"  {line}")
        return error.exit_code
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        _say(f"{error.strerror or error}{where}")
        return 1
    faults = error.violations
    # The server's message usually repeats every fault; each has a line of its own here.
    repeated = faults and all(fault.description in error.message for fault in faults)
    _say("the request is not valid" if repeated else error.message, _remedy(error))
    for fault in faults:
        _wrapped(f"  {fault.field}: {fault.description}")
    if error.retry_after_s is not None:
        print(f"  try again in {error.retry_after_s:g} s", file=sys.stderr)
    return 1


def _remedy(error: errors.VoxswapClientError) -> str:
    """What to do, unless it is a server that cannot do it just now: that one said what to do."""
    if isinstance(error, errors.UnavailableError) and error.reason:
        return ""
    return _REMEDIES.get(type(error), "")


def warn(message: str, remedy: str = "") -> None:
    """Tell something that is worth knowing and no failure."""
    _wrapped(f"voxswap: warning: {message}")
    if remedy:
        _wrapped(f"  {remedy}")


def _say(message: str, remedy: str = "") -> None:
    _wrapped(f"voxswap: error: {' '.join(message.split())}")
    if remedy:
        _wrapped(f"  {remedy}")


def _wrapped(line: str) -> None:
    """At most 100 columns; paths and digests stay whole, so that they can be copied."""
    print("\n".join(wrapped(line, WIDTH)), file=sys.stderr)
