"""A VITS voice: prepares a segment as a whole, decodes it in windows that join exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxswap_families.contract import Delivery, Utterance
from voxswap_families.layers.carry import Carry
from voxswap_families.layers.kernels import GRID
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.model import VitsModel
from voxswap_families.vits.segments import bounded, check_asked, most_symbols
from voxswap_families.vits.together import decoded, undone
from voxswap_families.work import Call, Steps, Work
from voxswap_registry.errors import EngineError
from voxswap_registry.storage.verified import WatchedFile

# Pieces of the flow, whatever is decoded. It magnifies the rounding that comes with another shape;
# on a grid of its own it gives the same bits for every way of cutting a line. The first piece is
# for a chunk of 80 ms; later ones are as long as steps may take, since each has context at both
# ends (`PriorFlow.reach_frames`), with which all are multiples of `GRID`.
_FLOW_FRAMES = {torch.bfloat16: (32, 448), torch.float32: (32, 64, 192)}
MOST_FLOW_FRAMES = max(map(max, _FLOW_FRAMES.values()))
# The generator's pieces have these frames at the most: a step of one is as long as other streams
# should have to wait. They are a rule and not measured, since cuts change the last bits.
_GENERATOR_FRAMES = {torch.bfloat16: 192, torch.float32: 64}
# What a signal has room for when it is moved, beside what is kept of it and comes.
_ROOM = 2
# Noise is drawn in cuts of its own for the same reason, and no sooner than the flow needs it.
_DRAWN_FRAMES = 64


class VitsWeights:
    """A VITS model on its device: the whole voice but for the table that spells for it."""

    def __init__(
        self,
        model: VitsModel,
        architecture: VitsArchitecture,
        device: str,
        resident_bytes: int | None = None,
        allocated_bytes: int = 0,
        *,
        file: WatchedFile | None = None,
    ) -> None:
        """``file`` is what the weights are pages of, all or some."""
        self.file = file
        self.model = model
        self.architecture = architecture
        self.device = device
        self._resident_bytes = resident_bytes
        self._allocated_bytes = allocated_bytes

    @property
    def resident_bytes(self) -> int:
        """Bytes of the block, or of all parameters if they lie by themselves."""
        if self._resident_bytes is not None:
            return self._resident_bytes
        return sum(p.numel() * p.element_size() for p in self.model.parameters())

    @property
    def allocated_bytes(self) -> int:
        """Those of the block, or of what was converted."""
        return self._allocated_bytes


class VitsVoice:
    """A VITS voice. Immutable: any number of utterances may be made from it."""

    def __init__(self, weights: VitsWeights, *, decodes_together: bool = False) -> None:
        """``decodes_together``: pieces of several streams go through the generator in one call."""
        self.decodes_together = decodes_together
        self.model = weights.model
        self.architecture = weights.architecture
        self.device = weights.device
        self.guard = weights.file.is_unchanged if weights.file is not None else None

    def most_symbols(self, rate: float) -> int:
        """See `segments.most_symbols`."""
        return most_symbols(rate)

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        """Encode the text and predict durations, a layer or two at a time.

        Raises as `Voice.prepare`.
        """
        check_asked(self.architecture, ids, delivery.speaker)
        steps = self._utterance(ids, delivery)
        return Work(steps, around=torch.inference_mode, guard=self.guard)

    def _utterance(self, ids: Sequence[int], delivery: Delivery) -> Steps[Utterance]:
        """The utterance, in steps whose cost grows with the segment's length."""
        generator = torch.Generator().manual_seed(delivery.seed)
        symbols = torch.tensor([ids], device=self.device)
        speaker = self._speaker(delivery.speaker)
        hidden, mean, log_deviation = yield from self.model.enc_p.steps(symbols)
        # Noise is drawn on the host: a seed gives the same line on every device.
        noise = torch.randn((1, 2, 1, len(ids)), generator=generator)
        noise = noise.to(self.device) * delivery.controls.get("duration_noise_scale", 0.0)
        log_durations = yield from self.model.dp.steps(hidden, noise, speaker)
        durations = torch.exp(log_durations.float()).flatten().cpu() / delivery.rate
        if not bool(torch.isfinite(log_durations).all()):
            raise EngineError(
                "the duration predictor gave NaN or infinity: the weights are damaged"
            )
        frames = bounded(durations)
        noise_scale = delivery.controls.get("noise_scale", 0.0)
        prior = _Prior(
            mean,
            torch.exp(log_deviation) * noise_scale,
            torch.repeat_interleave(frames).to(self.device),
            generator if noise_scale > 0 else None,
        )
        return VitsUtterance(self, prior, speaker, tuple(frames.tolist()))

    def _speaker(self, index: int) -> Tensor | None:
        if self.model.emb_g is None:
            return None
        return self.model.emb_g(torch.tensor([[index]], device=self.device))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Prior:
    """The acoustic prior of a segment, ``(1, inter, 1, symbols)``, and the symbol of each frame."""

    mean: Tensor
    deviation: Tensor
    symbol_of_frame: Tensor
    generator: torch.Generator | None

    @property
    def size_bytes(self) -> int:
        """In memory."""
        return sum(t.nbytes for t in (self.mean, self.deviation, self.symbol_of_frame))

    def sample(self, first_frame: int, last_frame: int) -> Tensor:
        """Latents of these frames. Draws noise, so calls must come in order and in equal cuts."""
        symbols = self.symbol_of_frame[first_frame:last_frame]
        mean = self.mean[..., symbols]
        if self.generator is None:
            return mean
        noise = torch.randn(mean.shape, generator=self.generator).to(mean.device)
        return mean + noise * self.deviation[..., symbols]


