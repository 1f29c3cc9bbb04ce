"""What hatchling does beyond copying packages: a wheel for one platform carries its kernels.

``scripts/wheels`` says which folder has them (VOXSWAP_KERNELS) and the platform's tag
(VOXSWAP_PLATFORM). Without that a wheel is for every platform, and runs on torch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Kernels(BuildHookInterface[Any]):
    """Called by hatchling for each wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the libraries, and name the platform that they are for."""
        folder = os.environ.get("VOXSWAP_KERNELS")
        if version == "editable" or not folder:
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ['VOXSWAP_PLATFORM']}"
        inside = "voxswap_families/layers/native/built"
        for library in sorted(Path(folder).glob("*.so")):
            build_data["force_include"][str(library)] = f"{inside}/{library.name}"
