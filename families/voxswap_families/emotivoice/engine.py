"""The EmotiVoice engine: from components to a voice on its device.

Acoustic model, vocoder, style encoder and its vocabulary are parts that all voices of a base share;
a further speaker is a part of two kilobytes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
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
    PromptStatistics,
    no_front_ends,
)
from voxswap_families.emotivoice import prompts, usual
from voxswap_families.emotivoice.acoustic import MOST_FRAMES, Acoustic
from voxswap_families.emotivoice.bert import StyleEncoder
from voxswap_families.emotivoice.config import (
    ACOUSTIC,
    SPEAKER,
    STYLE,
    VOCABULARY,
    VOCODER,
    EmotiVoiceConfig,
)
from voxswap_families.emotivoice.parts import most_rows
from voxswap_families.emotivoice.prompts import PromptCounts, Prompts
from voxswap_families.emotivoice.shapes import acoustic_shapes, style_shapes, vocoder_shapes
from voxswap_families.emotivoice.vocoder import NativeVocoder, TorchVocoder, shape_of
from voxswap_families.emotivoice.voice import EmotiVoice, Speaking
from voxswap_families.emotivoice.wordpiece import BEGIN, END, UNKNOWN, WordPiece
from voxswap_families.layers import networks
from voxswap_families.layers.native import generator as native
from voxswap_families.layers.native.library import Library, pick
from voxswap_families.layers.networks import NetworkPart
from voxswap_families.layers.tensors import block_bytes
from voxswap_families.work import finished
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Manifest
from voxswap_registry.storage.verified import VerifiedFile

_HOST: Final = "cpu"
# What stays between steps: oneDNN keeps a thousand compiled kernels, about 100 KB each, and the
# allocator keeps about as much as a step of convolutions used, in pieces. Products have buffers.
_KERNEL_BYTES, _PRODUCT_BYTES = 128 << 20, 32 << 20
_FRAGMENTATION = 2
_ALIGNMENT_LOSS_BYTES = 255  # of each tensor in a block
# BERT's vocabulary for Chinese, 110 KB, takes 2 MB as Python objects.
_VOCABULARY_FACTOR = 32
#: What is computed with: it is made of one component.
_Network = Acoustic | TorchVocoder | NativeVocoder | Prompts | Tensor


class EmotiVoiceEngine:
    """Loads EmotiVoice voices onto one device. Stateless once it is warm; thread-safe.

    It computes in float32: durations are exact then. Native kernels compute vocoders, where they
    can. It counts what became of prompts.
    """

    name = "emotivoice"
    steps_may_be_long = False

    def __init__(
        self,
        device: str = _HOST,
        *,
        kernels: str = "torch",
        most_steps: int = 1,
        front_ends: MakeFrontEnd = no_front_ends,
    ) -> None:
        """``kernels`` are for a CPU; raises `KernelsError` for those that are not here.

        At most ``most_steps`` are taken at the same time.
        """
        self._counts = PromptCounts()
        self._device, self._most_steps = device, most_steps
        self._library = pick(kernels) if device == _HOST else None
        self._front_ends = front_ends
        self._usual_pace: Pace | None = None

    def check(self, manifest: Manifest) -> None:
        """Nothing: any device will do."""

    def prompts(self) -> PromptStatistics:
        """Of all style encoders that it loaded, and of those that are there, what they keep."""
        return self._counts.statistics()

    def parts(self, manifest: Manifest) -> Sequence[PartSpec]:
        """Weights as they are stored, vectors beside the style encoder, and what reads."""
        config = EmotiVoiceConfig.of(manifest)
        found = [reading.part(manifest)]
        for component in manifest.components:
            role, size_bytes = component.role, component.size_bytes
            if role == reading.ROLE:
                continue
            if role == VOCABULARY:
                size_bytes *= _VOCABULARY_FACTOR
            elif self._device != _HOST:
                loss = [_ALIGNMENT_LOSS_BYTES] * _tensors(config, role)
                size_bytes = block_bytes([size_bytes, *loss])
            library = self._native(config, role)
            if library is not None:
                size_bytes = native.packed_bytes(shape_of(config.vocoder))
            if role == STYLE:
                size_bytes += prompts.MOST_BYTES
            kind = "" if library is None else "native"
            found.append(PartSpec(role, _form(config, role, kind), size_bytes))
        return found

    def _native(self, config: EmotiVoiceConfig, role: str) -> Library | None:
        """What computes a voice's part with this role in torch's place."""
        if role != VOCODER or native.handled(shape_of(config.vocoder)):
            return None
        return self._library

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        """What preparing `MOST_SYMBOLS` takes, or the vocoder's largest piece with a chunk."""
        config = EmotiVoiceConfig.of(manifest)
        chunk = 4 * round(largest_chunk_s * config.vocoder.sample_rate_hertz)
        if (library := self._native(config, VOCODER)) is not None:
            shape, kept = shape_of(config.vocoder), _PRODUCT_BYTES
            decoding = native.step_bytes(shape, library, NativeVocoder.piece_frames)
        else:
            decoding, kept = _FRAGMENTATION * _decoding_bytes(config), _KERNEL_BYTES
        return self._most_steps * max(_preparing_bytes(config), decoding + 2 * chunk) + kept

    def warm_up(self) -> None:
        """Say something with silent weights of the most usual shape: kernels are made by it."""
        config, device = usual.CONFIG, self._device
        voice = EmotiVoice(
            Speaking(
                Acoustic(usual.acoustic_weights(device), config.acoustic),
                self._vocoder(config, usual.vocoder_weights(device)),
                # Nothing is kept: what is measured is made each time.
                Prompts(StyleEncoder(usual.style_weights(device), config.style), PromptCounts(), 0),
                WordPiece({mark: row for row, mark in enumerate((UNKNOWN, BEGIN, END, "a"))}),
                torch.zeros(config.acoustic.speaker_units, device=device),
                config,
            )
        )
        # torch makes kernels by the first time; native ones are there.
        self._usual_pace = [_measured(voice) for _ in range(1 if self._library else 2)][-1]

    def _vocoder(
        self, config: EmotiVoiceConfig, weights: Mapping[str, Tensor]
    ) -> TorchVocoder | NativeVocoder:
        if (library := self._native(config, VOCODER)) is not None:
            return NativeVocoder(weights, config.vocoder, library)
        return TorchVocoder(weights, config.vocoder)

    def pace(self, manifest: Manifest) -> Pace | None:
        """The usual voice's, by the products that this one takes."""
        if self._usual_pace is None:
            return None
        config, told = EmotiVoiceConfig.of(manifest), self._usual_pace
        symbols = _products_a_symbol(config) / _products_a_symbol(usual.CONFIG)
        seconds = _products_a_second(config) / _products_a_second(usual.CONFIG)
        return Pace(told.prepare_s_per_symbol * symbols, told.decode_s_per_s * seconds)

    def read(self, manifest: Manifest, role: str, file: VerifiedFile) -> HostPart:
        """Map the weights; for another device than the host's memory, copy them for the journey.

        Raises `EngineError` for weights that are not float32.
        """
        if role == reading.ROLE:
            return reading.read(manifest, file, self._front_ends)
        config = EmotiVoiceConfig.of(manifest)
        if role == VOCABULARY:
            return _words(manifest, config, file)
        network = self._networks(config, manifest)[role]
        return networks.read(
            file, network, device=self._device, where=f"{manifest.ref}: its {role}"
        )

    def _networks(
        self, config: EmotiVoiceConfig, manifest: Manifest
    ) -> Mapping[str, Callable[[Mapping[str, Tensor]], _Network]]:
        """What is made of the tensors of each role."""

        def vector(tensors: Mapping[str, Tensor]) -> Tensor:
            units, found = config.acoustic.speaker_units, tensors.get(SPEAKER)
            if found is None or len(tensors) != 1 or found.shape != (units,):
                raise EngineError(
                    f"{manifest.ref}: its speaker is no vector of {units} numbers; import it again"
                )
            return found

        return {
            ACOUSTIC: lambda tensors: Acoustic(tensors, config.acoustic),
            VOCODER: lambda tensors: self._vocoder(config, tensors),
            STYLE: lambda tensors: Prompts(StyleEncoder(tensors, config.style), self._counts),
            SPEAKER: vector,
        }

    def assemble(self, manifest: Manifest, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        """A voice of its parts. Raises as `Engine.assemble`."""
        found = {role: part for role, part in parts.items() if isinstance(part, NetworkPart)}
        files = [part.file for part in found.values() if part.file is not None]
        made = {role: part.network for role, part in found.items()}
        acoustic, vocoder = made.get(ACOUSTIC), made.get(VOCODER)
        style, speaker = made.get(STYLE), made.get(SPEAKER)
        words = parts.get(VOCABULARY)
        if (
            not isinstance(acoustic, Acoustic)
            or not isinstance(vocoder, TorchVocoder | NativeVocoder)
            or not isinstance(style, Prompts)
            or not isinstance(speaker, Tensor)
            or not isinstance(words, _Words)
        ):
            raise EngineError(f"{manifest.ref}: its parts are no EmotiVoice voice; import it again")
        guard = (lambda: all(file.is_unchanged() for file in files)) if files else None
        config = EmotiVoiceConfig.of(manifest)
        speaking = Speaking(acoustic, vocoder, style, words.words, speaker, config, guard)
        return LoadedVoice(
            manifest.ref, EmotiVoice(speaking), reading.front_end_of(manifest, parts)
        )


@dataclass(frozen=True, slots=True)
class _Words:
    """The vocabulary: in host memory, whatever the device is. Its size is what was announced."""

    words: WordPiece
    resident_bytes: int
    allocated_bytes: int = 0
    host_bytes: int = 0

    def place(self) -> DevicePart:
        """Itself."""
        return self


def _words(manifest: Manifest, config: EmotiVoiceConfig, file: VerifiedFile) -> _Words:
    words = WordPiece.from_bytes(file.read_bytes())
    if len(words) != config.style.vocabulary:
        raise EngineError(
            f"{manifest.ref}: its vocabulary has {len(words)} words, and its style encoder "
            f"{config.style.vocabulary}; import it again"
        )
    return _Words(words, _VOCABULARY_FACTOR * file.size_bytes)


def _form(config: EmotiVoiceConfig, role: str, kind: str = "") -> str:
    """What decides how the bytes of a component are taken up."""
    told: Any = {
        ACOUSTIC: config.acoustic.to_config(),
        VOCODER: config.vocoder.to_config(),
        STYLE: config.style.to_config(),
        VOCABULARY: config.style.vocabulary,
        SPEAKER: config.acoustic.speaker_units,
    }[role]
    return hashlib.sha256(json.dumps([told, kind], sort_keys=True).encode()).hexdigest()[:16]


def _tensors(config: EmotiVoiceConfig, role: str) -> int:
    """How many a component with this role has."""
    if role == ACOUSTIC:
        return len(acoustic_shapes(config.acoustic))
    if role == STYLE:
        return len(style_shapes(config.style))
    return len(vocoder_shapes(config.vocoder)) if role == VOCODER else 1


def _preparing_bytes(config: EmotiVoiceConfig) -> int:
    """Of the longest line: its rows several times over, and a step of its widest layers.

    Of published voices 54 MB, of which 40 were measured (``tests/families/emotivoice_memory.py``).
    """
    a, s = config.acoustic, config.style
    rows = 8 * MOST_FRAMES * a.units
    inner, kernel = max(a.encoder_inner, a.decoder_inner), max(a.encoder_kernel, a.decoder_kernel)
    feeding = most_rows(2 * kernel * a.units * inner) * kernel * (a.units + 2 * inner)
    # Scores, where a device keeps them.
    attending = most_rows(2 * MOST_FRAMES * a.units) * max(a.encoder_heads, a.decoder_heads)
    tokens = s.positions * (8 * s.units + 2 * s.inner + s.heads * s.positions)
    return 4 * max(rows + max(feeding, attending * MOST_FRAMES), tokens)


def _decoding_bytes(config: EmotiVoiceConfig) -> int:
    """Of the largest piece: the widest stage, with the copies that its convolutions make."""
    a = config.vocoder
    frames, channels, samples, stage = TorchVocoder.piece_frames, a.channels, 1, 0
    for rate in a.rates:
        channels, samples = channels // 2, samples * rate
        stage = max(stage, samples * channels)
    return 4 * 6 * (frames + 2 * a.reach_frames) * stage


def _measured(voice: EmotiVoice) -> Pace:
    """How fast ``voice`` is here, alone."""
    symbols, frames = 30, 21
    vocoder = usual.CONFIG.vocoder
    began_s = time.perf_counter()
    delivery = Delivery(rate=1.0, seed=0, text="a" * (symbols // _SYMBOLS_A_TOKEN))
    utterance = finished(voice.prepare([0] * symbols, delivery))
    prepared_s = time.perf_counter()
    # What the first chunk of a line takes, and what others do.
    finished(utterance.decode(0, 5))
    finished(utterance.decode(5, frames))
    decode_s = time.perf_counter() - prepared_s
    audio_s = frames * vocoder.hop_samples / vocoder.sample_rate_hertz
    return Pace((prepared_s - began_s) / symbols, decode_s / audio_s)


# A syllable has three symbols, and is one token of its sentence.
_SYMBOLS_A_TOKEN = 3


def _products_a_symbol(config: EmotiVoiceConfig) -> float:
    a, s = config.acoustic, config.style
    token = s.layers * s.layer_products
    return a.symbol_products + usual.SYMBOL_FRAMES * a.frame_products + token / _SYMBOLS_A_TOKEN


def _products_a_second(config: EmotiVoiceConfig) -> float:
    v = config.vocoder
    return v.frame_products * v.sample_rate_hertz / v.hop_samples
