"""Publishes the packed form of VITS voices that are stored plain, and says what it costs.

What it costs is what rounding does: the voice as it was, in float32, is compared with whoever
speaks from the packed weights. Where those are int8, so are the rows that they are multiplied with.
"""

from __future__ import annotations

import dataclasses
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from voxswap_families import reading
from voxswap_families.comparing import Array, Comparison, Speak, Spoken, compared
from voxswap_families.importing.request import tool_name
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.layers.blocks import Conv, modules_of
from voxswap_families.layers.mapping import map_tensors
from voxswap_families.symbols import Symbol, SymbolTable
from voxswap_families.vits.architecture import ENGINE, VitsArchitecture
from voxswap_families.vits.encoder import FeedForward
from voxswap_families.vits.model import VitsModel, in_canonical_shape, load_model
from voxswap_families.vits.packable import PACKED, PACKED_INT8, handled, stored_as
from voxswap_families.vits.packed import pack, unpack
from voxswap_families.work import Work, finished
from voxswap_registry.clock import Clock, utc_now
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import EngineError, InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import NullProgress, Progress
from voxswap_registry.store import Registry

_MODEL: Final = "model"
_LINES, _WORDS, _LETTERS = 4, 8, (2, 7)
_NOISE, _DURATION_NOISE = 0.667, 0.8
_MOST_FRAMES = 100.0  # of a symbol

#: Whoever speaks from packed weights.
SpeaksPacked: TypeAlias = Callable[[VitsArchitecture, Mapping[str, Tensor]], Speak]


@dataclass(frozen=True, slots=True)
class Repacked:
    """A version that was stored anew, and the one that was made of it.

    Bytes are those of their models. Without ``is_new`` the voice's newest version was the same.
    """

    before: Manifest
    after: Manifest
    is_new: bool
    comparison: Comparison

    @property
    def size_bytes(self) -> tuple[int, int]:
        """Before, and after."""
        before, after = (m.component(_MODEL).size_bytes for m in (self.before, self.after))
        return before, after


def why_not(manifest: Manifest, form: str = PACKED) -> str:
    """Why a version is not repacked as ``form``, as in "{ref} {reason}"; empty if it can be."""
    if manifest.engine != ENGINE:
        return f"is a {manifest.engine} voice; only VITS voices have a packed form"
    found = manifest.component(_MODEL).form
    if found == form:
        return "is packed already"
    if found == PACKED_INT8:
        return "is packed as int8 already, which cannot be undone; import the voice again"
    architecture = VitsArchitecture.from_config(manifest.engine_config, where=manifest.ref)
    reason = handled(architecture)
    return f"cannot be packed: {reason}" if reason else ""


def repack(
    registry: Registry,
    manifest: Manifest,
    *,
    workdir: Path,
    form: str = PACKED,
    actor: str = "",
    progress: Progress | None = None,
    speaks: SpeaksPacked | None = None,
    clock: Clock = utc_now,
) -> Repacked:
    """Publish ``manifest`` in ``form``, as the next version of its voice; no label is moved.

    Nothing else of it changes. ``speaks`` is who is compared with the old weights in float32; torch
    if it is None. Blocks for seconds. Raises `InvalidInputError` if there is a reason `why_not`,
    `EngineError` for weights that are damaged or give no audio, and whatever publishing raises.
    """
    if reason := why_not(manifest, form):
        raise InvalidInputError.one("voice", f"{manifest.ref} {reason}")
    architecture = VitsArchitecture.from_config(manifest.engine_config, where=manifest.ref)
    with as_registry_errors("write into", workdir):
        path = Path(tempfile.mkdtemp(prefix="repack-", dir=workdir)) / "model.safetensors"
    with registry.components.hold(manifest.component(_MODEL)) as file:
        found = map_tensors(file)
        if manifest.component(_MODEL).form == PACKED:
            tensors = unpack(architecture, found)
        else:
            tensors = in_canonical_shape(found)
        packed = pack(architecture, tensors, form=form)
        comparison = compared(
            _from_plain(architecture, tensors),
            (speaks or partial(from_packed, form=form))(architecture, packed),
            _lines(registry, manifest),
        )
    write_safetensors(packed, path, progress=progress or NullProgress())
    after, is_new = registry.publish_if_new(_draft(manifest, path, form, clock), actor=actor)
    return Repacked(manifest, after, is_new, comparison)


