"""The sample rates that voices may have, and how many frames a second makes of them."""

from __future__ import annotations

from typing import Final

# From the telephone's to the studio's. Between any two of them a resampler's output is at most six
# times its input.
MIN_RATE_HERTZ: Final = 8_000
MAX_RATE_HERTZ: Final = 48_000

# A frame lasts from half a millisecond to a tenth of a second; 5 to 25 ms in published voices.
MOST_FRAMES_PER_S: Final = 2_000
LEAST_FRAMES_PER_S: Final = 10
