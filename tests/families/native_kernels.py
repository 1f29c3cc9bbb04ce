"""Which native kernels can be tried here: all that are built and that this processor runs."""

from __future__ import annotations

import os

from voxswap_families.layers.native.library import fault
from voxswap_families.layers.native.processor import ISAS

TRIED = [name for name in ISAS if not fault(name)]

if os.environ.get("VOXSWAP_CI"):
    assert len(TRIED) >= 2, "CI builds them before: see scripts/check"
