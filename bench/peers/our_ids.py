"""Run by a Python that has piper-tts: voxswap's front-end on the espeak-ng that Piper ships.

Same library, same dictionaries: what differs then is ours. Reads and writes what `piper_ids.py`
does, ids alone.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import types
from pathlib import Path

_ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(_ROOT / "server"), str(_ROOT / "model_registry")]


def lend_pipers_espeak() -> None:
    """Make `espeakng_loader` name the library inside piper-tts, which exports espeak-ng's calls."""
    spec = importlib.util.find_spec("piper")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    loader = types.ModuleType("espeakng_loader")
    vars(loader)["get_library_path"] = lambda: str(next(folder.glob("espeakbridge*.so")))
    vars(loader)["get_data_path"] = lambda: str(folder / "espeak-ng-data")
    sys.modules["espeakng_loader"] = loader


def main() -> None:
    """Answer one question."""
    lend_pipers_espeak()
    from voxswap_families.symbols import SymbolTable
    from voxswap_families.text import NormalizedText, Word
    from voxswap_server.text.espeak.front_end import EspeakFrontEnd
    from voxswap_server.text.espeak.library import Espeak

    question = json.load(sys.stdin)
    table = {"layout": "piper", "symbols": question["symbols"]}
    symbols = SymbolTable.from_json(json.dumps(table).encode())
    front_end = EspeakFrontEnd(symbols, Espeak(), "en-us")
    ids = []
    for sentence in question["sentences"]:
        text = sentence["text"]
        found = re.finditer(r"\S+", text)
        words = tuple(Word(m.group(), *m.span(), *m.span()) for m in found)
        ids.append(front_end.symbols(NormalizedText(text, words)).ids)
    json.dump(ids, sys.stdout)


if __name__ == "__main__":
    main()
