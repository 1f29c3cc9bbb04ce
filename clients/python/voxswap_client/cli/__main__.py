"""``python -m voxswap_client.cli`` is ``voxswap``."""

import sys

from voxswap_client.cli import main

if __name__ == "__main__":
    sys.exit(main())
