"""The rotation on an NVIDIA GPU, where Triton is installed: one kernel, with the formula's bits.

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

from .rotation import Half, Heads

HAS_TRITON = find_spec("triton") is not None
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TILE, WARPS = 512, 4  # of a program, which is 4 pairs of channels for each thread: see benchmarks


def takes(x: Tensor, cos: Tensor, sin: Tensor) -> bool:
    """Whether the kernel computes this rotation; all else is left to the formula."""
    if not (HAS_TRITON and _is_nvidia(x)) or is_traceable_wrapper_subclass(x):  # a DTensor is one
        return False
    if not torch.compiler.is_compiling() and torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return False
    return all(t.dtype in DTYPES and t.device == x.device for t in (x, cos, sin))


def _is_nvidia(x: Tensor) -> bool:
    return x.is_cuda and torch.version.hip is None


def rotate_pairs_in_kernel(
    x: Heads, cos: Half, sin: Half, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """`rope_torch.rotation.rotate_pairs` as one kernel; y lies in memory as x does."""
    place = channels.start, channels.read, channels.write
    return torch.ops.rope_torch.rotate(x, cos, sin, *place, rotate_in == "input")


def launch(
    x: Heads, cos: Half, sin: Half, start: int, read: int, write: int, round_each: bool
) -> Heads:
    """The operator on tensors that hold numbers."""
    from .triton_kernel import rotate_kernel

    y, pairs = torch.empty_like(x), cos.shape[-1]
    if x.numel() == 0:
        return y
    arrays = y, x, *(t.expand(*x.shape[:-1], pairs) for t in (cos, sin))
    tile = max(1, TILE // _power_of_2(pairs)), _power_of_2(pairs)
    programs, *axes = _plan(tile[0], x.shape[:-1], *(t.stride()[:-1] for t in arrays))
    strides = tuple(t.stride(-1) for t in arrays)
    constants = strides, x.shape[-1], start, pairs, read, write, round_each, tile
    options = {"num_warps": WARPS, "enable_fp_fusion": False}
    kernel: Any = rotate_kernel
    with torch.cuda.device_of(x):
        kernel[programs,](*arrays, *axes, *constants, **options)
    return y


OPERATOR = "rope_torch::rotate"
SCHEMA = "(Tensor x, Tensor cos, Tensor sin, int start, int read, int write, bool round_each)"
torch.library.define(OPERATOR, SCHEMA + " -> Tensor", tags=torch.Tag.pt2_compliant_tag)
torch.library.impl(OPERATOR, "CUDA", launch)
torch.library.register_fake(OPERATOR, lambda x, *_: torch.empty_like(x))


class Axis(NamedTuple):
    """An axis of x before the channels: its length, and the strides there of y, x, cos and sin."""

    length: int
    y: int
    x: int
    cos: int
    sin: int


@lru_cache(maxsize=2**10)  # a pure function, and 20 us in each call
def _plan(tile_rows: int, shape: tuple[int, ...], *strides: tuple[int, ...]) -> tuple[Any, ...]:
    """The number of programs, and what the kernel is told: lengths, strides, repeats, units."""
    rows, repeats, others = _rows(_merged(map(Axis, shape, *strides)))
    lengths, y, x, cos, sin = zip(rows, *others, strict=True)
    of_x, of_table = gcd(16, *y, *x), gcd(16, *cos, *sin)
    y, x = (tuple(n // of_x for n in t) for t in (y, x))
    cos, sin = (tuple(n // of_table for n in t) for t in (cos, sin))
    programs = ceil(rows.length / tile_rows) * prod(lengths[1:])
    return programs, lengths, y, x, cos, sin, repeats, (of_x, of_table)


def _merged(axes: Iterable[Axis]) -> list[Axis]:
    """In the order of y in memory; two that every array can walk as one are one."""
    merged: list[Axis] = []
    for axis in sorted((axis for axis in axes if axis.length > 1), key=lambda axis: -axis.y):
        if merged and merged[-1][1:] == tuple(axis.length * stride for stride in axis[1:]):
            axis = axis._replace(length=axis.length * merged.pop().length)
        merged.append(axis)
    return merged


def _rows(axes: list[Axis]) -> tuple[Axis, int, list[Axis]]:
    """The innermost axis, how often cos and sin are repeated in it, and the other axes inside out.

    Heads that lie inside positions are rows with them: so a program reads and writes one piece of
    memory, and cos and sin once for the heads.
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
