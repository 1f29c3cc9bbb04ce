"""Which arithmetic a machine is fastest in: measured, since what a processor says tells too little.

Some have bfloat16 instructions (AMX, AVX512-BF16) and some only emulate them, at a tenth of the
speed. The products that are timed are the two that speaking spends most of its time in.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Dtype = Literal["float32", "bfloat16"]

# Less is not worth the rounding.
_LEAST_GAIN = 1.25
_ROUNDS = 7


@lru_cache(maxsize=8)
def fastest_dtype(device: str = "cpu") -> Dtype:
    """What flow, generator and feed-forward layers compute fastest in. Blocks, for 50 ms.

    Measured once in a process; both types in turn, the best of several rounds of each.
    """
    import torch

    with torch.inference_mode():
        plain, rounded = (_operands(d, device) for d in (torch.float32, torch.bfloat16))
        took_s = [(_took_s(*plain), _took_s(*rounded)) for _ in range(_ROUNDS)]
    gain = min(plain_s for plain_s, _ in took_s) / min(rounded_s for _, rounded_s in took_s)
    return "bfloat16" if gain >= _LEAST_GAIN else "float32"


def gains_from_tf32(device: str) -> bool:
    """Whether a CUDA device computes products of float32 faster with TF32's ten bits.

    Leaves it switched off.
    """
    import torch

    operands = _operands(torch.float32, device)
    exact_s, short_s = [], []
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            use_tf32(on=False)
            exact_s.append(_took_s(*operands))
            use_tf32(on=True)
            short_s.append(_took_s(*operands))
    use_tf32(on=False)
    return min(exact_s) >= _LEAST_GAIN * min(short_s)


def use_tf32(*, on: bool) -> None:
    """Whether CUDA devices compute products of float32 in TF32: a switch of the whole process."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def _operands(dtype: torch.dtype, device: str) -> tuple[torch.Tensor, ...]:
    import torch

    shapes = (256, 960), (384, 960), (1, 64, 1, 2048), (64, 64, 1, 7)
    rows, weight, signal, kernel = (torch.ones(s, dtype=dtype, device=device) for s in shapes)
    last = torch.channels_last
    return (
        rows,
        weight,
        signal.contiguous(memory_format=last),
        kernel.contiguous(memory_format=last),
    )


def _took_s(
    rows: torch.Tensor, weight: torch.Tensor, signal: torch.Tensor, kernel: torch.Tensor
) -> float:
    from torch.nn import functional

    began = time.perf_counter()
    product = functional.linear(rows, weight)
    convolved = functional.conv2d(signal, kernel)
    # Reading a value waits for a device that computes on its own.
    product[0, 0].item()
    convolved[0, 0, 0, 0].item()
    return time.perf_counter() - began