def _draft(manifest: Manifest, model: Path, form: str, clock: Clock) -> VoiceDraft:
    components = tuple(
        DraftComponent(c.role, model, c.media_type, form=form)
        if c.role == _MODEL
        else DraftComponent.stored(c)
        for c in manifest.components
    )
    created = clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
    told = f"repacked from {manifest.ref}, {stored_as(form)}"
    provenance = dataclasses.replace(
        manifest.provenance,
        tool=tool_name(),
        created=f"{created.isoformat()}Z",
        note="; ".join(filter(None, (manifest.provenance.note, told))),
    )
    return dataclasses.replace(VoiceDraft.of(manifest, components), provenance=provenance)


def _lines(registry: Registry, manifest: Manifest) -> list[tuple[int, ...]]:
    """Ids of lines without sense, of letters that the voice's own table has; always the same."""
    with registry.components.hold(manifest.component(reading.ROLE)) as file:
        table = SymbolTable.from_json(file.read_bytes())
    letters = sorted(s for s in table.symbols if len(s) == 1 and s.isalpha() and s.isascii())
    chance = random.Random(0)  # noqa: S311 - nothing secret

    def words() -> Iterator[Symbol]:
        for word in range(_WORDS):
            for _ in range(chance.randint(*_LETTERS)):
                yield Symbol(chance.choice(letters or sorted(table.symbols)), word)
            yield Symbol(" ", None)

    return [table.sequence(list(words())).ids for _ in range(_LINES)]


def from_packed(
    architecture: VitsArchitecture, packed: Mapping[str, Tensor], *, form: str = PACKED
) -> Speak:
    """Torch, in float32, from weights as they were rounded. Raises as `packed.unpack`."""
    tensors = unpack(architecture, packed, lambda _: torch.float32, form=form)
    model = load_model(architecture, tensors)
    if form == PACKED_INT8:
        feeds = modules_of(model.enc_p.encoder.ffn_layers, FeedForward)
        for i, feed in enumerate(feeds):
            balance = packed[f"enc_p.encoder.ffn_layers.{i}.conv_1.balance"]
            feed.conv_1 = cast("Conv", _OfBytes(feed.conv_1, 127, balance.view(1, -1, 1, 1)))
            feed.conv_2 = cast("Conv", _OfBytes(feed.conv_2, 255, torch.ones(())))
    return _speaking(model)


class _OfBytes(nn.Module):
    """A convolution of what native kernels round its input to: ``most`` steps to the largest."""

    def __init__(self, conv: Conv, most: int, balance: Tensor) -> None:
        super().__init__()
        self.conv, self.most, self.balance = conv, most, balance

    @property
    def weight(self) -> Tensor:
        """The convolution's."""
        return self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, 1, time)``, of which each sample has a scale."""
        balanced = x * self.balance
        scale = balanced.abs().amax(1, keepdim=True) / self.most
        rounded = torch.where(scale > 0, balanced / scale, 0.0).round() * scale
        y: Tensor = self.conv(rounded / self.balance)
        return y


def _from_plain(architecture: VitsArchitecture, tensors: Mapping[str, Tensor]) -> Speak:
    whole = {name: tensor.float() for name, tensor in tensors.items()}
    return _speaking(load_model(architecture, whole))


def _speaking(model: VitsModel) -> Speak:
    def speak(ids: Sequence[int], durations: Sequence[int] | None) -> Spoken:
        with torch.inference_mode():
            return _spoken(model, ids, durations)

    return speak


def _spoken(model: VitsModel, ids: Sequence[int], durations: Sequence[int] | None) -> Spoken:
    """The whole line at once, as the first speaker says it."""
    generator = torch.Generator().manual_seed(0)
    speaker = None if model.emb_g is None else model.emb_g(torch.tensor([[0]]))
    hidden, mean, log_deviation = finished(Work(model.enc_p.steps(torch.tensor([ids]))))
    noise = torch.randn((1, 2, 1, len(ids)), generator=generator) * _DURATION_NOISE
    log_durations = finished(Work(model.dp.steps(hidden, noise, speaker)))
    frames = torch.exp(log_durations).flatten().ceil().clamp(1, _MOST_FRAMES)
    if not bool(torch.isfinite(frames).all()):
        raise EngineError("the duration predictor gave NaN: the weights are damaged")
    own = tuple(int(n) for n in frames.tolist())
    symbols = torch.repeat_interleave(torch.tensor(durations or own))
    z = mean[..., symbols]
    z = z + torch.randn(z.shape, generator=generator) * _NOISE * log_deviation.exp()[..., symbols]
    for coupling in model.flow.inverse:
        z = coupling(z, speaker)
    audio = model.dec(z, speaker).flatten().numpy()
    if not np.isfinite(audio).all():
        raise EngineError("the generator gave NaN or infinity: the weights are damaged")
    parts = {"prior": mean, "log durations": log_durations, "latents": z}
    return Spoken(own, audio, {name: _array(part) for name, part in parts.items()})


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.numpy()
    return array
