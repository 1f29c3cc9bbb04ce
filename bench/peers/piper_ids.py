"""Symbol ids by piper-tts, the reference for `tests/text/piper_ids.json`.

Run it with a Python that has piper-tts (GPL-3.0; never a dependency of voxswap)::

    python bench/peers/piper_ids.py < sentences.json > tests/text/piper_ids.json

``sentences.json``, like the file that it writes, has ``{"sentences": [{"voice", "text"}, …]}``: the
golden file can be fed back to it. Ids are those of Piper's default map; the sentences that Piper
makes of a text stand one after another, as in its training.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

from piper.phoneme_ids import phonemes_to_ids
from piper.phonemize_espeak import EspeakPhonemizer


def main() -> None:
    """Reads sentences on stdin, writes them with their ids on stdout, one a line."""
    phonemizer = EspeakPhonemizer()
    rows = []
    for sentence in json.load(sys.stdin)["sentences"]:
        voice, text = sentence["voice"], sentence["text"]
        # espeak-ng keeps a character that it looked ahead at for the next call: a blank takes it.
        phonemizer.phonemize(voice, " ")
        phonemes = [p for part in phonemizer.phonemize(voice, text) for p in part]
        rows.append(
            {
                "voice": voice,
                "text": text,
                "phonemes": "".join(phonemes),
                "ids": phonemes_to_ids(phonemes),
            }
        )
    made = (
        f"piper-tts {version('piper-tts')}: EspeakPhonemizer.phonemize, its sentences joined, then "
        "phonemes_to_ids with the default map; by bench/peers/piper_ids.py"
    )
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    print(f'{{"made_by": {json.dumps(made)},\n"sentences": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
