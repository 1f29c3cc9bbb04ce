"""The file that an id names: below the folder, on every system, and the file of no other line."""

from __future__ import annotations

import re
import unicodedata

MAX_ID_CHARACTERS = 400
MAX_SEGMENT_BYTES = 200  # file systems take 255; what is left is for suffixes
_FORBIDDEN = re.compile(r'[<>:"\\|?*]')
# Windows gives these to devices, whatever comes after a full stop.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:\..*)?", re.I)


def file_name(line_id: str, suffix: str) -> str:
    """The file of a line: ``npc/hello`` and ``.wav`` give ``npc/hello.wav``. Slashes make folders.

    A suffix that the id has already is not doubled. Raises `ValueError` for an id that would leave
    the folder, or that some system does not take; its message goes on after the id.
    """
    if len(line_id) > MAX_ID_CHARACTERS:
        raise ValueError(f"has more than {MAX_ID_CHARACTERS} characters")
    if not line_id.isprintable():
        raise ValueError("has a character that cannot be printed")
    if found := _FORBIDDEN.search(line_id):
        raise ValueError(f"has a {found[0]}; folders are parted by /")
    for segment in line_id.split("/"):
        _check_segment(segment)
    return line_id if line_id.lower().endswith(suffix) else line_id + suffix


def _check_segment(segment: str) -> None:
    if not segment:
        raise ValueError("begins or ends with a /, or has two of them together")
    if segment.startswith("."):
        raise ValueError("has a name that begins with a full stop")
    if segment != segment.strip() or segment.endswith("."):
        raise ValueError("has a name that begins or ends with a space, or ends with a full stop")
    if _DEVICES.fullmatch(segment):
        raise ValueError(f"has the name {segment}, which Windows keeps for a device")
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        raise ValueError(f"has a name of more than {MAX_SEGMENT_BYTES} bytes")


class TakenNames:
    """Who has which file. Names that some file system takes for the same are the same here."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._folders: dict[str, int] = {}

    def take(self, name: str, number: int) -> int | None:
        """Give the file to line ``number``, or say which line stands in its way."""
        key = unicodedata.normalize("NFC", name).casefold()
        folders = [key[:at] for at, char in enumerate(key) if char == "/"]
        for other in (self._files.get(key), self._folders.get(key)):
            if other is not None:
                return other
        for folder in folders:
            if folder in self._files:
                return self._files[folder]
        self._files[key] = number
        for folder in folders:
            self._folders.setdefault(folder, number)
        return None
