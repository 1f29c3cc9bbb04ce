"""The Sambert engine: from components to a voice on its device.

An acoustic model and a vocoder are parts of their own: voices that name the same bytes share them,
and one whose speaker is a vector has that as a part of half a kilobyte.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from torch import Tensor

from voxswap_families import reading
from voxswap_families.contract import (
    Delivery,
    DevicePart,
    HostPart,
    LoadedVoice,
    MakeFrontEnd,
    Pace,
    PartSpec,
    no_front_ends,
)
from voxswap_families.layers import networks
from voxswap_families.layers.native.library import Library, pick
from voxswap_families.layers.networks import NetworkPart
from voxswap_families.layers.stored import in_canonical_shape
from voxswap_families.layers.tensors import block_bytes
from voxswap_families.sambert import native_generator, usual
from voxswap_families.sambert.acoustic import MOST_FRAMES, Acoustic
from voxswap_families.sambert.config import ACOUSTIC, SPEAKER, VOCODER, SambertConfig
from voxswap_families.sambert.generator import Generator, step_bytes
from voxswap_families.sambert.native_generator import NativeGenerator, handled, packed_bytes
from voxswap_families.sambert.shapes import acoustic_shapes
from voxswap_families.sambert.vocoder_architecture import stored_shapes
from voxswap_families.sambert.voice import (
    MOST_SYMBOLS,
    MOST_VOCODER_FRAMES,
    SambertVoice,
    Speaking,
)
from voxswap_families.work import finished
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Manifest
from voxswap_registry.storage.verified import VerifiedFile

_HOST: Final = "cpu"
# What stays between steps: oneDNN keeps a thousand compiled kernels, about 100 KB each, and the
# allocator keeps about as much as a step used, in pieces.
_KERNEL_BYTES = 128 << 20
_FRAGMENTATION = 2
_ALIGNMENT_LOSS_BYTES = 255  # of each tensor in a block
_VECTOR_HEADER_BYTES = 4096
#: What is computed with: it is made of one component's tensors.
_Network = Acoustic | Generator | NativeGenerator | Tensor


class SambertEngine:
    """Loads Sambert voices onto one device. Stateless once it is warm; thread-safe.

    It computes in float32: durations are exact then, and a decoder's steps are products of single
    rows, which bfloat16 does not make faster. Native kernels compute vocoders, where they can.
    """

    name = "sambert"
    steps_may_be_long = False

    def __init__(
        self,
        device: str = _HOST,
        *,
        kernels: str = "torch",
        most_steps: int = 1,
        front_ends: MakeFrontEnd = no_front_ends,
    ) -> None:
        """At most ``most_steps`` are taken at the same time.

        On a CPU, ``kernels`` compute in torch's place what they can. Raises `KernelsError` for
        kernels that are not here.
        """
        self._library = pick(kernels) if device == _HOST else None
        self._device = device
        self._most_steps = most_steps
        self._front_ends = front_ends
        self._usual_pace: Pace | None = None

    def check(self, manifest: Manifest) -> None:
        """Nothing: any device will do."""

    def parts(self, manifest: Manifest) -> Sequence[PartSpec]:
        """Weights as they are stored, the speaker if it is a vector, and what reads."""
        config = SambertConfig.of(manifest)
        found = [reading.part(manifest)]
        for component in manifest.components:
            if (role := component.role) != reading.ROLE:
                size_bytes, library = component.size_bytes, self._native(config, role)
                if library is not None:
                    size_bytes = packed_bytes(config.vocoder)
                if self._device != _HOST:
                    loss = [_ALIGNMENT_LOSS_BYTES] * _tensors(config, role)
                    size_bytes = block_bytes([size_bytes, *loss])
                kind = "" if library is None else "native"
                found.append(PartSpec(role, _form(config, role, kind), size_bytes))
        return found

    def _native(self, config: SambertConfig, role: str) -> Library | None:
        """What computes a voice's part with this role in torch's place."""
        return None if role != VOCODER or handled(config.vocoder) else self._library

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        """What preparing `MOST_SYMBOLS` takes, or the vocoder's largest piece with a chunk."""
        config = SambertConfig.of(manifest)
        chunk = 4 * round(largest_chunk_s * config.vocoder.sample_rate_hertz)
        frames = round(1.5 * MOST_VOCODER_FRAMES)
        if (library := self._native(config, VOCODER)) is not None:
            decoding = native_generator.step_bytes(config.vocoder, library, frames)
        else:
            decoding = step_bytes(config.vocoder, frames)
        decoding += 2 * chunk
        most = _FRAGMENTATION * max(_preparing_bytes(config), decoding)
        return self._most_steps * most + _KERNEL_BYTES

    def warm_up(self) -> None:
        """Say something with silent weights of the most usual shape: kernels are made by it."""
        config = usual.CONFIG
        acoustic = Acoustic(usual.acoustic_weights(self._device), config.acoustic)
        generator = self._vocoder(config, usual.vocoder_weights(self._device))
        voice = SambertVoice(Speaking(acoustic, generator, config, None))
        # The second time no kernel is new.
        self._usual_pace = [_measured(voice) for _ in range(2)][1]

    def _vocoder(
        self, config: SambertConfig, weights: Mapping[str, Tensor]
    ) -> Generator | NativeGenerator:
        """Of weights in canonical shape."""
        if (library := self._native(config, VOCODER)) is not None:
            return NativeGenerator(weights, config.vocoder, library)
        return Generator(weights, config.vocoder)

    def pace(self, manifest: Manifest) -> Pace | None:
        """The usual voice's, by the products that this one takes."""
        if self._usual_pace is None:
            return None
        config, told = SambertConfig.of(manifest), self._usual_pace
        symbols = config.acoustic.symbol_products / usual.CONFIG.acoustic.symbol_products
        seconds = _products_a_second(config) / _products_a_second(usual.CONFIG)
        return Pace(told.prepare_s_per_symbol * symbols, told.decode_s_per_s * seconds)

    def read(self, manifest: Manifest, role: str, file: VerifiedFile) -> HostPart:
        """Map the weights; for another device than the host's memory, copy them for the journey.

        Raises `EngineError` for weights that are not float32.
        """
        if role == reading.ROLE:
            return reading.read(manifest, file, self._front_ends)
        network = self._networks(SambertConfig.of(manifest), manifest)[role]
        return networks.read(
            file, network, device=self._device, where=f"{manifest.ref}: its {role}"
        )

    def _networks(
        self, config: SambertConfig, manifest: Manifest
    ) -> Mapping[str, Callable[[Mapping[str, Tensor]], _Network]]:
        """What is made of the tensors of each role."""

        def vector(tensors: Mapping[str, Tensor]) -> Tensor:
            units, found = config.acoustic.speaker_units, tensors.get(SPEAKER)
            if found is None or len(tensors) != 1 or found.shape != (units,):
                raise EngineError(
                    f"{manifest.ref}: its speaker is no vector of {units} numbers; import it again"
                )
            return found[None]

        return {
            ACOUSTIC: lambda tensors: Acoustic(tensors, config.acoustic),
            VOCODER: lambda tensors: self._vocoder(config, in_canonical_shape(tensors)),
            SPEAKER: vector,
        }

    def assemble(self, manifest: Manifest, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        """A voice of its parts. Raises as `Engine.assemble`."""
        config = SambertConfig.of(manifest)
        made, files = {}, []
        for role in (ACOUSTIC, VOCODER, SPEAKER):
            part = parts.get(role)
            if isinstance(part, NetworkPart):
                made[role] = part.network
                files += [part.file] if part.file is not None else []
        acoustic, generator = made.get(ACOUSTIC), made.get(VOCODER)
        vector = made.get(SPEAKER)
        if (
            not isinstance(acoustic, Acoustic)
            or not isinstance(generator, Generator | NativeGenerator)
            or not isinstance(vector, Tensor | None)
            or (vector is None) == (acoustic.speakers is None)
        ):
            raise EngineError(f"{manifest.ref}: its parts are no Sambert voice; import it again")
        guard = (lambda: all(file.is_unchanged() for file in files)) if files else None
        voice = SambertVoice(Speaking(acoustic, generator, config, vector, guard))
        return LoadedVoice(manifest.ref, voice, reading.front_end_of(manifest, parts))


def _form(config: SambertConfig, role: str, kind: str = "") -> str:
    """What decides how the bytes of a component are taken up."""
    told: Any = {
        ACOUSTIC: config.acoustic.to_config(),
        VOCODER: config.vocoder.to_config(),
        SPEAKER: config.acoustic.speaker_units,
    }[role]
    return hashlib.sha256(json.dumps([told, kind], sort_keys=True).encode()).hexdigest()[:16]


def _tensors(config: SambertConfig, role: str) -> int:
    """How many a component with this role has."""
    if role == ACOUSTIC:
        return len(acoustic_shapes(config.acoustic))
    return len(stored_shapes(config.vocoder)) if role == VOCODER else 1


def _preparing_bytes(config: SambertConfig) -> int:
    """Of the largest step: attention, a feed-forward layer, or the predictors' filters."""
    a, n = config.acoustic, MOST_SYMBOLS
    attention = 3 * a.encoder_heads * n * n
    feeding = n * (4 * a.encoder_units + 2 * a.encoder_inner)
    embedding = n * 8 * a.embedding
    filters = n * (6 * a.predictor_memory + 2 * a.predictor_inner + 10 * a.predictor_lstm)
    # A line has an index and a place for each frame, in whole numbers of eight bytes.
    line = 2 * 8 * MOST_FRAMES
    return 4 * (max(attention, feeding, embedding, filters) + line)


def _measured(voice: SambertVoice) -> Pace:
    """How fast ``voice`` is here, alone."""
    symbols, frames = 80, 96
    rate_hertz, hop = usual.CONFIG.vocoder.sample_rate_hertz, usual.CONFIG.vocoder.hop_samples
    began_s = time.perf_counter()
    utterance = finished(voice.prepare([0] * symbols, Delivery(rate=1.0, seed=0)))
    prepared_s = time.perf_counter()
    # With what the first chunk of a line takes, and what others do.
    finished(utterance.decode(0, 7))
    finished(utterance.decode(7, frames))
    decode_s = time.perf_counter() - prepared_s
    return Pace((prepared_s - began_s) / symbols, decode_s * rate_hertz / (frames * hop))


def _products_a_second(config: SambertConfig) -> float:
    a, v = config.acoustic, config.vocoder
    frame = v.products + a.postnet_products + a.step_products / a.step_frames
    return frame * v.sample_rate_hertz / v.hop_samples
