"""What a stranger asks for becomes a request, or all that is wrong with it: one check, every door.

A door brings the words of its protocol into an `Asked`, and may find faults of its own on the way;
a request comes of it only if nobody found any.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from voxswap_registry.controls import CONTROLS, RATE
from voxswap_registry.emotions import NEUTRAL, meaning
from voxswap_registry.errors import FieldViolation, InvalidInputError
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding, rates_of
from voxswap_server.audio.resampling import MAX_SAMPLE_RATE_HERTZ, MIN_SAMPLE_RATE_HERTZ
from voxswap_server.speech.request import (
    CachePolicy,
    EmotionFallback,
    LineClass,
    MarkKind,
    SpeechRequest,
)
from voxswap_server.speech.styles import opened

#: Metadata, or a header, that names on whose behalf a call is made.
TENANT_KEY = "voxswap-tenant"

MAX_SESSION_CHARACTERS = 128
MAX_SPEAKER_CHARACTERS = 128
MAX_MARKS = 32
MAX_CAST = 256
MAX_DUE_MS = 3_600_000
MAX_START_BY_MS = 600_000
MAX_TENANT_CHARACTERS = 64
MAX_SEED = (1 << 64) - 1
MAX_EMOTIONS = 16
MAX_EMOTION_CHARACTERS = 64
MAX_INTENSITY = 2.0
MAX_STYLE_PROMPT_CHARACTERS = 500
# Shares are sums of what clients wrote in decimals.
_ROUNDING = 1e-6


class Faults:
    """Collects violations, so that a client learns of all of them at once."""

    def __init__(self) -> None:
        self.found: list[FieldViolation] = []

    def add(self, field: str, description: str) -> None:
        """``description`` goes on after the field's name, and says what to do."""
        self.found.append(FieldViolation(field, description))

    def number(self, field: str, value: float, low: float, high: float) -> float:
        """``value``, which is to be within the bounds."""
        if not (math.isfinite(value) and low <= value <= high):
            self.add(field, f"is {value}; use a number from {low:g} to {high:g}, or leave it unset")
        return value

    def voice(self, text: str, *, field: str = "") -> VoiceRef:
        """The voice that ``text`` names."""
        try:
            return VoiceRef.parse(text)
        except InvalidInputError as error:
            for violation in error.violations:
                self.add(field or violation.field, violation.description)
            return VoiceRef("invalid")

    def session(self, session_id: str) -> None:
        """Look whether it is one."""
        if len(session_id) > MAX_SESSION_CHARACTERS:
            self.add(
                "session_id",
                f"is longer than {MAX_SESSION_CHARACTERS} characters; send a shorter one, or its "
                "hash",
            )

    def raise_if_any(self) -> None:
        """Raise `InvalidInputError` with all that was found."""
        if self.found:
            raise InvalidInputError(self.found)