class VitsUtterance:
    """A prepared segment. The flow runs just ahead of the generator, a piece at a time.

    The generator carries what it has to remember from piece to piece (`Carry`), so that nothing is
    computed twice. Invariant: ``_decodable[..., :_ready]`` equals the flow of the whole segment.
    """

    def __init__(
        self,
        voice: VitsVoice,
        prior: _Prior,
        speaker: Tensor | None,
        durations: tuple[int, ...],
    ) -> None:
        self._model = model = voice.model
        self._decodes_together = voice.decodes_together
        self._guard = voice.guard
        self._prior = prior
        self._speaker = speaker
        self._durations = durations
        self._frames = len(prior.symbol_of_frame)
        self._latents = _Frames(prior.mean, prior.mean.dtype)
        self._decodable = _Frames(prior.mean, model.dec.conv_pre.weight.dtype)
        self._generator = Carry()
        self._ready = 0  # frames that the flow has given
        self._pieces = iter(_FLOW_FRAMES[model.flow.dtype])
        self._piece = 0  # the length of the last one, which is that of all that follow
        self._seen = 0  # of these, those that the generator has seen
        self._emitted = 0  # frames whose audio was asked for
        self._audio = np.zeros(0, np.float32)  # made, and not asked for yet

    @property
    def durations_frames(self) -> Sequence[int]:
        """Frames of each symbol."""
        return self._durations

    @property
    def frames(self) -> int:
        """Frames of the segment."""
        return self._frames

    @property
    def held_bytes(self) -> int:
        """The prior, and of what is made of it as much as the largest pieces need at a time."""
        latents = MOST_FLOW_FRAMES + 2 * self._model.flow.reach_frames + _DRAWN_FRAMES
        decodable = MOST_FLOW_FRAMES + 2 * max(_GENERATOR_FRAMES.values()) + GRID
        mean = self._prior.mean
        width = mean.shape[1] * mean.element_size()
        most = sum(_ROOM * min(self.frames, frames) for frames in (latents, decodable))
        return self._prior.size_bytes + width * most

    def decode(self, first_frame: int, last_frame: int) -> Work[npt.NDArray[np.float32]]:
        """Audio of a piece, once the generator has seen as far beyond it as it reaches.

        Raises ValueError for frames that it has not.
        """
        if not self._emitted == first_frame < last_frame <= self.frames:
            raise ValueError(f"frames {first_frame}:{last_frame} of {self.frames}")
        self._emitted = last_frame
        wanted = (last_frame - first_frame) * self._model.dec.hop
        steps = self._decoding(last_frame, wanted)
        return Work(steps, around=torch.inference_mode, guard=self._guard)

    def _decoding(self, last_frame: int, wanted: int) -> Steps[npt.NDArray[np.float32]]:
        end = min(self.frames, last_frame + self._model.dec.reach_frames)
        audio = [self._audio]
        most = _GENERATOR_FRAMES[self._decodable.dtype]
        # Near the end of the segment everything may have been made before.
        while (left := end - self._seen) > 0:
            # A short tail goes along with the piece before it.
            n = _on_grid(left if left < 1.5 * most else most)
            while self._ready < min(self.frames, self._seen + n):
                yield from self._run_flow()
            audio.append((yield from self._generated(n)))
        made = np.concatenate(audio)
        # What is left is little, and the rest must not live as long.
        self._audio = made[wanted:].copy()
        return made[:wanted]

    def _generated(self, n: int) -> Steps[npt.NDArray[np.float32]]:
        """What the generator can tell, once it has seen ``n`` frames more, or the last ones."""
        if (missing := self._seen + n - self._decodable.end) > 0:
            self._decodable.append_zeros(missing)  # what lies beyond the end
        x = self._decodable.get(self._seen, self._seen + n)
        speaker = None if self._speaker is None else self._speaker.to(x.dtype)
        dec, carry = self._model.dec, self._generator
        beyond = max(0, self._seen + n - self.frames)
        if self._decodes_together and self._seen + n < self.frames:
            key = (dec, n, carry.state)
            made, self._generator = yield Call(key, (x, carry, speaker), partial(decoded, dec))
        else:
            carry.begin(last=self._seen + n >= self.frames, beyond=beyond)
            made = yield from dec.carried(x, carry, speaker)
        self._seen += n - beyond
        self._decodable.drop(self._seen)
        made = made[0, 0, 0, : made.shape[3] - beyond * self._model.dec.hop]
        samples: npt.NDArray[np.float32] = made.float().cpu().numpy()
        # NaN and infinity survive a sum, and one sum is cheaper than a mask.
        if not np.isfinite(samples.sum()):
            raise EngineError("the generator gave NaN or infinity: the weights are damaged")
        return samples

    def _run_flow(self) -> Steps[None]:
        """The flow's next piece. Its sizes are its own, whatever is decoded: see `_FLOW_FRAMES`."""
        flow, first = self._model.flow, self._ready
        self._piece = next(self._pieces, self._piece)
        last = min(first + self._piece, self.frames)
        begin, end = max(0, first - flow.reach_frames), min(last + flow.reach_frames, self.frames)
        self._draw(end)
        z = self._latents.get(begin, end)
        speaker = None if self._speaker is None else self._speaker.to(flow.dtype)
        for coupling in flow.inverse:
            z = yield Call((coupling, end - begin), (z, speaker), partial(undone, coupling))
        self._decodable.append(z[..., first - begin : last - begin])
        self._ready = last
        self._latents.drop(last - flow.reach_frames)

    def _draw(self, until: int) -> None:
        while (first := self._latents.end) < until:
            last = min(first + _DRAWN_FRAMES, self._frames)
            self._latents.append(self._prior.sample(first, last))


