"""What a Kokoro voice is made of: the base that voices share, style packs, and the symbols.

Kokoro-82M (https://huggingface.co/hexgrad/Kokoro-82M) is a StyleTTS 2: text and a style vector go
in, audio comes out. Its style pack has a vector for each length of text. The base is the int8 ONNX
export of kokoro-onnx with one more output, the frames of each symbol, and one more input, the most
that they may come to: beyond it a text is spoken faster, so that the memory of a step is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from voxswap_families.onnx_graphs.check import Port, check_graph
from voxswap_families.onnx_graphs.tensors import FLOAT, INT64

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Style = npt.NDArray[np.float32]

ENGINE: Final = "kokoro"
CONTROLS: Final = ("rate",)
SAMPLE_RATE_HERTZ: Final = 24_000
HOP_LENGTH_SAMPLES: Final = 600  # 25 ms, the unit in which durations are predicted
N_SYMBOLS: Final = 178  # rows of the embedding
STYLE_SHAPE: Final = (510, 256)
#: Of a row: who speaks, then how. What is read off a recording is the second half.
TIMBRE_SIZE: Final = 128
STYLE_SIZE: Final = STYLE_SHAPE[1] - TIMBRE_SIZE


BASE_MEDIA_TYPE: Final = "application/onnx"
STYLE_MEDIA_TYPE: Final = "application/vnd.safetensors"
MAX_BASE_BYTES: Final = 512 << 20  # with float32 weights it has 326 MB
MAX_STYLE_BYTES: Final = 1 << 20

SPEED: Final = Port("speed", FLOAT, (1,))
MOST_FRAMES: Final = Port("most_frames", FLOAT, ())
INPUTS: Final = (
    Port("tokens", INT64, (1, None)),
    Port("style", FLOAT, (1, STYLE_SHAPE[1])),
    SPEED,
    MOST_FRAMES,
)
AUDIO: Final = Port("audio", FLOAT, (None,))
DURATIONS: Final = Port("durations", FLOAT, (1, None))

# The model's own table (config.json of Kokoro-82M); id 0 is the boundary at either end.
_RUNS: Final = (
    (1, ";:,.!?"), (9, "—…\"()“” \u0303ʣʥʦʨᵝꭧAI"), (31, "O"), (33, "Q"), (35, "ST"), (39, "W"),
    (41, "Yᵊabcdef"), (50, "hijklmnopqrstuvwxyzɑɐɒæ"), (75, "βɔɕç"), (80, "ɖðʤə"), (85, "ɚɛɜ"),
    (90, "ɟ"), (92, "ɡ"), (99, "ɥ"), (101, "ɨɪʝ"), (110, "ɯɰŋɳɲɴø"), (118, "ɸθœ"), (123, "ɹ"),
    (125, "ɾɻ"), (128, "ʁɽʂʃʈʧ"), (135, "ʊʋ"), (138, "ʌɣɤ"), (142, "χʎ"), (147, "ʒʔ"), (156, "ˈˌː"),
    (162, "ʰ"), (164, "ʲ"), (169, "↓"), (171, "→↗↘"), (177, "ᵻ"),
)  # fmt: skip
SYMBOLS: Final[Mapping[str, int]] = MappingProxyType(
    {symbol: first + i for first, run in _RUNS for i, symbol in enumerate(run)}
)
_BOUNDARY: Final = "$"


def check_base(model: Any) -> None:
    """Raise `GraphError` unless ``model`` is a base: safe to run, and with the ports of one."""
    check_graph(model, inputs=INPUTS, outputs=(AUDIO, DURATIONS))


def symbol_table_json(symbols: Mapping[str, int]) -> bytes:
    """The symbols component, in canonical JSON: the boundary at either end, nothing in between."""
    table = {
        "layout": "piper",
        "pad": None,
        "bos": _BOUNDARY,
        "eos": _BOUNDARY,
        "symbols": {**{symbol: [index] for symbol, index in symbols.items()}, _BOUNDARY: [0]},
    }
    return json.dumps(table, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def style_to_bytes(style: Style) -> bytes:
    """The style component: a safetensors file that is the same for the same numbers."""
    data = style.astype("<f4").tobytes()
    header = json.dumps(
        {
            "style": {
                "dtype": "F32",
                "shape": list(style.shape),
                "data_offsets": [0, len(data)],
            }
        },
        separators=(",", ":"),
    ).encode()
    header += b" " * (-(8 + len(header)) % 64)
    return len(header).to_bytes(8, "little") + header + data


def style_from_bytes(data: bytes) -> Style:
    """The style pack, ``(510, 256)`` float32: row ``n - 1`` is for a text of n symbols.

    Raises ValueError that says what is wrong.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(f"is no safetensors file ({str(error)[:200]})") from error
    if tensors.keys() != {"style"}:
        raise ValueError("holds other tensors than 'style'")
    return checked_style(tensors["style"])


def checked_style(style: npt.NDArray[Any]) -> Style:
    """``style`` if it is a pack: its type, shape and numbers. Raises ValueError."""
    import numpy as np

    if style.dtype != np.float32 or style.shape != STYLE_SHAPE:
        raise ValueError(
            f"holds {style.dtype} of the shape {list(style.shape)[:8]}, not float32 of "
            f"{list(STYLE_SHAPE)}"
        )
    if not np.isfinite(style).all():
        raise ValueError("holds NaN or infinity")
    return style
