"""What a model family is, and what its engine does for the server.

A family is one folder and one entry point (see docs/families.md): it knows the manifests of its
voices, converts foreign checkpoints to them, and makes the engine that speaks with them.

An engine computes. It owns no threads, no cache and no clock: whoever calls it decides on which
thread, in which order, and how much at a time. What speaking takes is `Work`: its steps run on the
device's compute thread and take a bounded time, and so do methods marked *step*. Methods marked
*load* run on a loading thread and may block on disk. Those marked neither return at once and may
run on the event loop.

A voice is assembled from *parts*. A part is one component of the registry in the form in which the
device wants it: a whole VITS model, an acoustic model, a vocoder, a base and a style vector; and,
in the host's memory whatever the device is, a symbol table with the front-end that reads by it.
Parts are what residency loads, counts, shares and evicts; voices that name the same bytes share
them.
A component takes two moves: `Engine.read` from a verified file into host memory, `HostPart.place`
from there to the device. Where the device is the host's own memory, the second one moves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from voxswap_families.arithmetic import Dtype
from voxswap_families.importing.request import ImportRequest
from voxswap_families.packages import EmbeddedVoice
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import FrontEnd
from voxswap_families.work import Work
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import FrontEndError
from voxswap_registry.families import Rules
from voxswap_registry.manifest import FrontEndSpec, Manifest
from voxswap_registry.storage.verified import VerifiedFile, WatchedFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Delivery:
    """How symbols are to be spoken. Validated before it gets here.

    ``rate`` is a factor on the voice's own speed. ``controls`` are all others, by their names in
    `voxswap_registry.controls`: those that were asked for, and those that the manifest has a
    setting for. ``seed`` makes the result repeatable, whatever else the device is doing.
    ``emotions`` are of those that the voice lists, each with how much of it there is: 1 is as it
    was trained, what all of them together leave of 1 is neutral, and more exaggerates.
    ``style_prompt`` is a style in words, which takes neutral's place, for families that have
    `Rules.style_prompts`; ``style`` is a vector of `Rules.style_size` numbers, read off a
    recording. At most one of the two is set. ``text`` is the segment as it is read aloud.
    """

    rate: float
    seed: int
    controls: Mapping[str, float] = field(default_factory=dict)
    speaker: int = 0
    emotions: Mapping[str, float] = field(default_factory=dict)
    style_prompt: str = ""
    style: tuple[float, ...] = ()
    text: str = ""


class Utterance(Protocol):
    """One segment whose durations are known and whose audio can be decoded piece by piece.

    Not thread-safe: its steps run one after the other. Dropping it frees what it holds.
    """

    @property
    def durations_frames(self) -> Sequence[int]:
        """Frames that each input symbol lasts; they sum to `frames`."""
        ...

    @property
    def frames(self) -> int:
        """Length of the segment in frames of the voice's hop length."""
        ...

    @property
    def held_bytes(self) -> int:
        """An upper bound of what it keeps between steps, from its first step of decoding on."""
        ...

    def decode(self, first_frame: int, last_frame: int) -> Work[npt.NDArray[np.float32]]:
        """Audio of ``[first_frame, last_frame)``: ``(samples,)`` float32 in [-1, 1].

        Pieces joined are the whole: the result does not depend on where the cuts are (up to float
        rounding). Calls must go forward: ``first_frame`` is the ``last_frame`` of the call before.
        One at a time. The work fails with `EngineError` if the arithmetic gives no audio.
        """
        ...


class Voice(Protocol):
    """Parts on the device that speak together. Immutable, so its steps may serve many streams."""

    def most_symbols(self, rate: float) -> int:
        """Most ids that `prepare` should get at this rate; a segment with more is to be parted.

        It bounds how long a step takes and how much memory: slow speech has more frames.
        """
        ...

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        """Everything that needs a segment whole. ``ids`` are its symbols, not empty.

        Raises `EngineError` for symbols that are not the voice's. The work fails with it if the
        arithmetic gives no speech.
        """
        ...


