"""The rotation on a CPU without a compiler: few passes over memory, in chunks that stay in its cache; the formula's bits."""

import platform
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor

from rope_spec import RotateIn

from .rotation import Half, Heads, as_pairs, channels, inside, join, rotate_pairs

CHUNK = 2**21  # bytes that are worked on at once, in the dtype of the arithmetic: with what lies between they stay in cache
Chunks = Iterable[tuple[Any, ...]]


def rotate_pairs_in_chunks(x: Heads, cos: Half, sin: Half, start: int, read: int, write: int, rotate_in: RotateIn) -> Heads:
    """`rope_torch.rotation.rotate_pairs` in the form that takes least for its layout and dtype."""
    dtype, rotated = inside(x.dtype, rotate_in), slice(start, start + 2 * cos.shape[-1])
    x = x if x.stride(-1) == 1 else x.contiguous()
    y = torch.empty_like(x) if 2 * cos.shape[-1] == x.shape[-1] else x.clone()
    cos, sin = (t.to(dtype)[(None,) * (x.ndim - t.ndim)] for t in (cos, sin))
    if x.numel() > 0:
        _rotate_into(y[..., rotated], x[..., rotated], cos, sin, read, write, rotate_in)
    return y


def _rotate_into(y: Tensor, x: Tensor, cos: Tensor, sin: Tensor, read: int, write: int, rotate_in: RotateIn) -> None:
    pairs, dtype, size = cos.shape[-1], cos.dtype, CHUNK // cos.dtype.itemsize
    if dtype == torch.float32 and pairs in (read, write):
        whole = read == write and x.dtype == dtype  # nothing lies between x and y that a cache could keep
        arrays = x, y, torch.complex(cos, sin), _as_complex(x, read), _as_complex(y, write)
        parts = list(_chunks(x.numel() if whole else size, *arrays))
        if all(_rounds_each_product(part) for part, *_ in parts):
            return _turn(parts, read, write)
    if read != write:
        parts = _chunks(size, x, y, cos, sin)
        for x, y, cos, sin in parts:
            y.copy_(rotate_pairs(x, cos, sin, 0, read, write, rotate_in))
    elif dtype.itemsize == 2 and read == pairs:
        _exchange(_chunks(size, x, y, join(cos, cos, read), join(-sin, sin, read)))
    else:
        cos, sin = join(cos, cos, read), join(sin, sin, read)
        _swap(_chunks(size, x, y, *as_pairs(y, read).unbind(-2), cos, sin), dtype, read)


def _swap(parts: Chunks, dtype: torch.dtype, blocks: int) -> None:
    """Both products with contiguous operands; then the second one, taken crosswise, is added to the first."""
    wide, across = _memory(dtype, blocks), _memory(dtype, blocks)
    for x, y, a, b, cos, sin in parts:
        first, second, second_a, second_b = y, *across(x.shape)
        if x.dtype != dtype:
            first, a, b = wide(x.shape)
            x = first.copy_(x)
        torch.mul(x, sin, out=second)
        torch.mul(x, cos, out=first)
        a.sub_(second_b)
        b.add_(second_a)
        if first is not y:
            y.copy_(first)


def _exchange(parts: Chunks) -> None:
    """Interleaved channels of 16 bits: the two of a pair are exchanged first, as integers of twice the width.

    Here sin is `(-sin, sin)`: adding a negative number has the bits of subtracting. What lies between has no name, so that the
    next chunk finds its memory in cache.
    """
    for x, y, cos, sin in parts:
        both = (x if _lies_even(x) else x.clone(memory_format=torch.contiguous_format)).view(torch.int32)
        torch.mul(x, cos, out=y)
        y.add_((both.bitwise_right_shift(16).bitwise_and_(2**16 - 1).bitwise_or_(both << 16)).view(x.dtype).mul_(sin))


def _turn(parts: Chunks, read: int, write: int) -> None:
    """As complex numbers of float32, `(x_a + i x_b) (cos + i sin)`, where torch rounds as we do."""

    @cache
    def between(shape: torch.Size) -> tuple[Tensor, Tensor]:
        numbers = torch.empty(shape)
        return numbers, torch.view_as_complex(numbers.unflatten(-1, (-1, 2)))

    for x, y, turn, source, target in parts:
        if source is None:
            numbers, source = between(x.shape)
            if 2 * read == x.shape[-1]:
                numbers.copy_(x)
            else:
                torch.complex(*(channel.float() for channel in channels(x, read)), out=source)
        if target is None:
            numbers, product = between(x.shape)
            torch.mul(source, turn, out=product)
            y.copy_(numbers) if 2 * write == x.shape[-1] else _separate(y, numbers.to(y.dtype), write)
        else:
            torch.mul(source, turn, out=target)


def _separate(y: Tensor, x: Tensor, blocks: int) -> None:
    """Interleaved channels to others, as integers of twice the width, and x is spent: torch copies strided numbers singly."""
    one, two = {2: (torch.int16, torch.int32), 4: (torch.int32, torch.int64)}[x.dtype.itemsize]
    both = x.view(two).unflatten(-1, (blocks, -1))
    a, b = as_pairs(y.view(one), blocks).unbind(-2)
    a.copy_(both)  # the lower half
    b.copy_(both.bitwise_right_shift_(8 * x.dtype.itemsize))


def _lies_even(x: Tensor) -> bool:
    """Whether two neighbours can be seen as one number of twice the width."""
    return x.stride(-1) == 1 and not any(n % 2 for n in (*x.stride()[:-1], x.storage_offset()))


def _as_complex(x: Tensor, blocks: int) -> Tensor | None:
    """Interleaved channels of float32 as they lie, `x_a + i x_b`; None for others, and where their addresses are odd."""
    if x.dtype != torch.float32 or 2 * blocks != x.shape[-1] or not _lies_even(x):
        return None
    return torch.view_as_complex(x.unflatten(-1, (blocks, 2)))


def _rounds_each_product(x: Tensor) -> bool:
    """Whether the complex product has the bits of two products and a sum of them.

    On x86 torch's vector loop has, over 16 numbers at a time, but what is left over is contracted to fused multiply-adds: so
    the share of each thread has to be a multiple of 16, rows of any stride too.
    """
    numbers = x.numel() // 2
    threads = max(1, min(torch.get_num_threads(), -(-numbers // 32768)))
    return platform.machine() in ("x86_64", "AMD64") and x.shape[-1] % 32 == 0 and numbers % (16 * threads) == 0


def _memory(dtype: torch.dtype, blocks: int) -> Callable[[torch.Size], tuple[Tensor, ...]]:
    """An array for each shape of a chunk, and its two channels: what the chunk before wrote there is still in cache."""

    @cache
    def of(shape: torch.Size) -> tuple[Tensor, ...]:
        array = torch.empty(shape, dtype=dtype)
        return array, *as_pairs(array, blocks).unbind(-2)

    return of


def _chunks(size: int, x: Tensor, *others: Tensor | None) -> Chunks:
    """Slices of x, of at most `size` numbers, and of others that have its leading axes, or 1 in their place."""
    axis = next((axis for axis in range(x.ndim - 1) if x.shape[axis] > 1), None)
    if x.numel() <= size or axis is None:
        return [(x, *others)]
    row = x.numel() // x.shape[axis]
    slices = [repeat(t) if t is None or t.shape[axis] == 1 else t.split(max(1, size // row), axis) for t in (x, *others)]
    parts = zip(*slices, strict=False)
    return parts if row <= size else chain.from_iterable(_chunks(size, *part) for part in parts)
