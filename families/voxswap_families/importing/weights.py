"""Weights out of strangers' files, and into components: unpickled, unfolded, named, written."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxswap_families.importing.source import MAX_WEIGHTS_BYTES, SourceFile
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import Progress

if TYPE_CHECKING:
    import torch

_WEIGHT_NORM = {
    ".weight_g": ".weight_v",
    ".parametrizations.weight.original0": ".parametrizations.weight.original1",
}
# A cache line, and what vector instructions like best. safetensors itself asks for 8.
_ALIGNMENT_BYTES = 64
_MOST_TOLD = 120  # characters of torch's errors
_NOT_ALLOWED = re.compile(r"(?i:unsupported global):? (?:GLOBAL )?([\w.]{1,80})")
_ADVICE = re.compile(r"[.:]? (?:In PyTorch 2\.6|Re-running|This is an internal)")


def read_pickle(file: SourceFile, *, remedy: str) -> Any:
    """What a pickle of torch's holds, by an unpickler that calls nothing that it names.

    Raises `ImportSourceError` for one that is damaged or holds code; ``remedy`` is its last word.
    """
    import torch

    try:
        _check_zip_size(file)
        with warnings.catch_warnings(action="ignore"):  # of what is refused just below
            return torch.load(io.BytesIO(file.data), map_location="cpu", weights_only=True)
    except ImportSourceError:
        raise
    except Exception as error:
        raise ImportSourceError(
            f"{file.path} is refused: it is damaged, or holds more than tensors, such as code that "
            f"would run when it is read ({_told(error)}). Nothing in it was run. {remedy}"
        ) from error


def _told(error: Exception) -> str:
    """What torch says, without its advice: that is to read such a file with its code."""
    if found := _NOT_ALLOWED.search(str(error)):
        return f"it asks for {found[1]}"
    summary = str(error).strip().split("\n", 1)[0]
    told = _ADVICE.split(summary, maxsplit=1)[0].strip()[:_MOST_TOLD]
    return f"{type(error).__name__}: {told}"


def _check_zip_size(file: SourceFile) -> None:
    """Refuse an archive that would unpack to far more than its size."""
    stream = io.BytesIO(file.data)
    if not zipfile.is_zipfile(stream):
        return  # The old format: one stream of pickles and raw storages, nothing compressed.
    with zipfile.ZipFile(stream) as archive:
        unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
    if unpacked_bytes > MAX_WEIGHTS_BYTES:
        raise ImportSourceError(
            f"{file.path} would unpack to {unpacked_bytes} bytes; {MAX_WEIGHTS_BYTES} at most are "
            "read. Check that it is the right file"
        )


def strip_module(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names without the ``module.`` that data-parallel training leaves before them."""
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def fold_weight_norm(tensors: Mapping[str, torch.Tensor], *, where: str) -> dict[str, torch.Tensor]:
    """Replace each pair of length ``g`` and direction ``v`` by the weight ``g * v / |v|``.

    The norm runs over dimensions 1 and 2 (Salimans and Kingma 2016, as torch's ``weight_norm`` with
    ``dim=0``). For a ConvTranspose, whose weight is ``(in, out, kernel)``, that leaves one length
    for each input channel. Raises `ImportSourceError` for half a pair.
    """
    folded = dict(tensors)
    for g_suffix, v_suffix in _WEIGHT_NORM.items():
        for g_name in [name for name in tensors if name.endswith(g_suffix)]:
            layer = g_name.removesuffix(g_suffix)
            g, v = folded.pop(g_name).double(), folded.pop(layer + v_suffix, None)
            if v is None or v.dim() != 3 or g.shape != (v.shape[0], 1, 1):
                raise ImportSourceError(
                    f"{where}: the weight norm of {layer} is torn: {g_name} does not fit its other "
                    "half; fetch the checkpoint again"
                )
            v = v.double()
            folded[f"{layer}.weight"] = (g * v / v.norm(dim=(1, 2), keepdim=True)).float()
    return folded


def check_names(
    expected: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    *,
    where: str,
    remedy: str,
) -> None:
    """Raise `ImportSourceError` unless ``found`` are just the tensors that are ``expected``."""
    faults = []
    if missing := sorted(expected.keys() - found.keys()):
        faults.append(f"missing tensors: {_some(missing)}")
    if unknown := sorted(found.keys() - expected.keys()):
        faults.append(f"unknown tensors: {_some(unknown)}")
    wrong = [
        f"{name} is {list(found[name])}, not {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if wrong:
        faults.append(f"tensors of another shape: {_some(wrong)}")
    if faults:
        raise ImportSourceError(f"{where}: {'; '.join(faults)}. {remedy}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def check_finite(tensors: Mapping[str, torch.Tensor], *, where: str) -> None:
    """Raise `ImportSourceError` for a tensor with NaN or infinity."""
    import torch

    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ImportSourceError(
                f"{where}: {name} holds NaN or infinity; the training of this voice diverged or "
                "the file is damaged. Fetch or train it again"
            )


def write_safetensors(
    tensors: Mapping[str, torch.Tensor], path: Path, *, progress: Progress
) -> None:
    """Write ``tensors`` so that the same tensors always give the same bytes. Blocks.

    The layout is fixed here rather than left to the safetensors package, whose choices may change
    with its version: a digest names a component for years. Tensors whose size is a multiple of 64
    bytes come first, and the header is padded, so that a memory map finds them 64-byte aligned.
    Raises `RegistryError` if the disk refuses.
    """
    import torch

    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int8: "I8"}

    def order(item: tuple[str, torch.Tensor]) -> tuple[bool, int, str]:
        name, tensor = item
        return tensor.nbytes % _ALIGNMENT_BYTES != 0, -tensor.element_size(), name

    laid_out = sorted(tensors.items(), key=order)
    header: dict[str, object] = {}
    offset = 0
    for name, tensor in laid_out:
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-(8 + len(encoded)) % _ALIGNMENT_BYTES)
    progress.start(f"write {path.name}", offset)
    try:
        with as_registry_errors("write", path), path.open("xb") as file:
            file.write(len(encoded).to_bytes(8, "little") + encoded)
            for _, tensor in laid_out:
                file.write(tensor.contiguous().view(torch.uint8).numpy().data)
                progress.advance(tensor.nbytes)
    finally:
        progress.finish()
