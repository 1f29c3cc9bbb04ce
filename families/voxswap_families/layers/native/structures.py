"""What the native library takes as arguments: its C structures, field by field.

They hold addresses. Whoever fills one in keeps what it points to for as long as it is used, and has
checked that it is as large as the sizes beside it say: nobody does that afterwards.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int32, c_void_p
from typing import ClassVar, Final

PANEL: Final = 16

MOST_SEPARABLE: Final = 8
MOST_BINS: Final = 64
MOST_WAVENET: Final = 32
MOST_COUPLINGS: Final = 16
MOST_STAGES: Final = 8
MOST_BLOCKS: Final = 8
MOST_CONVS: Final = 16
MOST_DIRECTIONS: Final = 2


class Product(ctypes.Structure):
    """``source/product.hpp``: weights as panels, and a bias to whole panels."""

    _fields_: ClassVar = [
        ("panels", c_void_p),
        ("bias", c_void_p),
        ("outputs", c_int32),
        ("taps", c_int32),
        ("channels", c_int32),
        ("unused", c_int32),
    ]


class ByteProduct(ctypes.Structure):
    """``source/bytes.hpp``: weights as panels of int8, a scale and a bias for each output.

    ``balance`` is for each channel, or none.
    """

    _fields_: ClassVar = [
        ("panels", c_void_p),
        ("scale", c_void_p),
        ("balance", c_void_p),
        ("bias", c_void_p),
        ("outputs", c_int32),
        ("taps", c_int32),
        ("channels", c_int32),
        ("unused", c_int32),
    ]


class Norm(ctypes.Structure):
    """``source/norm.hpp``."""

    _fields_: ClassVar = [("gain", c_void_p), ("offset", c_void_p)]


class EncoderLayer(ctypes.Structure):
    """``source/encoder.hpp``."""

    _fields_: ClassVar = [
        ("qkv", Product),
        ("out", Product),
        ("up", Product),
        ("down", Product),
        ("near_keys", c_void_p),
        ("near_values", c_void_p),
        ("norm_1", Norm),
        ("norm_2", Norm),
        ("heads", c_int32),
        ("window", c_int32),
        ("byte_up", ByteProduct),
        ("byte_down", ByteProduct),
    ]


class Separable(ctypes.Structure):
    """``source/durations.hpp``."""

    _fields_: ClassVar = [
        ("taps", c_void_p * MOST_SEPARABLE),
        ("tap_biases", c_void_p * MOST_SEPARABLE),
        ("norms_1", Norm * MOST_SEPARABLE),
        ("norms_2", Norm * MOST_SEPARABLE),
        ("points", Product * MOST_SEPARABLE),
        ("layers", c_int32),
        ("kernel", c_int32),
        ("channels", c_int32),
        ("unused", c_int32),
    ]


class SplineCoupling(ctypes.Structure):
    """``source/durations.hpp``."""

    _fields_: ClassVar = [
        ("convs", Separable),
        ("pre_weight", c_void_p),
        ("pre_bias", c_void_p),
        ("proj", Product),
        ("bins", c_int32),
        ("unused", c_int32),
    ]


class Coupling(ctypes.Structure):
    """``source/flow.hpp``."""

    _fields_: ClassVar = [
        ("pre", Product),
        ("post", Product),
        ("gates", Product * MOST_WAVENET),
        ("res_skips", Product * MOST_WAVENET),
    ]


class Flow(ctypes.Structure):
    """``source/flow.hpp``: its couplings in the order in which they are undone."""

    _fields_: ClassVar = [
        ("couplings", ctypes.POINTER(Coupling)),
        ("count", c_int32),
        ("layers", c_int32),
    ]


class Residual(ctypes.Structure):
    """``source/hifigan.hpp``: a shortcut goes around each ``span`` of its convolutions."""

    _fields_: ClassVar = [
        ("convs", Product * MOST_CONVS),
        ("dilations", c_int32 * MOST_CONVS),
        ("count", c_int32),
        ("span", c_int32),
    ]


class Stage(ctypes.Structure):
    """``source/hifigan.hpp``: ``cut`` of the first rows that upsampling gives are dropped."""

    _fields_: ClassVar = [
        ("up", Product),
        ("rate", c_int32),
        ("cut", c_int32),
        ("blocks", Residual * MOST_BLOCKS),
    ]


#: What a generator may be; see ``source/hifigan.hpp``.
CAUSAL: Final = 1
SINE: Final = 2
POST_BIAS: Final = 4


class Generator(ctypes.Structure):
    """``source/hifigan.hpp``; ``kind`` are those of the above that it is."""

    _fields_: ClassVar = [
        ("pre", Product),
        ("stages", Stage * MOST_STAGES),
        ("post", c_void_p),
        ("post_taps", c_int32),
        ("count", c_int32),
        ("blocks", c_int32),
        ("kind", c_int32),
    ]


class Source(ctypes.Structure):
    """``source/hifigan.hpp``: what is added to each stage, from which of its rows on."""

    _fields_: ClassVar = [
        ("rows", c_void_p * MOST_STAGES),
        ("first", ctypes.c_int64 * MOST_STAGES),
    ]


class Lstm(ctypes.Structure):
    """``source/lstm.hpp``: products of each direction, of the input and of the row before."""

    _fields_: ClassVar = [
        ("inputs", Product * MOST_DIRECTIONS),
        ("recurrent", Product * MOST_DIRECTIONS),
        ("directions", c_int32),
        ("hidden", c_int32),
    ]


class Fsmn(ctypes.Structure):
    """``source/fsmn.hpp``: it sees ``left`` rows before each one, and ``right`` behind it."""

    _fields_: ClassVar = [
        ("up", Product),
        ("down", Product),
        ("taps", c_void_p),
        ("left", c_int32),
        ("right", c_int32),
    ]


_INT, _LONG, _ADDRESS = c_int32, ctypes.c_int64, c_void_p
_P = ctypes.POINTER

#: What the library has, by name: its result and its arguments.
FUNCTIONS: Final = {
    "vxk_linear_bytes": (_LONG, (_P(Product), _INT)),
    "vxk_linear": (_INT, (_P(Product), _INT, _ADDRESS, _ADDRESS, _ADDRESS)),
    "vxk_byte_linear_bytes": (_LONG, (_P(ByteProduct), _INT, _INT)),
    "vxk_byte_linear": (_INT, (_P(ByteProduct), _INT, _INT, _ADDRESS, _ADDRESS, _ADDRESS)),
    "vxk_pack": (_INT, (_ADDRESS, _INT, _INT, _LONG, _INT, _LONG, _ADDRESS, _LONG)),
    "vxk_encoder_bytes": (_LONG, (_P(EncoderLayer), _INT)),
    "vxk_encode": (_INT, (_P(EncoderLayer), _INT, _ADDRESS, _ADDRESS, _INT, _INT)),
    "vxk_separable_bytes": (_LONG, (_P(Separable), _INT)),
    "vxk_separable": (_INT, (_P(Separable), _INT, _ADDRESS, _ADDRESS)),
    "vxk_spline_bytes": (_LONG, (_P(SplineCoupling), _INT)),
    "vxk_spline": (_INT, (_P(SplineCoupling), _INT, _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS)),
    "vxk_flow_state_bytes": (_LONG, (_P(Flow),)),
    "vxk_flow_bytes": (_LONG, (_P(Flow), _INT)),
    "vxk_flow_begin": (_INT, (_P(Flow), _ADDRESS)),
    "vxk_flow": (_INT, (_P(Flow), _ADDRESS, _ADDRESS, _INT, _INT, _ADDRESS, _ADDRESS)),
    "vxk_generator_state_bytes": (_LONG, (_P(Generator),)),
    "vxk_generator_bytes": (_LONG, (_P(Generator), _INT)),
    "vxk_generator_begin": (_INT, (_P(Generator), _ADDRESS, _INT)),
    "vxk_generate": (_LONG, (_P(Generator), _ADDRESS, _ADDRESS, _INT, _ADDRESS, _ADDRESS)),
    "vxk_generate_with": (
        _LONG, (_P(Generator), _ADDRESS, _ADDRESS, _INT, _ADDRESS, _P(Source), _ADDRESS)
    ),
    "vxk_lstm_bytes": (_LONG, (_P(Lstm), _INT)),
    "vxk_lstm": (_INT, (_P(Lstm), _INT, _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS)),
    "vxk_fsmn_state_bytes": (_LONG, (_P(Fsmn),)),
    "vxk_fsmn_bytes": (_LONG, (_P(Fsmn), _INT)),
    "vxk_fsmn_begin": (_INT, (_P(Fsmn), _ADDRESS)),
    "vxk_fsmn": (_INT, (_P(Fsmn), _ADDRESS, _ADDRESS, _INT, _INT, _ADDRESS, _ADDRESS)),
    "vxk_ticket": (ctypes.c_uint32, ()),
    "vxk_lend": (_INT, (ctypes.c_uint32,)),
    "vxk_recall": (_INT, ()),
    "vxk_shared": (_LONG, ()),
    "vxk_late": (_LONG, ()),
    "vxk_helped_ns": (_LONG, ()),
    "vxk_closings": (_LONG, ()),
    "vxk_debt_after": (_LONG, (_LONG, _LONG)),
}  # fmt: skip
