"""The tone engine: harmonics under an envelope of formants, and noise; a sum for each sample.

Audio depends on nothing but the frame that it is of, so pieces are the whole to the bit, however it
is cut.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxswap_families import reading
from voxswap_families.contract import (
    Delivery,
    DevicePart,
    HostPart,
    LoadedVoice,
    MakeFrontEnd,
    Pace,
    PartSpec,
    Utterance,
    no_front_ends,
)
from voxswap_families.tone.importer import (
    FORMANT_SCALE,
    HOP_LENGTH_SAMPLES,
    MAX_TONE_BYTES,
    PITCH_HERTZ,
    SAMPLE_RATE_HERTZ,
    TONE,
)
from voxswap_families.tone.phones import PHONES
from voxswap_families.work import Steps, Work
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Manifest
from voxswap_registry.storage.verified import VerifiedFile

_Audio = npt.NDArray[np.float32]

_MOST_SYMBOLS, _MOST_FRAMES = 400, 6_000
_BANDWIDTH_HERTZ = 120.0
_STEP_FRAMES = 32  # so many are computed at a time
_HELD_SAMPLES = 4  # a noise that holds each value for so long has little above 2 kHz
_PEAK = 0.8
_MOST_HARMONICS = math.ceil(SAMPLE_RATE_HERTZ / 2 / PITCH_HERTZ[0])
# Angles, sines and amplitudes of each harmonic of a step, in float64 while they are made.
_WORKSPACE_BYTES = 4 * 8 * _STEP_FRAMES * HOP_LENGTH_SAMPLES * _MOST_HARMONICS + (1 << 20)
_PACE = Pace(prepare_s_per_symbol=2e-6, decode_s_per_s=0.02)  # about, on any machine


class ToneEngine:
    """Makes tones, on the CPU. Stateless; thread-safe."""

    name = "tone"
    steps_may_be_long = False

    def __init__(self, *, most_steps: int = 1, front_ends: MakeFrontEnd = no_front_ends) -> None:
        """At most ``most_steps`` are taken at the same time."""
        self._most_steps = most_steps
        self._front_ends = front_ends

    def check(self, manifest: Manifest) -> None:
        """Nothing: any machine will do."""

    def parts(self, manifest: Manifest) -> Sequence[PartSpec]:
        """An envelope for each symbol, and what reads."""
        envelopes = 4 * len(PHONES) * _MOST_HARMONICS
        return PartSpec(TONE, "envelopes", envelopes), reading.part(manifest)

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        """A step has few frames, however long a chunk is."""
        del manifest, largest_chunk_s
        return self._most_steps * _WORKSPACE_BYTES

    def warm_up(self) -> None:
        """Nothing: numpy is warm."""

    def pace(self, manifest: Manifest) -> Pace | None:
        """The same for all of them."""
        del manifest
        return _PACE

    def read(self, manifest: Manifest, role: str, file: VerifiedFile) -> HostPart:
        """Compute the envelopes of a tone. Raises `EngineError` for a component that is none."""
        if role == reading.ROLE:
            return reading.read(manifest, file, self._front_ends)
        data = file.read_bytes()
        try:
            tone: Any = json.loads(data) if len(data) <= MAX_TONE_BYTES else None
            pitch, scale = float(tone["pitch_hertz"]), float(tone["formant_scale"])
        except (ValueError, RecursionError, TypeError, KeyError) as error:
            raise EngineError(f"{manifest.ref}: its tone is none; import it again") from error
        within = PITCH_HERTZ[0] <= pitch <= PITCH_HERTZ[1]
        if not within or not FORMANT_SCALE[0] <= scale <= FORMANT_SCALE[1]:
            raise EngineError(f"{manifest.ref}: its tone is out of bounds; import it again")
        return ToneEnvelopes(pitch, _envelopes(pitch, scale))

    def assemble(self, manifest: Manifest, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        """A voice of the two. Raises as `Engine.assemble`."""
        envelopes = parts[TONE]
        if not isinstance(envelopes, ToneEnvelopes):
            raise EngineError(f"{manifest.ref}: its tone is none; import it again")
        front_end = reading.front_end_of(manifest, parts)
        return LoadedVoice(manifest.ref, ToneVoice(envelopes), front_end)


@dataclass(frozen=True, slots=True)
class ToneEnvelopes:
    """Amplitudes ``(symbols, harmonics)`` float32. Host and device are one memory."""

    pitch_hertz: float
    amplitudes: _Audio
    host_bytes: int = 0

    @property
    def resident_bytes(self) -> int:
        """The array."""
        return self.amplitudes.nbytes

    @property
    def allocated_bytes(self) -> int:
        """The array."""
        return self.amplitudes.nbytes

    def place(self) -> DevicePart:
        """Itself."""
        return self


class ToneVoice:
    """A voice. Immutable: any number of utterances may be made from it."""

    def __init__(self, envelopes: ToneEnvelopes) -> None:
        self.envelopes = envelopes

    def most_symbols(self, rate: float) -> int:
        """Slow speech gets shorter segments."""
        return max(24, min(_MOST_SYMBOLS, int(_MOST_FRAMES * rate / 25)))

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        """Durations, which are the table's but for noise and rate. Raises as `Voice.prepare`."""
        if not len(ids) > 0 or min(ids) < 0 or max(ids) >= len(PHONES):
            raise EngineError(
                f"{len(ids)} symbols, of which some are outside 0 to {len(PHONES) - 1}: the symbol "
                "table belongs to another voice"
            )
        if delivery.speaker:
            raise EngineError(f"the speaker {delivery.speaker} is none: a tone has one")
        return Work.of(lambda: ToneUtterance(self.envelopes, ids, delivery))


