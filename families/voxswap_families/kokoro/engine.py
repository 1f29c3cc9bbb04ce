"""The Kokoro engine: one session for all voices of a base, and a style of half a megabyte each."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

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
from voxswap_families.errors import DeviceMemoryError
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.embedded import STEERABLE
from voxswap_families.kokoro.session import Run, Session
from voxswap_families.kokoro.steering import GAIN, RANGE, steer
from voxswap_families.kokoro.style_reading import moved
from voxswap_families.onnx_graphs.check import parse_graph
from voxswap_families.work import Work
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Manifest
from voxswap_registry.storage.verified import VerifiedFile

# A segment is one step, so this is how long others wait for it: 3 s on two cores for 10 s of audio.
# Slow speech gets shorter segments, down to a word or two.
_MOST_SYMBOLS, _LEAST_SYMBOLS = 160, 24
# Twenty seconds; so many symbols of English make twelve at most. A segment that would be longer
# than this and a frame for each symbol is spoken faster.
_MOST_FRAMES = 800
# Measured (tests/families/kokoro_memory.py): 0.47 to 0.6 MB of activations for each frame.
_WORKSPACE_BYTES_A_FRAME = 640 << 10
_LEAST_WORKSPACE_BYTES = 96 << 20
# Beyond any honest graph: an arena also counts what it has not touched yet.
_ARENA_FACTOR = 2

# Sounds come this much sooner than the durations say: vowels are 28 dB louder than plosives where
# these put them, and 39 dB two frames before.
_AHEAD_FRAMES = 2
# Kokoro leaves 0.3 to 0.5 s of silence before a segment and 0.5 to 0.8 s after it. A listener waits
# for the one, and the other would come on top of the pause that the pipeline makes.
_SILENCE_RMS = 10 ** (-50 / 20)
_KEPT_BEFORE_FRAMES, _KEPT_AFTER_FRAMES = 2, 4
# Peaks of up to 1.3 are bent into [-1, 1] from here on: one sample in 1,000 of the loudest voice.
_KNEE = 0.9

# While onnxruntime takes it up, a graph is there three times: our bytes, its copy of them, and what
# it reads from that. As a session it has 1.15 times its size. The first one brings onnx and
# onnxruntime with it, which stay.
_LOADING_FACTOR, _RESIDENT_FACTOR = 3, 1.25
_LIBRARIES_BYTES = 48 << 20
_SESSION_BYTES = 12 << 20
# Building a session optimises its graph: 1.2 s for the 88 MB of the packages' base.
_OPTIMISED_BYTES_PER_S = 75e6


def frames_bytes(frames: int) -> int:
    """An upper bound of the activations of a segment with so many frames."""
    return _LEAST_WORKSPACE_BYTES + _WORKSPACE_BYTES_A_FRAME * frames


_WORKSPACE_BYTES = frames_bytes(_MOST_FRAMES + _MOST_SYMBOLS)
_ARENA_BYTES = _ARENA_FACTOR * _WORKSPACE_BYTES


class KokoroEngine:
    """Loads Kokoro voices onto the CPU. Stateless after construction; thread-safe."""

    name = kokoro.ENGINE
    steps_may_be_long = True

    def __init__(
        self, device: str = "cpu", *, threads: int = 0, front_ends: MakeFrontEnd = no_front_ends
    ) -> None:
        """``threads`` compute; 0 is one for each core."""
        self._device = device
        self._threads = threads
        self._front_ends = front_ends

    def check(self, manifest: Manifest) -> None:
        """The graph needs onnxruntime, which computes on a CPU. Raises as `Engine.check`."""
        if self._device != "cpu":
            raise EngineError(
                f"{manifest.ref} is a Kokoro voice, whose int8 graph onnxruntime computes on the "
                f"CPU only, and this server computes on {self._device}; serve it with device cpu"
            )
        if importlib.util.find_spec("onnxruntime") is None:
            raise EngineError(
                f"{manifest.ref} needs the package onnxruntime; pip install 'voxswap[server]'",
                metadata={"package": "onnxruntime"},
            )

    def parts(self, manifest: Manifest) -> Sequence[PartSpec]:
        """The base, which voices share, the style, and what reads."""
        self.check(manifest)
        base, style = (manifest.component(role).size_bytes for role in ("base", "style"))
        return (
            PartSpec(
                "base",
                "onnxruntime",
                _LOADING_FACTOR * base + _LIBRARIES_BYTES,
                most_bytes_per_s=_OPTIMISED_BYTES_PER_S,
            ),
            PartSpec("style", "array", style),
            reading.part(manifest),
        )

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        """What the longest segment takes, which is made in one step."""
        del manifest, largest_chunk_s  # the same for all
        return _WORKSPACE_BYTES

    def warm_up(self) -> None:
        """Nothing: the first base to be read imports onnxruntime, in a tenth of its own time."""

    def pace(self, manifest: Manifest) -> Pace | None:
        """Not known: there is no graph before the first base is read."""
        return None

    def read(self, manifest: Manifest, role: str, file: VerifiedFile) -> HostPart:
        """Check the graph and make a session of it (0.7 s), or take the style up.

        Raises as `Engine.read`, and `DeviceMemoryError`.
        """
        if role == reading.ROLE:
            return reading.read(manifest, file, self._front_ends)
        where = f"{manifest.ref}: its {role}"
        try:
            if role == "style":
                return _Ready(KokoroStyle(kokoro.style_from_bytes(file.read_bytes())))
            # Read once: what is checked here is what runs.
            graph = file.read_bytes()
            model = parse_graph(graph)
            kokoro.check_base(model)
            if is_steered := manifest.component("base").digest in STEERABLE:
                # To a graph that is known and was looked over come nodes of ours, always the same.
                del graph  # as large as the weights, and never twice beside them
                steer(model)
                graph = model.SerializeToString(deterministic=True)
            del model
        except ValueError as error:
            raise EngineError(f"{where} {error}; import the voice again") from error
        except MemoryError as error:
            raise DeviceMemoryError(f"{where} does not fit into what cpu has left") from error
        size_bytes = len(graph)
        session = Session(graph, threads=self._threads, arena_bytes=_ARENA_BYTES)
        del graph
        # The check and the loading leave 40 MB of free pages behind.
        _give_back_free_pages()
        resident_bytes = round(_RESIDENT_FACTOR * size_bytes) + _SESSION_BYTES
        return _Ready(KokoroBase(session, resident_bytes, is_steered))

    def assemble(self, manifest: Manifest, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        """A voice of the three. Raises as `Engine.assemble`."""
        base, style = parts["base"], parts["style"]
        if not isinstance(base, KokoroBase) or not isinstance(style, KokoroStyle):
            raise EngineError(f"{manifest.ref}: its parts are not Kokoro's; import it again")
        voice = KokoroVoice(base.session, style.vectors, is_steered=base.is_steered)
        return LoadedVoice(manifest.ref, voice, reading.front_end_of(manifest, parts))


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's, where there is one."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


def _give_back_free_pages() -> None:
    if (trim := _malloc_trim()) is not None:
        trim(0)


@dataclass(frozen=True, slots=True)
class KokoroBase:
    """A session. What it takes is counted, from measurements: onnxruntime does not tell.

    One that ``is_steered`` has the inputs of `steering`.
    """

    session: Session
    resident_bytes: int
    is_steered: bool = False

    @property
    def allocated_bytes(self) -> int:
        """All of it: onnxruntime copies the weights."""
        return self.resident_bytes


@dataclass(frozen=True, slots=True)
class KokoroStyle:
    """A style pack, ``(510, 256)`` float32."""

    vectors: kokoro.Style

    @property
    def resident_bytes(self) -> int:
        """The array."""
        return self.vectors.nbytes

    @property
    def allocated_bytes(self) -> int:
        """The array."""
        return self.vectors.nbytes


@dataclass(frozen=True, slots=True)
class _Ready:
    """A part that is where it will be computed with: host and device are one memory."""

    part: KokoroBase | KokoroStyle

    @property
    def host_bytes(self) -> int:
        """None beside those of the part."""
        return 0

    def place(self) -> DevicePart:
        """The part, always the same."""
        return self.part


class KokoroVoice:
    """A Kokoro voice. Immutable: any number of utterances may be made from it."""

    def __init__(
        self, session: Session, vectors: kokoro.Style, *, is_steered: bool = False
    ) -> None:
        self._session = session
        self._vectors = vectors
        self._is_steered = is_steered

    def most_symbols(self, rate: float) -> int:
        """With the two boundaries. Longer steps would keep other streams waiting."""
        return max(_LEAST_SYMBOLS, round(_MOST_SYMBOLS * min(1.0, rate)))

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        """Speak the whole segment, in one step whose cost grows with its duration.

        Kokoro draws no noise, so seed and noise scales change nothing, and it has one speaker.
        A segment that would last absurdly long is spoken faster. Silence at either end is cut
        down. Raises as `Voice.prepare`.
        """
        if not 0 < len(ids) <= _MOST_SYMBOLS:
            raise EngineError(f"{len(ids)} symbols; a segment has 1 to {_MOST_SYMBOLS}: part it")
        if min(ids) < 0 or max(ids) >= kokoro.N_SYMBOLS:
            raise EngineError(
                f"some of {len(ids)} symbols are outside this model's 0 to {kokoro.N_SYMBOLS - 1}: "
                "the symbol table belongs to another voice"
            )
        run = Run()
        if delivery.style and len(delivery.style) != kokoro.STYLE_SIZE:
            raise EngineError(
                f"a style of {len(delivery.style)} numbers; one of this model has "
                f"{kokoro.STYLE_SIZE}: read the recording again"
            )
        spoken = partial(self._spoken, ids, delivery, run)
        return Work.of(spoken, may_be_long=True, interrupt=run.end)

    def _steering(self, controls: Mapping[str, float]) -> dict[str, npt.NDArray[np.float32]]:
        if not self._is_steered:
            return {}
        semitones = controls.get("pitch_semitones", 0.0)
        return {
            GAIN: np.array(2 ** (semitones / 12), np.float32),
            RANGE: np.array(controls.get("pitch_range", 1.0), np.float32),
        }

    def _spoken(self, ids: Sequence[int], delivery: Delivery, run: Run) -> Utterance:
        # The boundaries at either end do not count.
        row = min(max(len(ids) - 2, 1), len(self._vectors)) - 1
        style = self._vectors[row : row + 1]
        if delivery.style:
            style = moved(self._vectors, row, delivery.style)
        outputs = self._session.run(
            {
                "tokens": np.array([ids], np.int64),
                "style": style,
                "speed": np.array([delivery.rate], np.float32),
                "most_frames": np.array(_MOST_FRAMES, np.float32),
                **self._steering(delivery.controls),
            },
            run,
            workspace_bytes=_WORKSPACE_BYTES,
        )
        return KokoroUtterance(*_checked(outputs["audio"], outputs["durations"], len(ids)))


def _checked(
    audio: npt.NDArray[np.float32], durations: npt.NDArray[np.float32], n_symbols: int
) -> tuple[npt.NDArray[np.float32], list[int]]:
    """``(samples,)`` and the frames of each symbol, of which the graph made ``(1, symbols)``.

    Raises `EngineError` if one is not what the other says.
    """
    fits = durations.shape == (1, n_symbols) and bool((durations >= 0).all())
    frames = durations.sum() if fits else np.nan
    if audio.shape != (frames * kokoro.HOP_LENGTH_SAMPLES,):
        raise EngineError(
            f"{audio.size} samples for {durations.size} durations: the weights are damaged; import "
            "the voice again"
        )
    # NaN and infinity survive a sum, and one sum is cheaper than a mask.
    if not np.isfinite(audio.sum()):
        raise EngineError("the vocoder gave NaN or infinity: the weights are damaged")
    return _bent(audio), list(map(int, durations[0]))


def _bent(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Peaks beyond the knee, bent; each sample by itself, so that cuts and levels do not matter."""
    loud = np.abs(audio) > _KNEE
    if loud.any():
        room = 1 - _KNEE
        peaks = audio[loud]
        audio[loud] = np.sign(peaks) * (_KNEE + room * np.tanh((np.abs(peaks) - _KNEE) / room))
    return audio


