"""Tries a version on a line before anybody depends on it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from voxswap_registry.errors import InvalidInputError, VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.residency.manager import ModelManager
from voxswap_server.speech.parts import Chunk, Part
from voxswap_server.speech.pipeline import Stage, Synthesis
from voxswap_server.speech.request import SpeechRequest

# One sentence for languages that we know; names and numbers are left out, for any front-end.
_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "en": "The quick brown fox jumps over the lazy dog.",
        "de": "Zwölf Boxkämpfer jagen Viktor quer über den Deich.",
        "fr": "Portez ce vieux whisky au juge blond qui fume.",
        "es": "El veloz murciélago comía feliz cardillo y kiwi.",
        "it": "Ma la volpe, col suo balzo, ha raggiunto il quieto cane.",
        "pt": "Um pequeno jabuti viu dez cegonhas felizes.",
        "nl": "De snelle bruine vos springt over de luie hond.",
        "pl": "Pchnąć w tę łódź jeża lub ośm skrzyń fig.",
        "ru": "Съешь ещё этих мягких французских булок.",
        "uk": "Чуєш їх, доцю, га? Кумедна ж ти, прощайся.",
        "zh": "今天天气很好。",
    }
)
_FALLBACK = "la la la"
_MIN_S, _MAX_S_PER_CHARACTER = 0.2, 1.0
_MIN_RMS = 1e-3  # -60 dBFS: below it nobody hears a thing
_CLIPPED_SHARE = 0.01


class SelfTestError(VoxswapError):
    """A version did not speak its test line as a voice should."""

    reason = "SELF_TEST_FAILED"


@dataclass(frozen=True, slots=True)
class SelfTestReport:
    """What was heard."""

    text: str
    duration_s: float
    rms: float
    cold: bool
    swap_ms: float


class SelfTest:
    """Loads versions and lets them speak. Confined to one event loop."""

    def __init__(self, manager: ModelManager, stage: Stage) -> None:
        self._manager = manager
        self._stage = stage

    async def run(
        self, manifest: Manifest, text: str = "", *, timeout_s: float | None = None
    ) -> SelfTestReport:
        """Let ``manifest`` speak ``text``, or a sentence of its language; it stays resident.

        Raises `SelfTestError` if what comes is silent, clipped, too short or endless; and whatever
        loading and speaking raise.
        """
        asked = text
        text = text or _SENTENCES.get(manifest.language.lower().partition("-")[0], _FALLBACK)
        ref = VoiceRef(manifest.voice_id, manifest.version)
        request = SpeechRequest(ref, text, encoding=AudioEncoding.PCM_F32LE, seed=0, paced=False)
        # The lease is left last: it must outlive every step.
        with await self._manager.acquire(manifest, timeout_s=timeout_s) as lease:
            synthesis = Synthesis(request, manifest, self._stage)
            parts = synthesis.parts(lease)
            async with synthesis, contextlib.aclosing(parts):
                try:
                    samples = await _heard(parts, longest_s=_longest_s(text), manifest=manifest)
                except InvalidInputError as error:
                    if asked:
                        raise InvalidInputError.one("test_text", _unspeakable(manifest)) from error
                    raise SelfTestError(
                        f"{_unspeakable(manifest)}, and no label was moved: {text!r} was tried",
                        metadata={"voice": manifest.ref},
                    ) from error
            report = SelfTestReport(
                text=text,
                duration_s=len(samples) / manifest.audio.sample_rate_hertz,
                rms=float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0,
                cold=lease.cold,
                swap_ms=lease.wait_s * 1e3,
            )
        fault = _fault(samples, report)
        if fault:
            raise SelfTestError(
                f"{manifest.ref} did not pass its self-test, and no label was moved: {fault}. "
                f"Listen to it: voxswap say {manifest.ref} {text!r}",
                metadata={"voice": manifest.ref},
            )
        return report


async def _heard(
    parts: AsyncIterator[Part], *, longest_s: float, manifest: Manifest
) -> npt.NDArray[np.float32]:
    """The audio of ``parts``; of one that is too long, a chunk more than is allowed."""
    heard, n = [], 0
    async for part in parts:
        if isinstance(part, Chunk):
            heard.append(np.frombuffer(part.audio, np.float32))
            n += part.sample_count
            if n > longest_s * manifest.audio.sample_rate_hertz:
                break
    return np.concatenate(heard) if heard else np.zeros(0, np.float32)


def _longest_s(text: str) -> float:
    return 1.0 + _MAX_S_PER_CHARACTER * len(text)


def _unspeakable(manifest: Manifest) -> str:
    return f"{manifest.ref} can speak nothing of it; set test_text to words in its language"


def _fault(samples: npt.NDArray[np.float32], report: SelfTestReport) -> str:
    longest_s = _longest_s(report.text)
    if not np.isfinite(samples).all():
        return "its audio has values that are no numbers"
    if report.duration_s < _MIN_S:
        return f"it spoke for {report.duration_s:.2f} s, under {_MIN_S:g} s"
    if report.duration_s > longest_s:
        return f"it spoke for over {longest_s:.0f} s"
    if report.rms < _MIN_RMS:
        return f"it was silent (RMS {report.rms:.5f}, under {_MIN_RMS:g})"
    clipped = float(np.mean(np.abs(samples) >= 0.999))
    if clipped > _CLIPPED_SHARE:
        return f"{clipped:.1%} of its samples are clipped"
    return ""
