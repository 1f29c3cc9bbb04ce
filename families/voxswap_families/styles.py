"""Styles that are read off recordings: what a family with a space of them does for the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from voxswap_registry.families import installed

if TYPE_CHECKING:
    from voxswap_families.prosody_measures import Prosody
    from voxswap_registry.manifest import Manifest


@dataclass(frozen=True, slots=True)
class StyleShare:
    """A version that has a style, and how much of it a mixture has, from 0 to 1."""

    ref: str
    weight: float


@dataclass(frozen=True, slots=True)
class StyleFound:
    """A style that is expected to sound like what was heard.

    ``values`` are `Rules.style_size` numbers for `Delivery.style`. ``similarity`` is 1 where
    ``expected`` is no further from what was heard than two lines of one speaker are from each
    other; ``similarity_without`` is that of the voice as it is.
    """

    values: tuple[float, ...]
    similarity: float
    similarity_without: float
    expected: Prosody
    mixture: tuple[StyleShare, ...]


class StyleReader(Protocol):
    """Finds styles for what was heard. Stateless and thread-safe.

    ``role`` is that of the components that hold styles.
    """

    role: str

    def sources(self, voice: Manifest, others: Iterable[Manifest]) -> Sequence[Manifest]:
        """``voice``, and those of ``others`` whose styles may be mixed for it."""
        ...

    def summary(self, data: bytes) -> tuple[float, ...]:
        """What is needed of a component. Raises ValueError for what is no style."""
        ...

    def read(
        self,
        sources: Sequence[Manifest],
        summaries: Mapping[str, tuple[float, ...]],
        heard: Prosody,
    ) -> StyleFound:
        """*Step.* The nearest of ``sources``; ``summaries`` of their components are by digest."""
        ...


def style_reader_of(engine: str) -> StyleReader | None:
    """Of the family with this name; None if its styles cannot be read off a recording."""
    reader: StyleReader | None = getattr(installed().get(engine), "style_reader", None)
    return reader