class KokoroUtterance:
    """A segment that is spoken; decoding it cuts pieces off."""

    def __init__(self, audio: npt.NDArray[np.float32], durations_frames: Sequence[int]) -> None:
        """``audio`` is ``(samples,)``: the sum of the durations, in frames."""
        hop, durations = kokoro.HOP_LENGTH_SAMPLES, list(durations_frames)
        ahead = min(_AHEAD_FRAMES, durations[0])
        durations[0] -= ahead
        durations[-1] += ahead
        levels = np.sqrt(np.square(audio).reshape(-1, hop).mean(axis=1))
        (loud,) = np.nonzero(levels > _SILENCE_RMS)
        before = after = 0
        if len(loud):
            before = max(0, int(loud[0]) - _KEPT_BEFORE_FRAMES)
            after = max(0, len(levels) - 1 - int(loud[-1]) - _KEPT_AFTER_FRAMES)
        self._audio = audio[before * hop : len(audio) - after * hop]
        durations = _shortened(durations, before)
        self._durations = tuple(_shortened(durations[::-1], after)[::-1])

    @property
    def durations_frames(self) -> Sequence[int]:
        """Frames of each symbol."""
        return self._durations

    @property
    def frames(self) -> int:
        """Frames of the segment."""
        return len(self._audio) // kokoro.HOP_LENGTH_SAMPLES

    @property
    def held_bytes(self) -> int:
        """All of its audio."""
        return self._audio.nbytes

    def decode(self, first_frame: int, last_frame: int) -> Work[npt.NDArray[np.float32]]:
        """A piece of what is there. Raises ValueError for frames that it has not."""
        if not 0 <= first_frame < last_frame <= self.frames:
            raise ValueError(f"frames {first_frame}:{last_frame} of {self.frames}")
        hop = kokoro.HOP_LENGTH_SAMPLES
        return Work.of(lambda: self._audio[first_frame * hop : last_frame * hop])


def _shortened(durations: Sequence[int], cut: int) -> list[int]:
    """``durations`` without their first ``cut`` frames."""
    ends = np.maximum(np.cumsum(durations) - cut, 0)
    return [int(frames) for frames in np.diff(ends, prepend=0)]