def _on_grid(frames: int) -> int:
    """At least as many: the generator's pieces have few lengths, and small ones are exact."""
    grid = GRID if frames > 2 * GRID else GRID // 4
    return -(-frames // grid) * grid


class _Frames:
    """A signal that grows at its end and is dropped from its beginning, channels last.

    Frames are counted from the segment's first one, whatever was dropped. What is kept lies in one
    piece of memory, and is moved into another one when that is full: a few hundred frames, now and
    then.
    """

    def __init__(self, like: Tensor, dtype: torch.dtype) -> None:
        """With the channels of ``like``, ``(1, channels, 1, …)``, and on its device."""
        self._like, self.dtype = like, dtype
        self._memory = self._unset(0)
        self._origin = 0  # the frame at the beginning of the memory
        self._first = 0  # the first one that is kept
        self.end = 0

    def append(self, more: Tensor) -> None:
        """``more`` is ``(1, channels, 1, frames)``, of any type."""
        n = more.shape[3]
        if self.end - self._origin + n > self._memory.shape[3]:
            kept = self.get(self._first, self.end)
            self._memory = self._unset(_ROOM * (kept.shape[3] + n))
            self._memory[..., : kept.shape[3]] = kept
            self._origin = self._first
        at = self.end - self._origin
        self._memory[..., at : at + n] = more
        self.end += n

    def append_zeros(self, frames: int) -> None:
        """So many frames of nothing."""
        self.append(self._unset(frames).zero_())

    def get(self, first: int, last: int) -> Tensor:
        """Those frames, none of which was dropped."""
        return self._memory[..., first - self._origin : last - self._origin]

    def drop(self, before: int) -> None:
        """Nobody asks for earlier ones any more."""
        self._first = max(self._first, min(before, self.end))

    def _unset(self, frames: int) -> Tensor:
        batch, channels, _, _ = self._like.shape
        shape = (batch, 1, frames, channels)
        return torch.empty(shape, dtype=self.dtype, device=self._like.device).permute(0, 3, 1, 2)