@dataclass(frozen=True, slots=True)
class PartSpec:
    """What an engine says of a part before it is loaded.

    ``role`` names the component in the manifest. ``form`` is whatever the part depends on beside
    that component's bytes: manifests with one digest, role and form share the part.

    ``footprint_bytes`` is an upper bound of `DevicePart.resident_bytes`:

    1. Weights count at their stored size, or at the size they are converted to.
    2. Activations do not count: they belong to the steps (`Engine.workspace_bytes`).
    3. Whatever loading needs on the device for a moment only counts in full.

    ``most_bytes_per_s`` is how fast the component is taken up at best, where that is slower than
    reading it: what is told of loads before one was measured.
    """

    role: str
    form: str
    footprint_bytes: int
    most_bytes_per_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Pace:
    """How much time of one thread speaking takes, about; of all the cores that a long step has."""

    prepare_s_per_symbol: float
    decode_s_per_s: float


class DevicePart(Protocol):
    """A part that can be computed with. Immutable; dropping the last reference frees it."""

    @property
    def resident_bytes(self) -> int:
        """Bytes of the device that it takes, measured or counted."""
        ...

    @property
    def allocated_bytes(self) -> int:
        """How many of these an allocator gave, and gets back; 0 for pages of a mapped file."""
        ...


@runtime_checkable
class MappedPart(Protocol):
    """A `DevicePart` that may be pages of a file, which others could write to or truncate."""

    @property
    def file(self) -> WatchedFile | None:
        """The file; None if the part is a copy. Its voice's work is guarded by it."""
        ...


class HostPart(Protocol):
    """A component in host memory, verified, on its way to the device. Immutable."""

    @property
    def host_bytes(self) -> int:
        """Host memory that keeping it costs; 0 if it is just pages of the system's cache."""
        ...

    def place(self) -> DevicePart:
        """*Load.* Put it on the device; may be called any number of times.

        Raises `DeviceMemoryError` if the device refuses the memory.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoadedVoice:
    """A voice that can compute, and the front-end that feeds it. Shared by manifests of one key.

    ``ref`` is the version that it was first assembled for.
    """

    ref: str
    voice: Voice
    front_end: FrontEnd


class Engine(Protocol):
    """Code for one model family on one device. Stateless and thread-safe.

    ``steps_may_be_long`` says that its voices need the thread for long steps (see `Work`).
    """

    name: str
    steps_may_be_long: bool

    def check(self, manifest: Manifest) -> None:
        """Raise `EngineError` for a manifest that could never be loaded on this device.

        From the manifest alone, whose family has no fault to find with it. Weights may still turn
        out not to fit it.
        """
        ...

    def parts(self, manifest: Manifest) -> Sequence[PartSpec]:
        """All that a voice is made of, from the manifest alone. Raises as `check` does."""
        ...

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        """An upper bound of what the largest steps of this voice take on the device for themselves.

        Of as many as the engine was told may be taken at the same time. The largest is preparing
        `Voice.most_symbols`, or decoding ``largest_chunk_s`` seconds of audio.
        """
        ...

    def warm_up(self) -> None:
        """*Step.* Pay what a process pays once (imports, kernels) before the first request."""
        ...

    def pace(self, manifest: Manifest) -> Pace | None:
        """How fast a voice is, as far as the warm-up can tell; None: it is not known."""
        ...

    def read(self, manifest: Manifest, role: str, file: VerifiedFile) -> HostPart:
        """*Load.* Take the verified component in ``file`` up into host memory.

        Everything is read through its descriptor, which is open for this call only; what stays
        mapped is watched (`VerifiedFile.watch`). Raises `EngineError`, `ManifestError` or
        `RegistryError`, and leaves nothing behind if it does.
        """
        ...

    def assemble(self, manifest: Manifest, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        """A voice of ``parts``, by role; takes microseconds.

        Raises `EngineError` if they do not fit each other.
        """
        ...


@dataclass(frozen=True, slots=True)
class PromptStatistics:
    """Vectors of texts that an engine asked a style encoder for, since it was made.

    ``found`` were kept, ``made`` were not, ``forgotten`` had to make room. ``size_bytes`` are kept
    now; they are part of what the ledger has for the style encoders beside which they are.
    """

    found: int
    made: int
    forgotten: int
    size_bytes: int


@runtime_checkable
class PromptedEngine(Protocol):
    """An `Engine` whose voices are told in words how to speak."""

    def prompts(self) -> PromptStatistics:
        """As of now; from any thread."""
        ...


#: Of a voice that is made up.
Size: TypeAlias = Literal["tiny", "real"]

#: The front-end that a manifest asks for, over a table, for a language. May block for half a
#: second. Raises `FrontEndError` if there is none here.
MakeFrontEnd: TypeAlias = Callable[[FrontEndSpec, SymbolTable, str], FrontEnd]


def no_front_ends(spec: FrontEndSpec, table: SymbolTable, language: str) -> FrontEnd:
    """For an engine that is given symbols as they are. Raises `FrontEndError`."""
    del table, language
    raise FrontEndError(f"no front-end {spec.kind!r:.40} here: whoever made the engine gave none")


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine is made for.

    ``arithmetic`` (``float32``, ``bfloat16``) is what torch computes in where that may be chosen;
    ``kernels`` is an instruction set whose native kernels compute what they can in torch's place,
    or ``torch``. At most ``most_steps`` of its steps are taken at the same time, and a long one may
    use ``threads``.
    """

    device: str
    arithmetic: Dtype
    kernels: str
    most_steps: int
    threads: int
    front_ends: MakeFrontEnd


