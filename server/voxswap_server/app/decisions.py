"""What audio depends on beside request and version: decided once per machine, and kept.

Some of it is measured, and a measurement on a busy machine may end otherwise tomorrow. A line that
was made with a seed would then sound otherwise too. So the first server decides, and a file of the
cache folder tells all later ones, until processor, torch, voxswap or espeak-ng are others.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from voxswap_families.arithmetic import Dtype, fastest_dtype, gains_from_tf32, use_tf32
from voxswap_families.layers.native.fastest import fastest
from voxswap_families.layers.native.library import BUILD, Kernels, Library, best, fault, usable
from voxswap_families.layers.native.recipe import checksum
from voxswap_registry.errors import RegistryError
from voxswap_registry.storage.locks import locked, open_file, replace_file
from voxswap_server.app.config import Settings
from voxswap_server.text.frontends import FrontEndChoice, espeak_is_installed

_LOGGER = logging.getLogger(__name__)

_MAX_FILE_BYTES = 1 << 14
# Others decide within a second, most of which is torch's first use of the device.
_LOCK_S = 10.0


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Machine(_Strict):
    """Where a decision holds. Whatever differs, it is decided anew."""

    device: str
    processor: str
    torch: str
    voxswap: str
    espeak: str
    """Empty where it is not installed."""
    kernels: str = ""
    """The libraries of native kernels that are here, with their sources."""


class Decisions(_Strict):
    """What was decided. ``tf32`` is of CUDA devices alone, ``arithmetic`` of torch alone."""

    arithmetic: Dtype
    tf32: bool
    front_end: FrontEndChoice
    kernels: Kernels = "torch"

    def named_by(self, settings: Settings) -> Decisions:
        """These, but for what ``settings`` name.

        float32 forbids TF32, which has ten bits of it, and native kernels, which round to bfloat16.
        """
        named: dict[str, object] = {}
        if settings.arithmetic != "auto":
            named["arithmetic"] = settings.arithmetic
        if settings.arithmetic == "float32":
            named |= {"tf32": False, "kernels": "torch"}
        if settings.front_end != "auto":
            named["front_end"] = settings.front_end
        if settings.kernels != "auto":
            named["kernels"] = settings.kernels
        return self.model_copy(update=named)

    def labels(self) -> dict[str, str]:
        """As metrics and the log have them: native kernels compute in bfloat16 everywhere."""
        told = {name: str(value).lower() for name, value in self.model_dump().items()}
        return told if self.kernels == "torch" else told | {"arithmetic": "bfloat16"}


class _Kept(_Strict):
    schema_version: Literal[1] = 1
    machine: Machine
    decisions: Decisions


def decide(
    folder: Path,
    machine: Machine,
    measure: Callable[[], Decisions],
    *,
    lock_s: float = _LOCK_S,
) -> Decisions:
    """What ``folder`` has for ``machine``, or else what ``measure`` finds, kept for the next.

    Of several servers that share the folder one decides, and the others wait for it, ``lock_s``
    at most. Blocks. A folder that cannot be written to costs a warning, and what ``measure``
    raises is raised.
    """
    path = folder / f"decisions-{machine.device.replace(':', '-')}.json"
    with contextlib.ExitStack() as stack:
        refusal: Exception | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(path.with_suffix(".lock"), lock_s))
        except (OSError, RegistryError) as error:
            refusal = error
        found = _read(path, machine)
        if found is not None:
            return found
        decisions = measure()
        if refusal is None:
            try:
                kept = _Kept(machine=machine, decisions=decisions).model_dump_json(indent=1)
                replace_file(path, f"{kept}\n".encode())
            except OSError as error:
                refusal = error
        if refusal is not None:
            _LOGGER.warning(
                "what this machine computes in cannot be kept (%s): the next start may decide "
                "otherwise, and lines with a seed then sound otherwise; make cache_dir writable, "
                "or set `arithmetic`",
                refusal,
            )
        return decisions


def this_machine(device: str) -> Machine:
    """The machine that this process runs on. Imports torch."""
    import torch

    kernels: list[Library] = []
    if device == "cpu":
        kernels = usable()
        processor = f"{_processor()}, {torch.backends.cpu.get_cpu_capability()}"
    else:
        processor = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return Machine(
        device=device,
        processor=processor,
        torch=torch.__version__,
        voxswap=version("voxswap"),
        espeak=_espeak_version(),
        kernels=", ".join(f"{library.isa} {library.about['source']}" for library in kernels),
    )


def measured(device: str) -> Decisions:
    """Try what is faster here. *Step*: to be called on a thread that computes."""
    arithmetic, tf32 = fastest_dtype(device), False
    kernels: Kernels = "torch"
    if device == "cpu":
        library = fastest()
        kernels = cast("Kernels", library.isa) if library else "torch"
    else:
        tf32 = gains_from_tf32(device)
        use_tf32(on=tf32)
    return Decisions(
        arithmetic=arithmetic,
        tf32=tf32,
        front_end="espeak" if espeak_is_installed() else "english",
        kernels=kernels,
    )


def settle(settings: Settings) -> Decisions:
    """What this server computes with, and the process set to it. *Step*, as `measured` is."""
    device = settings.device
    decided = decide(settings.cache_dir, this_machine(device), lambda: measured(device))
    decisions = decided.named_by(settings)
    if device != "cpu":
        use_tf32(on=decisions.tf32)
    said = ", ".join(f"{name} {value}" for name, value in decisions.labels().items())
    named = [n for n in ("arithmetic", "front_end", "kernels") if getattr(settings, n) != "auto"]
    _LOGGER.info(
        "this machine speaks with: %s%s", said, f" (set: {', '.join(named)})" if named else ""
    )
    is_free = settings.kernels == settings.arithmetic == "auto" and device == "cpu"
    if is_free and (better := best()[1]):
        _LOGGER.info("faster kernels are not used (%s makes them): %s", BUILD, "; ".join(better))
    if settings.front_end == "auto" and decisions.front_end == "english":
        _LOGGER.warning(
            "espeak-ng is not installed: English voices trained on its phonemes are read by "
            "hibari-tts, and some words will differ; others cannot be read. To have it: pip "
            "install 'voxswap[espeak]'; to be without it: front_end = \"english\""
        )
    return decisions


def maker(decisions: Decisions, device: str) -> str:
    """Names whatever audio depends on beside request and version, for the audio cache's key."""
    import torch

    said = ", ".join(f"{name} {value}" for name, value in decisions.model_dump().items())
    if decisions.kernels != "torch":
        said += f" {checksum(decisions.kernels)}"
    kind = device.partition(":")[0]
    return f"voxswap {version('voxswap')}, torch {torch.__version__}, {kind}, {said}"


