"""``python -m voxswap_server``: what ``voxswap serve`` does."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Serve; see `voxswap_server.app.command.main`."""
    # Before anything that takes a while: until it is handled, the signal would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from voxswap_server.app.command import main as serve

    return serve(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
