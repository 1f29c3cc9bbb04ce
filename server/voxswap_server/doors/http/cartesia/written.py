"""Words as they stand in the text: clients find them there, one after another."""

from __future__ import annotations

from voxswap_server.speech.messages import Mark


class Written:
    """The text of a context, as far as it was not spoken yet. Not thread-safe."""

    def __init__(self, text: str = "") -> None:
        self._text = text
        self._base = 0  # the place of its first character in all of the text

    def push(self, text: str) -> None:
        """More text, as it was written."""
        self._text += text

    def word(self, mark: Mark) -> str:
        """The word of a mark with the punctuation around it, of marks in their order.

        What stands between two words without a space belongs to the first.
        """
        start, end = mark.text_start - self._base, mark.text_end - self._base
        if start < 0:
            return mark.text  # another mark has taken it
        while start > 0 and _is_punctuation(self._text[start - 1]):
            start -= 1
        while end < len(self._text) and _is_punctuation(self._text[end]):
            end += 1
        found, self._text = self._text[start:end], self._text[end:]
        self._base += end
        return found


def _is_punctuation(character: str) -> bool:
    return not (character.isspace() or character.isalnum())