def _read(path: Path, machine: Machine) -> Decisions | None:
    """What is there and holds for ``machine``; anything else is said in the log, and None."""
    try:
        with open_file(path, os.O_RDONLY) as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise ValueError(f"has more than {_MAX_FILE_BYTES} bytes")
        kept = _Kept.model_validate_json(data)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RegistryError, ValueError) as error:
        faults = error.errors(include_url=False) if isinstance(error, ValidationError) else error
        _LOGGER.warning("%s is not what voxswap wrote, and decided anew: %s", path.name, faults)
        return None
    if kept.machine == machine:
        kernels = kept.decisions.kernels
        if kernels == "torch" or not (gone := fault(kernels)):
            return kept.decisions
        _LOGGER.info(
            "%s names kernels that cannot be used, and is decided anew: %s", path.name, gone
        )
        return None
    then, now = kept.machine.model_dump(), machine.model_dump()
    changes = [
        f"{k} was {then[k] or 'none'}, is {v or 'none'}" for k, v in now.items() if v != then[k]
    ]
    _LOGGER.info("%s is of another machine, and decided anew: %s", path.name, "; ".join(changes))
    return None


def _processor() -> str:
    """Its name, and a digest of what it can do: a virtual machine may hide some of that."""
    told: dict[str, str] = {}
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as file:
        for line in file:
            name, _, value = line.partition(":")
            told.setdefault(name.strip(), value.strip())
    name = told.get("model name") or platform.processor() or platform.machine()
    flags = told.get("flags") or told.get("Features") or ""
    return f"{name} {hashlib.sha256(flags.encode()).hexdigest()[:8]}"


def _espeak_version() -> str:
    if not espeak_is_installed():
        return ""
    try:
        return version("espeakng-loader")
    except PackageNotFoundError:
        return "unknown"
