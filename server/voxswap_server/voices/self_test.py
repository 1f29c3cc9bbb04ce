"""Tries a version on a line before anybody depends on it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from voxswap_registry.errors import InvalidInputError, VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.asking import MAX_EMOTIONS
from voxswap_server.speech.cache.subscriber import Terms
from voxswap_server.speech.errors import OverloadedError
from voxswap_server.speech.expression import settled
from voxswap_server.speech.messages import Chunk, Message
from voxswap_server.speech.presets import as_preset
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.speaking import Maker

Samples = npt.NDArray[np.float32]

# One sentence for languages that we know; names and numbers are left out, for any front-end.
_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "en": "The quick brown fox jumps over the lazy dog.",
        "de": "Zwölf Boxkämpfer jagen Viktor quer über den Deich.",
        "fr": "Portez ce vieux whisky au juge blond qui fume.",
        "es": "El veloz murciélago comía feliz cardillo y kiwi.",
        "it": "Ma la volpe, col suo balzo, ha raggiunto il quieto cane.",
        "pt": "Um pequeno jabuti viu dez cegonhas felizes.",
        "hi": "आज मौसम बहुत अच्छा है।",
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
# Who tries voices wants to know, and nobody listens: players go first.
_AT_ONCE, _MOST_WAIT_S, _RETRY_S = 2, 30.0, 2.0


class SelfTestError(VoxswapError):
    """A version did not speak its test line as a voice should: ``fault`` says why."""

    reason = "SELF_TEST_FAILED"

    def __init__(
        self, message: str, *, fault: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, metadata=metadata)
        self.fault = fault or message


class SelfTest:
    """Loads versions and lets them speak. Confined to one event loop.

    A test is a stream without pacing, admitted as one, and two speak at a time: the others wait,
    ``most_wait_s`` at the most. ``observe`` hears how each ended: "passed", "failed" or "refused".
    What is said is for nobody, and in no cache.
    """

    def __init__(
        self,
        maker: Maker,
        *,
        observe: Callable[[str], object] = lambda outcome: None,
        most_wait_s: float = _MOST_WAIT_S,
    ) -> None:
        self._maker = maker
        self._observe = observe
        self._most_wait_s = most_wait_s
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(
        self, manifest: Manifest, text: str = "", *, timeout_s: float | None = None
    ) -> None:
        """Let ``manifest`` speak ``text``, or a sentence of its language; it stays resident.

        ``timeout_s`` is for a place and for the load. Raises `SelfTestError` if what comes is
        silent, clipped, too short or endless, `OverloadedError` if there is no place, and whatever
        loading and speaking raise.
        """
        try:
            await self._try(manifest, text, timeout_s)
        except OverloadedError:
            self._observe("refused")
            raise
        except Exception:
            self._observe("failed")
            raise
        self._observe("passed")

    async def _try(self, manifest: Manifest, asked: str, timeout_s: float | None) -> None:
        text = asked or _SENTENCES.get(manifest.language.lower().partition("-")[0], _FALLBACK)
        ref = VoiceRef(manifest.voice_id, manifest.version)
        request = SpeechRequest(ref, text, encoding=AudioEncoding.PCM_F32LE, seed=0, paced=False)
        async with self._place(timeout_s) as left_s:
            terms = Terms(None if left_s is None else self._maker.clock() + left_s)
            try:
                for emotions in _mixtures(manifest):
                    line = dataclasses.replace(request, emotions=emotions)
                    await self._speak(manifest, line, terms)
            except InvalidInputError as error:
                if asked:
                    raise InvalidInputError.one("test_text", _unspeakable(manifest)) from error
                raise SelfTestError(
                    f"{_unspeakable(manifest)}, and no label was moved: {text!r} was tried",
                    fault=f"it can speak nothing of {text!r}",
                    metadata={"voice": manifest.ref},
                ) from error

    async def _speak(self, manifest: Manifest, request: SpeechRequest, terms: Terms) -> None:
        """Say one line. Raises `SelfTestError` for what a voice should not sound like."""
        text, asked = request.text, ""
        request = settled(as_preset(request, manifest), manifest)
        messages = self._maker.messages(manifest, request, lambda: terms)
        async with contextlib.aclosing(messages):
            samples = await _heard(messages, _longest_s(text), manifest)
        if fault := _fault(samples, manifest.audio.sample_rate_hertz, _longest_s(text)):
            if request.emotions:
                fault = f"with all of its emotions {fault}"
                asked = "".join(f" --emotion {n}={v:g}" for n, v in request.emotions.items())
            raise SelfTestError(
                f"{manifest.ref} did not pass its self-test, and no label was moved: {fault}. "
                f"Listen to it: voxswap say {manifest.ref} {text!r}{asked}",
                fault=fault,
                metadata={"voice": manifest.ref},
            )

    @contextlib.asynccontextmanager
    async def _place(self, timeout_s: float | None) -> AsyncIterator[float | None]:
        """One of the places, and what is left of ``timeout_s``. Raises `OverloadedError`."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        most_s = self._most_wait_s if timeout_s is None else min(timeout_s, self._most_wait_s)
        try:
            async with asyncio.timeout(most_s):
                await self._places.acquire()
        except TimeoutError:
            error = OverloadedError(
                f"{_AT_ONCE} versions are being tried, the most that this server tries at a time, "
                f"and none ended in {most_s:.1f} s; try again later"
            )
            error.retry_s = _RETRY_S
            raise error from None
        try:
            yield None if timeout_s is None else max(0.0, timeout_s - (clock() - began_s))
        finally:
            self._places.release()


async def _heard(messages: AsyncIterator[Message], longest_s: float, manifest: Manifest) -> Samples:
    """The audio of ``messages``; of one that is too long, a chunk more than allowed."""
    heard, n = [np.zeros(0, np.float32)], 0
    async for message in messages:
        if isinstance(message, Chunk):
            heard.append(np.frombuffer(message.audio, np.float32))
            n += message.sample_count
            if n > longest_s * manifest.audio.sample_rate_hertz:
                break
    return np.concatenate(heard)


def _mixtures(manifest: Manifest) -> Iterator[Mapping[str, float]]:
    """What a version is tried with: nothing felt; then all that it lists, as many as are mixed."""
    yield {}
    if names := (manifest.emotions or ())[:MAX_EMOTIONS]:
        yield dict.fromkeys(names, 1 / len(names))


def _longest_s(text: str) -> float:
    return 1.0 + _MAX_S_PER_CHARACTER * len(text)


def _unspeakable(manifest: Manifest) -> str:
    return f"{manifest.ref} can speak nothing of it; set test_text to words in its language"


def _fault(samples: Samples, sample_rate_hertz: int, longest_s: float) -> str:
    duration_s = len(samples) / sample_rate_hertz
    if not np.isfinite(samples).all():
        return "its audio has values that are no numbers"
    if duration_s < _MIN_S:
        return f"it spoke for {duration_s:.2f} s, under {_MIN_S:g} s"
    if duration_s > longest_s:
        return f"it spoke for over {longest_s:.0f} s"
    rms = float(np.sqrt(np.mean(np.square(samples))))
    if rms < _MIN_RMS:
        return f"it was silent (RMS {rms:.5f}, under {_MIN_RMS:g})"
    clipped = float(np.mean(np.abs(samples) >= 0.999))
    if clipped > _CLIPPED_SHARE:
        return f"{clipped:.1%} of its samples are clipped"
    return ""
