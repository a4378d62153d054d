"""The rotation on an NVIDIA GPU, if Triton is installed: one kernel, with the formula's bits.

It is an operator of its own: eager torch, `torch.compile` and `torch.export` launch the same
kernel. A kernel that Inductor compiles gets Inductor's options, and would contract products and
sums.
"""

from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from math import ceil, gcd, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from rope_spec import RotateIn
from rope_spec.channels import Channels

from .rotation import Heads, PerPair

HAS_TRITON = find_spec("triton") is not None
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TILE = 512  # pairs for each program, hence 4 for each of its 128 threads
WARPS = 4


def supports(x: Tensor, cos: Tensor, sin: Tensor) -> bool:
    """Whether the kernel computes this rotation; all else is left to the formula."""
    if not (HAS_TRITON and _is_nvidia(x)) or is_traceable_wrapper_subclass(x):  # a DTensor is one
        return False
    if not torch.compiler.is_compiling() and torch.jit.is_tracing():  # pyright: ignore
        return False
    return all(t.dtype in DTYPES and t.device == x.device for t in (x, cos, sin))


def _is_nvidia(x: Tensor) -> bool:
    return x.is_cuda and torch.version.hip is None


def rotate_pairs_in_kernel(
    x: Heads, cos: PerPair, sin: PerPair, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """`rope_torch.rotation.rotate_pairs` as one kernel; y lies in memory as x does."""
    place = channels.start, channels.read_blocks, channels.write_blocks
    return rotate_on_gpu(x, cos, sin, *place, rotate_in == "input")


def launch(
    x: Heads, cos: PerPair, sin: PerPair, start: int, read: int, write: int, round_each: bool
) -> Heads:
    """The operator on tensors that hold numbers."""
    from .triton_kernel import rotate_kernel

    y = torch.empty_like(x)
    if x.numel() == 0:
        return y
    layouts = ((t.shape, t.stride()) for t in (y, x, cos, sin))
    programs, arguments = _arguments(TILE, start, read, write, round_each, *layouts)
    kernel: Any = rotate_kernel
    with torch.cuda.device_of(x):
        kernel[programs,](y, x, cos, sin, *arguments, num_warps=WARPS, enable_fp_fusion=False)
    return y


OPERATOR = "rope_torch::rotate"
SCHEMA = "(Tensor x, Tensor cos, Tensor sin, int start, int read, int write, bool round_each)"
torch.library.define(OPERATOR, SCHEMA + " -> Tensor", tags=torch.Tag.pt2_compliant_tag)
torch.library.impl(OPERATOR, "CUDA", launch)
torch.library.register_fake(OPERATOR, lambda x, *_: torch.empty_like(x))
rotate_on_gpu = torch.ops.rope_torch.rotate.default


Strided = tuple[tuple[int, ...], tuple[int, ...]]  # shape and strides


class Axis(NamedTuple):
    """An axis of x before the channels: its length, and the strides there of y, x, cos and sin."""

    length: int
    y: int
    x: int
    cos: int
    sin: int


@lru_cache(maxsize=2**10)  # a pure function: launching has to take less time than the kernel
def _arguments(
    size: int, start: int, read: int, write: int, round_each: bool, *layouts: Strided
) -> tuple[int, tuple[Any, ...]]:
    """The number of programs, and the arguments of the kernel after its arrays."""
    (shape, _), _, (cos_shape, _), _ = layouts
    pairs = cos_shape[-1]
    tile = max(1, size // _power_of_2(pairs)), _power_of_2(pairs)
    rows, repeats, others = _rows(_merged(_axes(*layouts)))
    lengths, y, x, cos, sin = zip(rows, *others, strict=True)
    units = gcd(16, *y, *x), gcd(16, *cos, *sin)
    scaled = (
        tuple(stride // unit for stride in strides)
        for strides, unit in ((y, units[0]), (x, units[0]), (cos, units[1]), (sin, units[1]))
    )
    channels = tuple(strides[-1] for _, strides in layouts)
    constants = units, channels, shape[-1], start, pairs, read, write, round_each, tile
    programs = ceil(rows.length / tile[0]) * prod(lengths[1:])
    return programs, (lengths, *scaled, repeats, *constants)


def _axes(*layouts: Strided) -> list[Axis]:
    """The axes before the channels, along which an array may be repeated."""
    before = layouts[0][0][:-1]
    for shape, _ in layouts:
        if torch.broadcast_shapes(shape[:-1], before) != before:
            raise ValueError(f"rope_torch::rotate: got cos or sin of shape {shape} for x {before}.")
    strides = (
        [0] * (len(before) + 1 - len(shape))
        + [0 if n == 1 else stride for n, stride in zip(shape[:-1], stride_of, strict=False)]
        for shape, stride_of in layouts
    )
    return list(map(Axis, before, *strides))


def _merged(axes: Iterable[Axis]) -> list[Axis]:
    """Sort the axes by y's stride, and merge neighbours that are contiguous in every array."""
    merged: list[Axis] = []
    for axis in sorted((axis for axis in axes if axis.length > 1), key=lambda axis: -axis.y):
        if merged and merged[-1][1:] == tuple(axis.length * stride for stride in axis[1:]):
            axis = axis._replace(length=axis.length * merged.pop().length)
        merged.append(axis)
    return merged


def _rows(axes: list[Axis]) -> tuple[Axis, int, list[Axis]]:
    """The innermost axis, how often cos and sin are repeated in it, and the other axes inside out.

    If the heads are the inner axis, position and head become one axis of rows: a program then reads
    cos and sin once for all heads of a position.
    """
    *others, inner = axes or [Axis(1, 0, 0, 0, 0)]
    outer = others[-1] if others else inner
    walks_both = outer[1:3] == (inner.length * inner.y, inner.length * inner.x)
    if not walks_both or inner.cos or inner.sin:
        return inner, 1, others[::-1]
    rows = Axis(outer.length * inner.length, inner.y, inner.x, outer.cos, outer.sin)
    return rows, inner.length, others[-2::-1]


def _power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length()
