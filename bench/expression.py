"""Whether expression is heard: PROSODY's table by instruments, and what is done to audio.

For each emotion of the table and growing intensities, lines are spoken as the server speaks them
(the voice's own engine, then `Effects` for what that does not do), and mean pitch, its range, pace
and level must move the way that the table says, further with each step. Word errors and DNSMOS are
told beside the same lines spoken plainly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soxr

from bench import expression_effects as effects
from bench.audio_measures import Audio, dnsmos
from bench.lines import CLAUSES, LINE, TEN
from bench.recognise import recognise, word_error_rate
from bench.report import Report
from bench.voices import load_voice, one_thread
from voxswap_families.contract import Delivery, LoadedVoice
from voxswap_families.embedded import import_embedded
from voxswap_families.kokoro.engine import KokoroEngine
from voxswap_families.prosody_measures import RATE_HERTZ, frames_of
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.work import Work, finished
from voxswap_registry.controls import CONTROLS, ON_AUDIO
from voxswap_registry.families import native_controls_of
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.audio.effects.chain import Effects
from voxswap_server.speech.prosody_table import FACTORS, PARTS, PROSODY
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.normalization import normalize

FIGURES = ("effects", "prosody")
VOICES = ("joe", "kokoro/jf_gongitsune", "kokoro/jm_kumo")
_INTENSITIES = (0.5, 1.0, 1.5)
# The bounds of issue 17.
_MOST_WORSE_WER, _MOST_WORSE_MOS = 3.0, 0.15


def run(report: Report, *, device: str, quick: bool = False, only: str | None = None) -> None:
    """What ``only`` names, or all of `FIGURES`."""
    del device  # the processor's; effects are computed nowhere else
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder, one_thread():
        registry = Registry(Path(folder))
        import_embedded(registry)
        for name in VOICES:
            speaker = Speaker(registry, name)
            plain = speaker.say_all(_lines(name, quick=quick), {})
            if only in {None, "effects"}:
                effects.pitch(report, name, plain, speaker.rate_hertz)
                effects.level(report, name, plain, speaker.rate_hertz)
                effects.costs(report, name, plain, speaker.rate_hertz)
            if only in {None, "prosody"}:
                _prosody(report, speaker, _lines(name, quick=quick), plain)
        if only in {None, "effects"}:
            effects.first_sound(report, registry, rounds=4 if quick else 40)


def _lines(name: str, *, quick: bool) -> Sequence[str]:
    """Kokoro takes ten times as long."""
    return (LINE, *TEN)[: 2 if quick else 11 if name == "joe" else 6]


class Speaker:
    """Says lines as the server does, without one."""

    def __init__(self, registry: Registry, name: str) -> None:
        front_ends = partial(make_front_end, espeak=Espeak())
        is_kokoro = name.startswith("kokoro/")
        engine = (
            KokoroEngine(threads=1, front_ends=front_ends)
            if is_kokoro
            else VitsEngine(front_ends=front_ends)
        )
        self.name = name
        self.manifest: Manifest = registry.resolve(VoiceRef(name))
        self.loaded: LoadedVoice = load_voice(registry, name, engine)
        self.rate_hertz = self.manifest.audio.sample_rate_hertz

    def say(self, line: str, controls: Mapping[str, float]) -> Audio:
        """``controls`` with the rate among them."""
        ids = self.loaded.front_end.symbols(normalize(line, "en")).ids
        own = {"noise_scale": 0.667, "duration_noise_scale": 0.8}
        delivery = Delivery(controls.get("rate", 1.0), 7, {**own, **controls})
        utterance = finished(self.loaded.voice.prepare(ids, delivery))
        audio = finished(utterance.decode(0, utterance.frames))
        chain, native = Effects(self.rate_hertz), native_controls_of(self.manifest)
        chain.begin({n: controls[n] for n in ON_AUDIO if n in controls and n not in native})
        return chain.run(audio, is_last=True)

    def say_all(self, lines: Sequence[str], controls: Mapping[str, float]) -> list[Audio]:
        """Each line by itself."""
        return [self.say(line, controls) for line in lines]


@dataclass(frozen=True, slots=True)
class Heard:
    """Of some lines: mean and standard deviation of pitch in Hz, seconds, and level in dB."""

    hertz: float
    range_hertz: float
    seconds: float
    level_db: float

    @classmethod
    def of(cls, audios: Sequence[Audio], rate_hertz: int) -> Heard:
        """By an instrument that shares nothing with the effects (Boersma 1993)."""
        pitches, powers = [], []
        for audio in audios:
            clip = soxr.resample(audio, rate_hertz, RATE_HERTZ)
            frames = finished(Work(frames_of(clip)))
            voiced = frames.is_voiced
            pitches.append(frames.pitch_hertz[voiced])
            powers.append(10 ** (frames.level_db[voiced] / 10))
        pitch = np.concatenate(pitches)
        # What an instrument takes for an octave more or less is no range.
        pitch = pitch[np.abs(np.log2(pitch / np.median(pitch))) < 0.75]
        seconds = sum(map(len, audios)) / rate_hertz
        level = float(10 * np.log10(np.concatenate(powers).mean()))
        return cls(float(pitch.mean()), float(pitch.std()), seconds, level)


def controls_at(emotion: str, intensity: float) -> dict[str, float]:
    """What the table makes of an emotion alone."""
    values = {}
    for name in PARTS:
        step, control = PROSODY[emotion][name], CONTROLS[name]
        value = step**intensity if name in FACTORS else step * intensity
        values[name] = min(max(value, control.least), control.most)
    return values


def _prosody(
    report: Report, speaker: Speaker, lines: Sequence[str], plain: Sequence[Audio]
) -> None:
    name, rate_hertz = speaker.name, speaker.rate_hertz
    # A recogniser errs by chance: of ten lines, by half a dozen words more or less.
    many = (*lines, *CLAUSES)

    def errors(controls: Mapping[str, float]) -> float:
        heard = [recognise(audio, rate_hertz) for audio in speaker.say_all(many, controls)]
        return 100 * word_error_rate(many, heard)

    plain_errors, plain_mos = errors({}), dnsmos(plain, rate_hertz)["ovrl_mos"]
    report.add(f"{name}: word error rate, spoken plainly", plain_errors, "%")
    report.add(f"{name}: DNSMOS OVRL, spoken plainly", plain_mos, "MOS")
    at_rest = Heard.of(plain, rate_hertz)
    print(f"  {name} plain: {_told(at_rest)}", flush=True)
    for emotion in PROSODY:
        steps, audios = [at_rest], list[Audio]()
        for intensity in _INTENSITIES:
            said = speaker.say_all(lines, controls_at(emotion, intensity))
            audios = said if intensity == 1.0 else audios
            steps.append(Heard.of(said, rate_hertz))
            print(f"  {name} {emotion} {intensity}: {_told(steps[-1])}", flush=True)
        astray = list(_astray(emotion, steps))
        report.add(f"{name} {emotion}: steps that go astray {' '.join(astray)}", len(astray), "", 0)
        worse = errors(controls_at(emotion, 1.0)) - plain_errors
        report.add(f"{name} {emotion}: word error rate, more by", worse, "%", _MOST_WORSE_WER)
        worse = plain_mos - dnsmos(audios, rate_hertz)["ovrl_mos"]
        report.add(f"{name} {emotion}: DNSMOS OVRL, less by", worse, "MOS", _MOST_WORSE_MOS)


def _told(heard: Heard) -> str:
    return (
        f"{heard.hertz:.1f} Hz +- {heard.range_hertz:.1f}, {heard.seconds:.2f} s, "
        f"{heard.level_db:.1f} dB"
    )


def _astray(emotion: str, steps: Sequence[Heard]) -> Iterator[str]:
    """What does not move on with each step the way that the table's row says."""
    row = PROSODY[emotion]
    ways = {
        "hertz": row["pitch_semitones"],
        "range_hertz": np.log(row["pitch_range"]) + row["pitch_semitones"] * np.log(2) / 12,
        "seconds": -np.log(row["rate"]),
        "level_db": row["volume_db"],
    }
    for measure, way in ways.items():
        values = [getattr(step, measure) for step in steps]
        if way and not (np.diff(values) * np.sign(way) > 0).all():
            yield measure