@dataclass(frozen=True, slots=True)
class Importer:
    """Converts one foreign format. Blocks; runs nothing of what it reads.

    ``description`` says what it takes, for whoever has something else. ``find`` gives what there is
    to convert at a file or folder, or None if that is not its format; it raises
    `ImportSourceError` where it cannot tell which of several is meant. ``convert`` gives the voice,
    with its components below ``request.workdir``; it raises `ImportSourceError`, and
    `InvalidInputError` for a request that does not apply. Where one place may hold several voices
    that each stand for themselves, ``members`` gives their names, which ``request.style`` chooses
    by. Where these share what takes long to convert, ``convert_members`` takes several of them,
    each with the id of its voice, and gives their voices in that order; a component of several has
    one path.
    """

    description: str
    find: Callable[[Path], Path | None]
    convert: Callable[[Path, ImportRequest], VoiceDraft]
    members: Callable[[Path], Sequence[str]] | None = None
    convert_members: (
        Callable[[Path, ImportRequest, Mapping[str, str]], Iterator[VoiceDraft]] | None
    ) = None


@dataclass(frozen=True, slots=True)
class Fabricator:
    """Writes a voice with random weights, in the layout in which such are published.

    ``write`` fills a folder, which is empty, by a seed: the same one gives the same bytes. A real
    one is as large as published voices, and costs what they cost; a tiny one takes a test no time.
    Blocks.
    """

    description: str
    write: Callable[[Path, int, Size], None]


class Family(Rules, Protocol):
    """A model family: what is registered. To be had without its heavy libraries."""

    @property
    def engine_module(self) -> str:
        """What `engine` imports; that takes long, so that it may be imported ahead."""
        ...

    @property
    def importers(self) -> Sequence[Importer]:
        """Of its formats, the most particular first."""
        ...

    @property
    def fabricators(self) -> Mapping[str, Fabricator]:
        """What of it can be made up, by name. Ask `register.fabricators`."""
        ...

    @property
    def embedded(self) -> Sequence[EmbeddedVoice]:
        """Voices of it that lie in Python packages."""
        ...

    def engine(self, context: EngineContext) -> Engine:
        """Its engine. Imports what is heavy."""
        ...