class ToneUtterance:
    """A segment whose durations are known."""

    def __init__(self, envelopes: ToneEnvelopes, ids: Sequence[int], delivery: Delivery) -> None:
        phones = list(PHONES.values())
        noise = np.random.default_rng(delivery.seed).standard_normal(len(ids))
        usual = np.array([phones[i].frames for i in ids])
        unevenness = 0.2 * delivery.controls.get("duration_noise_scale", 0.0)
        stretch = np.exp(unevenness * noise) / delivery.rate
        durations = np.round(usual * stretch).astype(int)
        if (total := int(durations.sum())) > _MOST_FRAMES:  # then it is spoken faster
            durations = durations * _MOST_FRAMES // total
        if not durations.any():
            durations[-1] = 1
        self._envelopes = envelopes
        self._delivery = delivery
        self._durations = [int(frames) for frames in durations]
        self._symbols = np.repeat(np.array(ids), durations)
        self._told = 0

    @property
    def durations_frames(self) -> Sequence[int]:
        """Frames of each symbol."""
        return self._durations

    @property
    def frames(self) -> int:
        """Frames of the segment."""
        return len(self._symbols)

    @property
    def held_bytes(self) -> int:
        """The symbol of each frame."""
        return self._symbols.nbytes

    def decode(self, first_frame: int, last_frame: int) -> Work[_Audio]:
        """Audio of a piece, a few frames in each step.

        Raises ValueError for frames that it has not.
        """
        if not self._told == first_frame < last_frame <= self.frames:
            raise ValueError(f"frames {first_frame}:{last_frame} of {self.frames}")
        self._told = last_frame
        return Work(self._steps(first_frame, last_frame))

    def _steps(self, first_frame: int, last_frame: int) -> Steps[_Audio]:
        made = []
        # Steps begin at multiples, whatever is asked for: sums have the same order then.
        while first_frame < last_frame:
            end = min(last_frame, first_frame - first_frame % _STEP_FRAMES + _STEP_FRAMES)
            made.append(self._audio(first_frame, end))
            first_frame = end
            if first_frame < last_frame:
                yield None
        return np.concatenate(made)

    def _audio(self, first: int, last: int) -> _Audio:
        """``((last - first) * hop,)``, from silence to silence in straight lines between frames."""
        hop, n = HOP_LENGTH_SAMPLES, last - first
        table = self._envelopes.amplitudes
        silence = np.zeros((1, table.shape[1]), np.float32)
        here = table[self._symbols[first:last]]
        after = table[self._symbols[first + 1 : last + 1]]
        after = after if len(after) == n else np.concatenate([after, silence])
        ramp = (np.arange(hop, dtype=np.float32) / hop)[None, :, None]
        amplitudes = here[:, None] + (after - here)[:, None] * ramp
        time_s = np.arange(first * hop, last * hop) / SAMPLE_RATE_HERTZ
        turns = np.outer(time_s, np.arange(1, table.shape[1] + 1)) * self._envelopes.pitch_hertz
        # Whole turns are taken away first: sines of large numbers are not exact.
        sines = np.sin(2 * np.pi * (turns % 1.0)).astype(np.float32)
        voiced: _Audio = (amplitudes.reshape(n * hop, -1) * sines).sum(axis=1, dtype=np.float32)
        return voiced + self._noise(first, last)

    def _noise(self, first: int, last: int) -> _Audio:
        hop, phones = HOP_LENGTH_SAMPLES, list(PHONES.values())
        found = np.zeros((last - first, hop), np.float32)
        within = np.arange(hop) / SAMPLE_RATE_HERTZ
        noise_scale = self._delivery.controls.get("noise_scale", 0.0)
        for row, symbol in enumerate(self._symbols[first:last]):
            phone = phones[symbol]
            if phone.noise:
                # By frame, so that no cut makes a difference.
                chance = np.random.default_rng((self._delivery.seed, first + row))
                held = np.repeat(chance.uniform(-1, 1, hop // _HELD_SAMPLES), _HELD_SAMPLES)
                carrier = np.sin(2 * np.pi * phone.noise_hertz * within)
                level = min(1.0, phone.noise * noise_scale) * (1 - _PEAK)
                found[row] = level * held * carrier
        return found.reshape(-1)


def _envelopes(pitch_hertz: float, formant_scale: float) -> _Audio:
    """Of each phone, ``(symbols, harmonics)``: resonances over a fall of 6 dB an octave."""
    harmonics = np.arange(1, int(SAMPLE_RATE_HERTZ / 2 / pitch_hertz) + 1) * pitch_hertz
    rows = []
    for phone in PHONES.values():
        resonances = sum(
            1 / (1 + ((harmonics - formant_scale * hertz) / _BANDWIDTH_HERTZ) ** 2)
            for hertz in phone.formants_hertz
        )
        row = resonances / harmonics
        # Whatever the phases, the sum is no more than its peak.
        rows.append(_PEAK * phone.voice * row / row.sum())
    return np.array(rows, np.float32)