@dataclass(frozen=True, slots=True)
class AskedEmotion:
    """Emotions by name, each with its share, as they were said; and how strong the mixture is.

    What the shares leave of 1 is neutral; an intensity of None is 1. In place of a mixture there
    may be ``valence`` and ``arousal``, or it is read off the text. A ``fallback`` of None: nothing
    was said. ``if_it_can``: a voice that can speak none says its line all the same.
    """

    mixture: Sequence[tuple[str, float]] = ()
    intensity: float | None = None
    valence: float | None = None
    arousal: float | None = None
    from_text: bool = False
    fallback: EmotionFallback | None = None
    if_it_can: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client asks for, as it was said. Empty, 0 and None are: nothing was said.

    ``controls`` are by name, the rate among them. ``style_prompt`` is a style in words, ``style``
    one that was read off a recording.
    """

    voice: str
    text: str
    speaker: str = ""
    encoding: AudioEncoding = AudioEncoding.PCM_S16LE
    sample_rate_hertz: int = 0
    controls: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    marks: Collection[MarkKind] = ()
    line_class: LineClass = LineClass.DIALOGUE
    start_by_ms: int | None = None
    session_id: str = ""
    tenant: str = ""
    cache_policy: CachePolicy = CachePolicy.DEFAULT
    paced: bool = True
    eager: bool = False
    emotion: AskedEmotion | None = None
    style_prompt: str = ""
    style: bytes = b""


def speech_request(
    asked: Asked,
    *,
    max_characters: int,
    faults: Faults | None = None,
    text_may_follow: bool = False,
) -> SpeechRequest:
    """A validated request. ``faults`` are those that its door has found.

    Raises `InvalidInputError` with every fault.
    """
    faults = faults or Faults()
    voice = faults.voice(asked.voice)
    find = fragment_faults if text_may_follow else text_faults
    for description in find(asked.text, max_characters):
        faults.add("text", description)
    if len(asked.tenant) > MAX_TENANT_CHARACTERS:
        faults.add(TENANT_KEY, f"is longer than {MAX_TENANT_CHARACTERS} characters; shorten it")
    controls = _controls(faults, asked.controls)
    emotion = asked.emotion or AskedEmotion()
    emotions = _emotions(faults, emotion)
    affect = _affect(faults, emotion)
    _check_style(faults, asked)
    if asked.sample_rate_hertz:
        _check_sample_rate(faults, asked.encoding, asked.sample_rate_hertz)
    if asked.start_by_ms is not None:
        faults.number("start_by_ms", asked.start_by_ms, 1, MAX_START_BY_MS)
    faults.session(asked.session_id)
    if len(asked.speaker) > MAX_SPEAKER_CHARACTERS:
        faults.add(
            "speaker",
            f"is longer than {MAX_SPEAKER_CHARACTERS} characters; use one that the voice lists",
        )
    if asked.seed is not None and not 0 <= asked.seed <= MAX_SEED:
        faults.add("seed", f"is {asked.seed}; use a whole number from 0 to {MAX_SEED}")
    faults.raise_if_any()
    return SpeechRequest(
        voice=voice,
        text=asked.text,
        session_id=asked.session_id,
        speaker=asked.speaker or None,
        encoding=asked.encoding,
        sample_rate_hertz=asked.sample_rate_hertz or None,
        rate=controls.pop(RATE.name, 1.0),
        controls=controls,
        emotions=emotions,
        affect=affect,
        from_text=emotion.from_text,
        if_it_can=emotion.if_it_can,
        intensity=1.0 if emotion.intensity is None else emotion.intensity,
        fallback=emotion.fallback,
        style_prompt=asked.style_prompt.strip(),
        style=asked.style,
        seed=asked.seed,
        marks=frozenset(asked.marks),
        line_class=asked.line_class,
        start_by_s=None if asked.start_by_ms is None else asked.start_by_ms / 1e3,
        paced=asked.paced,
        eager=asked.eager,
        tenant=asked.tenant,
        cache_policy=asked.cache_policy,
    )


@dataclass(frozen=True, slots=True)
class AskedMember:
    """A voice of a scene, as it was said; None: when its first line is due was not."""

    voice: str
    first_line_ms: int | None = None


def cast_of(
    members: Collection[AskedMember], *, by_ms: int | None, session_id: str
) -> Iterator[tuple[VoiceRef, float | None]]:
    """Each voice of a scene, with the seconds from now until its first line, if that is known.

    Raises `InvalidInputError` with every fault.
    """
    faults = Faults()
    if by_ms is not None:
        faults.number("by_ms", by_ms, 0, MAX_DUE_MS)
    if not 0 < len(members) <= MAX_CAST:
        faults.add("cast", f"has {len(members)} voices; name 1 to {MAX_CAST}")
    faults.session(session_id)
    cast: dict[VoiceRef, int | None] = {}
    for i, member in enumerate(_first(members, MAX_CAST)):
        due_ms = by_ms if member.first_line_ms is None else member.first_line_ms
        if member.first_line_ms is not None:
            faults.number(f"cast[{i}].first_line_ms", member.first_line_ms, 0, MAX_DUE_MS)
        voice = faults.voice(member.voice, field=f"cast[{i}].voice")
        known = cast.setdefault(voice, due_ms)
        if (known or 0) > (due_ms or 0):
            cast[voice] = due_ms
    faults.raise_if_any()
    return ((voice, None if ms is None else ms / 1e3) for voice, ms in cast.items())


def _first(members: Iterable[AskedMember], most: int) -> Iterator[AskedMember]:
    return (member for member, _ in zip(members, range(most), strict=False))


def text_faults(text: str, max_characters: int) -> Iterator[str]:
    """What is wrong with a text that is to be spoken."""
    if len(text) > max_characters:
        yield f"has {len(text)} characters; {max_characters} at most: split it up"
    elif not text.strip():
        yield "is empty or blank; send the words to speak"
    else:
        yield from _control_characters(text)
        if not any(unicodedata.category(character)[0] in "LN" for character in text):
            yield "has no letter and no digit, so nothing to speak; send words"


def fragment_faults(text: str, max_characters: int) -> Iterator[str]:
    """What is wrong with a piece of a text; it may be blank."""
    if len(text) > max_characters:
        yield f"has {len(text)} characters; {max_characters} at most: send it in smaller pieces"
    else:
        yield from _control_characters(text)


def check_fragment(text: str, max_characters: int) -> None:
    """Raise `InvalidInputError` for what is no piece of a text."""
    for description in fragment_faults(text, max_characters):
        raise InvalidInputError.one("text", description)


def _control_characters(text: str) -> Iterator[str]:
    for position, character in enumerate(text):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r":
            yield (
                f"has the control character U+{ord(character):04X} at position {position}; "
                "remove it"
            )
            break


def _check_sample_rate(faults: Faults, encoding: AudioEncoding, hertz: int) -> None:
    rates = rates_of(encoding)
    if rates and hertz not in rates:
        allowed = f"{', '.join(map(str, rates[:-1]))} or {rates[-1]} for {encoding.name}"
    elif not MIN_SAMPLE_RATE_HERTZ <= hertz <= MAX_SAMPLE_RATE_HERTZ:
        allowed = f"{MIN_SAMPLE_RATE_HERTZ} to {MAX_SAMPLE_RATE_HERTZ}"
    else:
        return
    faults.add("audio.sample_rate_hertz", f"is {hertz}; use {allowed}, or leave it unset")


def _controls(faults: Faults, asked: Mapping[str, float]) -> dict[str, float]:
    """Those that ask for something."""
    values = {}
    for name, value in asked.items():
        control = CONTROLS[name]
        faults.number(f"controls.{name}", value, control.least, control.most)
        if value != control.neutral:
            values[name] = value
    return values


def _emotions(faults: Faults, asked: AskedEmotion) -> dict[str, float]:
    """How much there is of each emotion that is asked for: its share times the intensity."""
    intensity = 1.0 if asked.intensity is None else asked.intensity
    faults.number("emotion.intensity", intensity, 0.0, MAX_INTENSITY)
    if len(asked.mixture) > MAX_EMOTIONS:
        faults.add(
            "emotion.mixture",
            f"has {len(asked.mixture)} emotions; {MAX_EMOTIONS} at most are mixed",
        )
    values: dict[str, float] = {}
    meant: set[str] = set()
    for n, (name, share) in enumerate(asked.mixture[:MAX_EMOTIONS]):
        field = f"emotion.mixture[{n}]"
        if not 0 < len(name) <= MAX_EMOTION_CHARACTERS or meaning(name) in meant:
            faults.add(f"{field}.emotion", "must name an emotion that the voice lists, each once")
        meant.add(meaning(name[: MAX_EMOTION_CHARACTERS + 1]))
        faults.number(f"{field}.weight", share, 0.0, 1.0)
        values[name] = share
    # Endless ones are refused above, and have no sum.
    if math.fsum(filter(math.isfinite, values.values())) > 1 + _ROUNDING:
        faults.add("emotion.mixture", "has shares that sum to more than 1; the rest is neutral")
    values = {name: share for name, share in values.items() if meaning(name) != NEUTRAL}
    return {name: share * intensity for name, share in values.items() if share * intensity}


def _affect(faults: Faults, asked: AskedEmotion) -> tuple[float, float] | None:
    """Valence and arousal. Faults of ways to say an emotion that exclude each other are told."""
    said = {"valence": asked.valence, "arousal": asked.arousal}
    found = {name: value for name, value in said.items() if value is not None}
    for name, value in found.items():
        faults.number(f"emotion.{name}", value, -1.0, 1.0)
    for name in said.keys() - found.keys() if found else ():
        faults.add(f"emotion.{name}", "is not set; valence and arousal go together: set both")
    ways = {"mixture": bool(asked.mixture), "valence": bool(found), "from_text": asked.from_text}
    several = [name for name, is_said in ways.items() if is_said]
    if len(several) > 1:
        faults.add(
            f"emotion.{several[1]}",
            f"is set beside emotion.{several[0]}; say the emotion in one way",
        )
    if len(found) < len(said):
        return None
    return found["valence"], found["arousal"]


def _check_style(faults: Faults, asked: Asked) -> None:
    """Styles in words and off recordings, as far as no voice need be known."""
    prompt = asked.style_prompt
    if len(prompt) > MAX_STYLE_PROMPT_CHARACTERS:
        faults.add(
            "style_prompt",
            f"has {len(prompt)} characters; {MAX_STYLE_PROMPT_CHARACTERS} at most: say it in fewer",
        )
    elif prompt:
        for description in _control_characters(prompt):
            faults.add("style_prompt", description)
        if not any(map(str.isalpha, prompt)):
            faults.add("style_prompt", "has no letter; say a style in words, or leave it unset")
    if asked.style:
        try:
            opened(asked.style)
        except InvalidInputError as error:
            faults.add("style", error.violations[0].description)
    if prompt and asked.style:
        faults.add("style", "is set beside style_prompt; send one of them")
