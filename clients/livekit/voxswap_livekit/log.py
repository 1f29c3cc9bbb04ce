"""Where the plugin logs."""

import logging

logger = logging.getLogger("voxswap.livekit")
