"""Text that is still being written, such as a language model's: cut as soon as it is certain."""

from __future__ import annotations

from dataclasses import replace

from voxswap_server.text.segmentation.segments import LONGEST_SEGMENT, Cutter
from voxswap_server.text.types import Segment


class Fragments:
    """The segments of a text that comes in fragments, each as soon as nothing can change it.

    What `push` and `end` give is together what `segment` gives for the whole text, pauses included,
    however it was cut into fragments: even within a word, a line break or a letter and its accents.

    A segment is given out at the first letter or digit of the next one, since punctuation that
    still comes would be its own, and its pause depends on the layout up to there. Some stops
    wait longer, until it is decided that

    - after a closing quote and a capital no "Mary said" follows: at the first word that breaks it;
    - the word after an abbreviation that may end a sentence ("etc.", "p.m.", an initial) opens one,
      and the one after an ellipsis is not "I": when that word is complete;
    - the word after a number is no month of an ordinal ("3. Oktober"): at the first other letter;
    - one line break ends an utterance: at the next line's first letter, or after the number or dash
      that might begin a list's item.

    A sentence that goes on for twice the ``longest`` segment is cut there and then. After `flush` a
    new text begins: what was flushed can no longer be changed.

    Not thread-safe; nothing blocks. Keeps `kept` characters: at most ``2 * longest + 2500`` after
    each call. Takes time proportional to the fragment and what is kept; the sum is the caller's to
    bound.
    """

    def __init__(self, *, longest: int = LONGEST_SEGMENT) -> None:
        """Raises ValueError if ``longest`` is not positive."""
        self._longest = longest
        self._cutter = Cutter(longest)

    def __repr__(self) -> str:
        return f"Fragments({self.length} characters, {self.kept} kept)"

    @property
    def length(self) -> int:
        """Characters (code points) of all text so far; segments' ``start`` counts them."""
        return self._cutter.length

    @property
    def kept(self) -> int:
        """Characters that are kept because what follows may matter to them."""
        return self._cutter.kept

    def push(self, text: str) -> list[Segment]:
        """What has become certain with ``text``."""
        self._cutter.add(text)
        certain = list(self._cutter.certain(whole=False))
        self._cutter.forget()
        return certain

    def flush(self) -> list[Segment]:
        """All that has come so far, as if the text ended here; what comes next is a new text.

        The last segment has the pause of a sentence or paragraph nonetheless, since more may come.
        """
        rest = list(self._cutter.certain(whole=True))
        if last := self._cutter.last():
            rest.append(last)
        self._cutter = Cutter(self._longest, base=self._cutter.length)
        return rest

    def end(self) -> list[Segment]:
        """The rest of the text, with no pause after the last. Then as after a `flush`."""
        rest = self.flush()
        if rest:
            rest[-1] = replace(rest[-1], pause_ms=0)
        return rest
