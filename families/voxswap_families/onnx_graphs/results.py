"""What comes out of each operator of a graph, as far as types and shapes go.

Each function is of the operator that it is named for: it gets the inputs (None for one that is left
out) and the attributes, requires of them what the library that runs graphs does not, and gives the
outputs. They raise `OperatorError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voxswap_families.onnx_graphs.tensors import (
    ANY,
    BOOL,
    BYTES,
    FLOAT,
    INT8,
    INT32,
    INT64,
    LARGEST,
    MOST_RANK,
    NUMBERS,
    UINT8,
    WHOLE,
    Dims,
    Tensor,
    axes_in,
    broadcast,
    constant,
    fixed,
    replaced,
    require,
    shape_in,
    typed,
)

_MOST_SCALE = 1024.0

Attributes = Mapping[str, Any]


def _axis(attributes: Attributes, rank: int, default: int = 0) -> int:
    axis = int(attributes.get("axis", default))
    require(-rank <= axis < rank, f"has the axis {axis} of {rank}")
    return axis % rank


def like_first(types: frozenset[int]) -> Callable[..., Sequence[Tensor]]:
    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        x, *others = (tensor for tensor in inputs if tensor is not None)
        typed(x, types)
        for other in others:
            typed(other, (x.type,))
        return (Tensor(x.type, broadcast(x.dims, *(other.dims for other in others))),)

    return result


def softmax(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,))
    _axis(attributes, x.rank, -1)
    return (Tensor(FLOAT, x.dims),)


def div(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    if inputs[1].type != FLOAT:
        # 0 ends a process, and so does -1 under the least number.
        constant(inputs[1], WHOLE, least=1, most=LARGEST)
    return like_first(NUMBERS)(inputs, attributes)


def comparison(types: frozenset[int]) -> Callable[..., Sequence[Tensor]]:
    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        return (Tensor(BOOL, like_first(types)(inputs, attributes)[0].dims),)

    return result


def cast(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    require("to" in attributes, "does not say to what")
    return (Tensor(attributes["to"], typed(inputs[0], ANY).dims),)


def clip(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], NUMBERS)
    for bound in inputs[1:]:
        if bound is not None:
            typed(bound, (x.type,), rank=0)
    return (Tensor(x.type, x.dims),)


def concat(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    first, *others = (tensor for tensor in inputs if tensor is not None)
    typed(first, ANY)
    axis = _axis(attributes, first.rank, MOST_RANK)  # without one it is refused
    for other in others:
        typed(other, (first.type,), rank=first.rank)
    sizes = [tensor.dims[axis] for tensor in (first, *others)]
    size = None if None in sizes else sum(size for size in sizes if size is not None)
    return (Tensor(first.type, replaced(first.dims, axis, size)),)


def constant_of_shape(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    value = attributes.get("value")
    return (Tensor(FLOAT if value is None else value.data_type, shape_in(inputs[0])),)


def expand(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, shape = typed(inputs[0], ANY), shape_in(inputs[1])
    # A 0 that is asked for looks like one that is not known: neither is 1.
    return (Tensor(x.type, broadcast(x.dims, shape)),)


def reshape(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, dims = typed(inputs[0], ANY), shape_in(inputs[1])
    numbers = inputs[1].constant
    if len(dims) == 1 and numbers is not None and int(numbers()[0]) == -1:
        dims = (x.size,)
    return (Tensor(x.type, dims),)


def convolution(
    types: frozenset[int], weight_types: frozenset[int], *, is_transposed: bool = False
) -> Callable[..., Sequence[Tensor]]:
    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        x, weight = typed(inputs[0], types, rank=3), inputs[1]
        fixed(weight, weight_types, rank=3)
        # (out, in / group, kernel); transposed: (in, out / group, kernel)
        first, second, kernel = (int(size) for size in weight.dims)
        group = attributes.get("group", 1)
        span = attributes.get("dilations", [1])
        stride = attributes.get("strides", [1])
        pads = attributes.get("pads", [0, 0])
        more = attributes.get("output_padding", [0])
        lengths = (len(span), len(stride), len(pads), len(more))
        require(lengths == (1, 1, 2, 1), "is not one over time")
        require(attributes.get("kernel_shape", [kernel]) == [kernel], "has another kernel")
        require(first % group == 0, f"has {group} groups of {first} channels")
        require(max(pads) <= (kernel - 1) * span[0], "is padded by more than its kernel")
        require(more[0] < max(stride[0], span[0]), "has an output padding of a stride or more")
        n_out = second * group if is_transposed else first
        if types == {FLOAT}:
            if inputs[2] is not None:
                fixed(inputs[2], (FLOAT,), rank=1)
                require(inputs[2].dims == (n_out,), "has a bias of another length")
            return (Tensor(FLOAT, (x.dims[0], n_out, None)),)
        typed(inputs[2], (x.type,), rank=0)
        fixed(inputs[3], (weight.type,), rank=0)
        return (Tensor(INT32, (x.dims[0], n_out, None)),)

    return result


def cum_sum(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], NUMBERS)
    constant(inputs[1], WHOLE, rank=0, least=-x.rank, most=x.rank - 1)
    return (Tensor(x.type, x.dims),)


def dequantize(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], BYTES)
    fixed(inputs[1], (FLOAT,), rank=0)
    fixed(inputs[2], (x.type,), rank=0)
    return (Tensor(FLOAT, x.dims),)


def quantize(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,))
    return (Tensor(UINT8, x.dims), Tensor(FLOAT, ()), Tensor(UINT8, ()))


def gather(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, where = typed(inputs[0], ANY), typed(inputs[1], WHOLE)
    axis = _axis(attributes, x.rank)
    return (Tensor(x.type, (*x.dims[:axis], *where.dims, *x.dims[axis + 1 :])),)


def normalization(n_inputs: int) -> Callable[..., Sequence[Tensor]]:
    """Of the sum of ``n_inputs`` over the last axis, scaled and moved."""

    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        x, *others = inputs[:n_inputs]
        typed(x, (FLOAT,))
        require(x.rank > 0, "has an input of rank 0")
        for other in others:
            typed(other, (FLOAT,), rank=x.rank)
        for vector in inputs[n_inputs:]:
            fixed(vector, (FLOAT,), rank=1)
        return (Tensor(FLOAT, x.dims),)

    return result


def fast_gelu(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,))
    require(x.rank > 0, "has an input of rank 0")
    fixed(inputs[1], (FLOAT,), rank=1)
    return (Tensor(FLOAT, x.dims),)


def product(left: Tensor, right: Tensor, type_: int) -> Tensor:
    require(min(left.rank, right.rank) >= 2, "has an input of rank 0 or 1")
    batch = broadcast(left.dims[:-2], right.dims[:-2])
    return Tensor(type_, (*batch, left.dims[-2], right.dims[-1]))


def mat_mul(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    left, right = (typed(tensor, (FLOAT,)) for tensor in inputs)
    for tensor, flag in ((left, "transA"), (right, "transB")):
        require(tensor.rank > 1 or not attributes.get(flag), "transposes a vector")
    found = product(left, right, FLOAT)
    if attributes:  # which of the dimensions are turned, does not matter further on
        found = Tensor(FLOAT, (None,) * found.rank)
    return (found,)


def mat_mul_integer(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    left, right = typed(inputs[0], BYTES), inputs[1]
    fixed(right, BYTES, rank=2)
    typed(inputs[2], (left.type,), rank=0)
    fixed(inputs[3], (right.type,))
    require(inputs[3].dims in ((), (1,), right.dims[1:]), "has other zero points than columns")
    return (product(left, right, INT32),)


def non_zero(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], NUMBERS | {BOOL})
    require(x.rank > 0, "has an input of rank 0")
    return (Tensor(INT64, (x.rank, None)),)


def pad(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,), rank=3)
    pads = constant(inputs[1], (INT64,), rank=1, least=0, most=LARGEST)
    require(pads.size == 2 * x.rank, "has other padding than dimensions")
    return (Tensor(FLOAT, tuple(
        size if pads[i] == pads[i + x.rank] == 0 else None for i, size in enumerate(x.dims)
    )),)  # fmt: skip


def counted(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    start, limit, step = inputs
    fixed(start, WHOLE, rank=0)
    constant(step, (start.type,), rank=0, least=1, most=LARGEST)
    typed(limit, (start.type,), rank=0)
    return (Tensor(start.type, (None,)),)


def reduction(types: frozenset[int]) -> Callable[..., Sequence[Tensor]]:
    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        x = typed(inputs[0], types)
        axes = range(x.rank) if inputs[1] is None else axes_in(inputs[1], x.rank)
        dims = enumerate(x.dims)
        if attributes.get("keepdims", 1):
            return (Tensor(x.type, tuple(1 if i in axes else size for i, size in dims)),)
        return (Tensor(x.type, tuple(size for i, size in dims if i not in axes)),)

    return result


def resize(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,), rank=3)
    scales = constant(inputs[2], (FLOAT,), rank=1, least=1 / _MOST_SCALE, most=_MOST_SCALE)
    require(scales.size == 3 and scales[0] == scales[1] == 1, "is not one over time")
    return (Tensor(FLOAT, (*x.dims[:2], None)),)


def stft(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    signal, step, window, length = inputs
    typed(signal, (FLOAT,), rank=2)
    constant(step, WHOLE, rank=0, least=1, most=LARGEST)
    fixed(window, (FLOAT,), rank=1)
    size = int(constant(length, WHOLE, rank=0, least=1, most=LARGEST))
    require(window.dims == (size,), "has a window of another length")
    return (Tensor(FLOAT, (signal.dims[0], None, size // 2 + 1, 2)),)


def shape_of(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    return (Tensor(INT64, (inputs[0].rank,)),)


def scatter(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, where, what = inputs
    typed(x, NUMBERS)
    typed(where, (INT64,))
    typed(what, (x.type,))
    require(min(x.rank, where.rank) > 0, "has an input of rank 0")
    return (Tensor(x.type, x.dims),)


def sliced(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, starts, ends, axes, steps = inputs
    typed(x, ANY)
    n = fixed(starts, (INT64,), rank=1).size or 0
    typed(ends, (INT64,), rank=1)
    require(ends.dims == (n,), "has other ends than starts")
    cut = list(range(n)) if axes is None else axes_in(axes, x.rank)
    require(len(cut) == n <= x.rank, "has other axes than starts")
    if steps is not None:
        require(
            constant(steps, (INT64,), rank=1, least=1, most=LARGEST).size == n, "has other steps"
        )
    dims: Dims = tuple(None if i in cut else size for i, size in enumerate(x.dims))
    whole = x.dims[0] if x.rank else None
    if x.rank == 1 and whole is not None and ends.constant is not None:
        # Shapes are cut so; what is left must be known.
        step = 1 if steps is None else int(steps.constant()[0])
        first, last = int(starts.constant()[0]), int(ends.constant()[0])
        dims = (len(range(*slice(first, last, step).indices(whole))),)
    return (Tensor(x.type, dims),)


def split(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], ANY)
    axis = _axis(attributes, x.rank)
    sizes = constant(inputs[1], (INT64,), rank=1, least=0, most=LARGEST)
    return tuple(Tensor(x.type, replaced(x.dims, axis, int(size))) for size in sizes)


def squeeze(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], ANY)
    axes = axes_in(inputs[1], x.rank)
    return (Tensor(x.type, tuple(size for i, size in enumerate(x.dims) if i not in axes)),)


def unsqueeze(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], ANY)
    n = x.rank + (inputs[1].size or 0)
    axes, left = axes_in(inputs[1], n), iter(x.dims)
    return (Tensor(x.type, tuple(1 if i in axes else next(left) for i in range(n))),)


def transpose(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], ANY)
    order = attributes.get("perm", list(range(x.rank))[::-1])
    require(sorted(order) == list(range(x.rank)), "has an order that is none of its axes")
    return (Tensor(x.type, tuple(x.dims[axis] for axis in order)),)


def where(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    choice, x, y = inputs
    typed(choice, (BOOL,))
    typed(x, NUMBERS)
    typed(y, (x.type,))
    return (Tensor(x.type, broadcast(choice.dims, x.dims, y.dims)),)


def lstm(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, weight, again, bias, _, hidden, cell, _, scale, zero, scale_again, zero_again = inputs
    n = 2 if attributes.get("direction") == b"bidirectional" else 1
    size = attributes.get("hidden_size", 0)
    typed(x, (FLOAT,), rank=3)
    for tensor, rows in ((weight, weight.dims[1:2]), (again, (size,))):
        fixed(tensor, (INT8,), rank=3)
        require(tensor.dims == (n, *rows, 4 * size), "has weights of another shape")
    fixed(bias, (FLOAT,), rank=2)
    require(bias.dims == (n, 8 * size), "has a bias of another shape")
    for tensor, types in ((scale, (FLOAT,)), (scale_again, (FLOAT,)), (zero, (INT8,)),
                          (zero_again, (INT8,))):  # fmt: skip
        fixed(tensor, types)
        require(tensor.dims == (n,), "has scales of another shape")
    for state in (hidden, cell):
        typed(state, (FLOAT,), rank=3)
    state_dims = (n, x.dims[1], size)
    return (
        Tensor(FLOAT, (x.dims[0], *state_dims[:1], *state_dims[1:])),
        Tensor(FLOAT, state_dims),
        Tensor(FLOAT, state_dims),
    )
