"""A voice on native kernels beside torch in float32 on the same weights, part by part.

Both have the weights that are packed, so that what differs is the arithmetic alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tests.families.native_memory import Arena
from voxswap_families.layers.native.library import load
from voxswap_families.layers.native.memory import address
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.model import load_model
from voxswap_families.vits.native_model import NativeModel
from voxswap_families.vits.native_voice import NativeVitsVoice, NativeVitsWeights
from voxswap_families.vits.packed import pack, unpack
from voxswap_families.vits.together import undone
from voxswap_families.vits.voice import VitsVoice, VitsWeights

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two voices of the same weights."""

    native: NativeVitsVoice
    torch: VitsVoice
    speaker: int

    @property
    def architecture(self) -> VitsArchitecture:
        """Of both."""
        return self.torch.architecture

    def condition(self) -> Tensor | None:
        """The speaker, as torch's layers take it."""
        return self.torch._speaker(self.speaker)


def native_voice(
    architecture: VitsArchitecture, packed: Mapping[str, Tensor], kernels: str
) -> NativeVitsVoice:
    model = NativeModel(architecture, packed)
    return NativeVitsVoice(NativeVitsWeights(model, load(kernels), 0, 0, None))


def pair_of(
    architecture: VitsArchitecture, tensors: Mapping[str, Tensor], kernels: str, speaker: int = 0
) -> Pair:
    packed = pack(architecture, tensors)
    plain = unpack(architecture, packed, lambda _: torch.float32)
    reference = VitsVoice(VitsWeights(load_model(architecture, plain), architecture, "cpu"))
    return Pair(native_voice(architecture, packed, kernels), reference, speaker)


def snr(expected: Any, found: Any) -> float:
    """Of ``found``, in dB."""
    wanted, got = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    assert wanted.shape == got.shape
    error = ((wanted - got) ** 2).sum()
    assert np.isfinite(error)
    return float(10 * np.log10(((wanted**2).sum() + 1e-30) / (error + 1e-30)))


def drawn(rows: int, channels: int, seed: int = 0) -> Floats:
    """A signal of normal numbers, (rows, channels)."""
    return np.random.default_rng(seed).standard_normal((rows, channels), np.float32)


def _signal(x: Floats) -> Tensor:
    return torch.from_numpy(x.T.copy())[None, :, None].contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def torch_flow(pair: Pair, z: Floats) -> Floats:
    """All of the flow on (frames, inter)."""
    x, speaker = _signal(z), pair.condition()
    for coupling in pair.torch.model.flow.inverse:
        (x,) = undone(coupling, [(x, speaker)])
    flowed: Floats = x[0, :, 0].T.numpy()
    return flowed


@torch.inference_mode()
def torch_generator(pair: Pair, z: Floats) -> Floats:
    """All of the generator on (frames, inter)."""
    audio: Floats = pair.torch.model.dec(_signal(z), pair.condition()).flatten().numpy()
    return audio


def native_flow(pair: Pair, z: Floats, cuts: Sequence[int]) -> Floats:
    """The same in calls of so many frames; the last ones in one."""
    call, flow = pair.native.library.functions, pair.native.model.spoken_by(pair.speaker).flow
    a, arena = pair.architecture, Arena()
    state = arena.take(call.vxk_flow_state_bytes(flow))
    call.vxk_flow_begin(flow, state)
    made = list[Floats]()
    for first, last in spans(len(z), cuts):
        piece = arena.copied(z[first:last])
        memory = arena.take(call.vxk_flow_bytes(flow, len(piece)))
        out = arena.floats(len(piece) + a.flow_reach_frames, a.inter)
        rows = call.vxk_flow(
            flow, state, memory, last == len(z), len(piece), address(piece), address(out)
        )
        made.append(out[:rows])
    arena.check()
    return np.concatenate(made)


def native_generator(pair: Pair, z: Floats, cuts: Sequence[int]) -> Floats:
    """The same in calls of so many frames, of which the last ones are behind the end."""
    call = pair.native.library.functions
    generator, a = pair.native.model.spoken_by(pair.speaker).generator, pair.architecture
    arena, reach = Arena(), a.generator_reach_frames
    state = arena.take(call.vxk_generator_state_bytes(generator))
    call.vxk_generator_begin(generator, state, len(z))
    made = list[Floats]()
    for first, last in spans(len(z) + reach, cuts):
        n = last - first
        piece = arena.copied(z[first:last])
        memory = arena.take(call.vxk_generator_bytes(generator, n))
        out = arena.floats((n + reach) * a.hop_length_samples)
        samples = call.vxk_generate(generator, state, memory, n, address(piece), address(out))
        made.append(out[:samples])
    arena.check()
    return np.concatenate(made)


def native_hidden(pair: Pair, ids: Sequence[int], parts: int) -> Floats:
    """The encoder's states, (symbols, hidden), so many parts of a layer at a time."""
    call, model, a = pair.native.library.functions, pair.native.model, pair.architecture
    arena = Arena()
    x = arena.copied(model.embedding[np.asarray(ids)] * np.float32(a.hidden**0.5))
    for layer in model.encoder:
        memory = arena.take(call.vxk_encoder_bytes(layer, len(ids)))
        for first in range(0, a.n_heads + 4, parts):
            last = min(first + parts, a.n_heads + 4)
            call.vxk_encode(layer, len(ids), address(x), memory, first, last)
    arena.check()
    return x.copy()


@torch.inference_mode()
def torch_hidden(pair: Pair, ids: Sequence[int]) -> Floats:
    hidden, _, _ = finished_steps(pair.torch.model.enc_p.steps(torch.tensor([list(ids)])))
    states: Floats = hidden[0, :, 0].T.contiguous().numpy()
    return states


@torch.inference_mode()
def torch_durations(pair: Pair, hidden: Floats, noise: Floats) -> Floats:
    """Log durations, (symbols,), of states and noise of (2, symbols)."""
    x = torch.from_numpy(noise.copy())[None, :, None]
    steps = pair.torch.model.dp.steps(_signal(hidden), x, pair.condition())
    durations: Floats = finished_steps(steps).flatten().numpy()
    return durations


def native_durations(pair: Pair, hidden: Floats, noise: Floats) -> Floats:
    spoken = pair.native.model.spoken_by(pair.speaker)
    found: Floats = finished_steps(pair.native._durations(hidden.copy(), noise, spoken))
    return found


def finished_steps(steps: Any) -> Any:
    """What they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def spans(length: int, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """``length`` in pieces of ``sizes``, of which the last one is repeated."""
    found, first = list[tuple[int, int]](), 0
    while first < length:
        last = min(length, first + sizes[min(len(found), len(sizes) - 1)])
        found.append((first, last))
        first = last
    return found
