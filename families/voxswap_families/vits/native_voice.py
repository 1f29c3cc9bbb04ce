"""A VITS voice on native kernels: the sums of `VitsVoice`, in the order that suits a processor.

Whole segments are encoded, a layer or a part of one at a time. Flow and generator go as far as what
they were given allows, and remember the rest (``layers/native/source``): nothing is computed twice,
and the audio has the same bits for every way of cutting it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from voxswap_families.contract import Delivery, Utterance
from voxswap_families.layers.native.library import Library
from voxswap_families.layers.native.memory import Block, Scratch, address
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.native_model import Floats, NativeModel, Spoken
from voxswap_families.vits.segments import bounded, check_asked, most_symbols
from voxswap_families.work import Steps, Work
from voxswap_registry.errors import EngineError
from voxswap_registry.storage.verified import WatchedFile

# Products of a step, at most: about 20 ms of a processor that has AVX2 and nothing better. Fewer in
# the encoder, where softmax takes its time as well.
_STEP_PRODUCTS: Final = 900_000_000
_ENCODER_PRODUCTS: Final = 600_000_000
# Frames of a step, at most. A voice of few products would else take much memory for one.
MOST_FRAMES: Final = 64
# Noise is drawn in the cuts of `VitsVoice`, so that a seed draws the same.
_DRAWN_FRAMES: Final = 64

_SCRATCH: Final = Scratch()


class NativeVitsWeights:
    """A packed VITS model: pages of its file, or a copy of one in another form."""

    def __init__(
        self,
        model: NativeModel,
        library: Library,
        resident_bytes: int,
        allocated_bytes: int,
        file: WatchedFile | None,
    ) -> None:
        """``file`` is what the weights are pages of, if they are."""
        self.file = file
        self.model = model
        self.library = library
        self.resident_bytes = resident_bytes
        self.allocated_bytes = allocated_bytes


class NativeVitsVoice:
    """Immutable: any number of utterances may be made from it."""

    def __init__(self, weights: NativeVitsWeights) -> None:
        self.model = weights.model
        self.library = weights.library
        self.guard = weights.file.is_unchanged if weights.file is not None else None

    def most_symbols(self, rate: float) -> int:
        """As of `VitsVoice`."""
        return most_symbols(rate)

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        """Encode the text and predict durations. Raises as `Voice.prepare`."""
        check_asked(self.model.architecture, ids, delivery.speaker)
        return Work(self._utterance(ids, delivery), guard=self.guard)

    def _utterance(self, ids: Sequence[int], delivery: Delivery) -> Steps[Utterance]:
        model, a = self.model, self.model.architecture
        spoken = model.spoken_by(delivery.speaker)
        generator = torch.Generator().manual_seed(delivery.seed)
        hidden = model.embedding[np.asarray(ids)]
        hidden *= np.float32(a.hidden**0.5)
        yield from self._encoded(hidden)
        prior = self._linear(model.prior, hidden)
        # As `VitsVoice` draws it: a seed says the same line on every device.
        noise = torch.randn((1, 2, 1, len(ids)), generator=generator).numpy().reshape(2, -1)
        noise *= np.float32(delivery.controls.get("duration_noise_scale", 0.0))
        log_durations = yield from self._durations(hidden, noise, spoken)
        if not np.isfinite(log_durations).all():
            raise EngineError(
                "the duration predictor gave NaN or infinity: the weights are damaged"
            )
        # torch's, for NumPy's warns of what is beyond all bounds, and bounded here.
        frames = bounded(torch.exp(torch.from_numpy(log_durations)) / delivery.rate)
        noise_scale = delivery.controls.get("noise_scale", 0.0)
        return NativeVitsUtterance(
            self, spoken, prior, frames.numpy(), noise_scale, generator if noise_scale > 0 else None
        )

    def _encoded(self, hidden: Floats) -> Steps[None]:
        """All layers on ``hidden``, (symbols, channels), in place."""
        model, a, call = self.model, self.model.architecture, self.library.functions
        rows = len(hidden)
        memory = Block(call.vxk_encoder_bytes(model.encoder, rows))
        steps = encoder_steps(a, rows)
        for layer in model.encoder:
            for first, last in steps:
                call.vxk_encode(layer, rows, address(hidden), memory.address, first, last)
                yield None

    def _durations(self, hidden: Floats, noise: Floats, spoken: Spoken) -> Steps[Floats]:
        """Log durations, (symbols,)."""
        model, call, rows = self.model, self.library.functions, len(hidden)
        x = self._linear(spoken.dp_pre, hidden)
        room = call.vxk_separable_bytes(model.dp_convs, rows)
        call.vxk_separable(model.dp_convs, rows, address(x), _SCRATCH.of(room))
        condition = self._linear(model.dp_proj, x)
        kept, changed = noise[0].copy(), noise[1].copy()
        for spline in model.splines:
            yield None
            # The flip before it.
            kept, changed = changed, kept
            call.vxk_spline(
                spline, rows, address(condition), address(kept), address(changed),
                _SCRATCH.of(call.vxk_spline_bytes(spline, rows)),
            )  # fmt: skip
        z = changed
        mean, logs = model.affine_mean[0], model.affine_logs[0]
        log_durations: Floats = (z - mean) * np.exp(-logs)
        return log_durations

    def _linear(self, product: ctypes.Structure, x: Floats) -> Floats:
        """``x``, (rows, in), times a product of one tap, (rows, out)."""
        call, rows = self.library.functions, len(x)
        y = np.empty((rows, -(-product.outputs // 16) * 16), np.float32)
        room = _SCRATCH.of(call.vxk_linear_bytes(product, rows))
        call.vxk_linear(product, rows, address(x), address(y), room)
        return y


class NativeVitsUtterance:
    """A prepared segment. The flow runs ahead of the generator, as little as it may."""

    def __init__(
        self,
        voice: NativeVitsVoice,
        spoken: Spoken,
        prior: Floats,
        frames_of_symbols: npt.NDArray[np.int64],
        noise_scale: float,
        generator: torch.Generator | None,
    ) -> None:
        """``prior`` is (symbols, 2 inter): mean and log deviation. No generator: no noise."""
        self._voice, self._spoken, self._prior = voice, spoken, prior
        self._durations = tuple(frames_of_symbols.tolist())
        self._symbol_of_frame = np.repeat(np.arange(len(prior)), frames_of_symbols)
        self._noise_scale, self._noise = np.float32(noise_scale), generator
        a, call = voice.model.architecture, voice.library.functions
        self._inter, self._hop = a.inter, a.hop_length_samples
        self._delay = a.flow_reach_frames
        self._most = step_frames(a)
        self._drawn = np.zeros((0, a.inter), np.float32)  # latents that the flow has not seen
        self._draw_end = 0
        self._final = self._drawn  # and those that came of it, which the generator has not
        # Frames that each of the two was given; the generator sees some behind the end as well.
        self._flow_seen = self._seen = 0
        self._emitted = 0  # frames whose audio was asked for
        self._audio = np.zeros(0, np.float32)  # made, and not asked for yet
        self._flow_state = Block(call.vxk_flow_state_bytes(spoken.flow))
        self._generator_state = Block(call.vxk_generator_state_bytes(spoken.generator))
        call.vxk_flow_begin(spoken.flow, self._flow_state.address)
        call.vxk_generator_begin(spoken.generator, self._generator_state.address, self.frames)

    @property
    def durations_frames(self) -> Sequence[int]:
        """Frames of each symbol."""
        return self._durations

    @property
    def frames(self) -> int:
        """Frames of the segment."""
        return len(self._symbol_of_frame)

    @property
    def held_bytes(self) -> int:
        """What the layers remember, the prior, and frames and samples that are on their way."""
        states = self._flow_state.size_bytes + self._generator_state.size_bytes
        frames = _DRAWN_FRAMES + 2 * self._most + self._delay
        a = self._voice.model.architecture
        samples = (self._most + a.generator_reach_frames) * self._hop
        arrays = self._prior.nbytes + self._symbol_of_frame.nbytes
        return states + arrays + 4 * (2 * min(self.frames, frames) * self._inter + samples)

    def decode(self, first_frame: int, last_frame: int) -> Work[npt.NDArray[np.float32]]:
        """Audio of a piece, once the generator has seen as far beyond it as it reaches.

        Raises ValueError for frames that it has not.
        """
        if not self._emitted == first_frame < last_frame <= self.frames:
            raise ValueError(f"frames {first_frame}:{last_frame} of {self.frames}")
        self._emitted = last_frame
        wanted = (last_frame - first_frame) * self._hop
        return Work(self._decoding(last_frame, wanted), guard=self._voice.guard)

    def _decoding(self, last_frame: int, wanted: int) -> Steps[npt.NDArray[np.float32]]:
        reach = self._voice.model.architecture.generator_reach_frames
        end = last_frame + reach
        audio, have = [self._audio], len(self._audio)
        while have < wanted:
            n = min(self._most, end - self._seen)
            needed = max(0, min(n, self.frames - self._seen))
            while len(self._final) < needed:
                self._run_flow(needed)
                yield None
            audio.append(self._generated(n))
            have += len(audio[-1])
            if have < wanted:
                yield None
        made = np.concatenate(audio)
        # What is left is little, and the rest must not live as long.
        self._audio = made[wanted:].copy()
        return made[:wanted]

    def _generated(self, n: int) -> npt.NDArray[np.float32]:
        """What the generator tells once it has seen ``n`` frames more, or as far behind the end."""
        call, generator = self._voice.library.functions, self._spoken.generator
        self._seen += n
        frames, self._final = self._final[:n], self._final[n:].copy()
        most = n + self._voice.model.architecture.generator_reach_frames
        audio = np.empty(most * self._hop, np.float32)
        room = _SCRATCH.of(call.vxk_generator_bytes(generator, n))
        made = call.vxk_generate(
            generator, self._generator_state.address, room, n, address(frames), address(audio)
        )
        audio = audio[:made]
        # NaN and infinity survive a sum, and one sum is cheaper than a mask.
        if not np.isfinite(audio.sum()):
            raise EngineError("the generator gave NaN or infinity: the weights are damaged")
        return audio

    def _run_flow(self, wanted: int) -> None:
        """As many latents more as make ``wanted`` final, or as a step may take."""
        call, flow = self._voice.library.functions, self._spoken.flow
        short = self._seen + wanted + self._delay - self._flow_seen
        n = min(self._most, short, self.frames - self._flow_seen)
        z = self._latents(n)
        self._flow_seen += n
        is_last = self._flow_seen == self.frames
        out = np.empty((n + self._delay, self._inter), np.float32)
        room = _SCRATCH.of(call.vxk_flow_bytes(flow, n))
        made = call.vxk_flow(
            flow, self._flow_state.address, room, is_last, n, address(z), address(out)
        )
        self._final = np.concatenate([self._final, out[:made]])

    def _latents(self, n: int) -> Floats:
        """The next ``n`` frames of the prior, with noise drawn in order and in equal cuts."""
        while len(self._drawn) < n:
            first, last = self._draw_end, min(self._draw_end + _DRAWN_FRAMES, self.frames)
            self._drawn = np.concatenate([self._drawn, self._sampled(first, last)])
            self._draw_end = last
        z, self._drawn = self._drawn[:n], self._drawn[n:]
        return z

    def _sampled(self, first: int, last: int) -> Floats:
        symbols = self._symbol_of_frame[first:last]
        begin, end = symbols[0], symbols[-1] + 1
        prior = self._prior[begin:end]
        z: Floats = prior[symbols - begin, : self._inter]
        if self._noise is not None:
            with np.errstate(over="ignore"):  # infinity is noticed in the audio
                deviation = np.exp(prior[:, self._inter : 2 * self._inter]) * self._noise_scale
            shape = (1, self._inter, 1, last - first)
            noise = torch.randn(shape, generator=self._noise).numpy()[0, :, 0].T
            z += noise * deviation[symbols - begin]
        return z


def encoder_steps(a: VitsArchitecture, symbols: int) -> list[tuple[int, int]]:
    """The parts of a layer of the encoder (``encoder.hpp``) that are one step each, in order.

    Of few symbols all are, of very many each is.
    """
    head, feed = 2 * a.hidden // a.n_heads * symbols, a.layer_products // 2
    parts = [3 * a.hidden**2, *[head] * a.n_heads, a.hidden**2, feed, feed]
    steps, first, products = list[tuple[int, int]](), 0, 0
    for i, part in enumerate(parts):
        if products and products + part > _ENCODER_PRODUCTS // symbols:
            steps.append((first, i))
            first, products = i, 0
        products += part
    return [*steps, (first, len(parts))]


@lru_cache(maxsize=64)
def step_frames(a: VitsArchitecture) -> int:
    """Frames that a step of flow or generator takes, at most."""
    flow = a.flow_layers * a.coupling_products
    return max(1, min(MOST_FRAMES, _STEP_PRODUCTS // max(flow, a.generator_products)))
