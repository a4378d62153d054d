"""Chunks of arrays, scratch arrays of their shape, and the views that a chunk is worked on by."""

from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor

Views = Callable[[Tensor], Iterable[Tensor]]


def outermost_first(y: Tensor, *others: Tensor) -> Iterable[Tensor]:
    """Axes in the order of y in memory, none of length 1: a chunk is then one piece of memory."""
    shape, stride, arrays = y.shape[:-1], y.stride(), (y, *others)
    axes = sorted(range(y.ndim - 1), key=lambda axis: (shape[axis] > 1, -stride[axis]))
    ones = shape.count(1)
    if axes != list(range(y.ndim - 1)):
        arrays = [t.permute(*axes, -1) for t in arrays]
    return [t.flatten(0, ones) for t in arrays] if ones else arrays


def chunks(size: int, *arrays: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Slices along the leading axes, of at most `size` numbers of the first array, or a row of it.

    Where an array has length 1 in such an axis, it is repeated.
    """
    first, length = arrays[0], len(arrays[0])
    row = first.numel() // length
    if first.numel() <= size or first.ndim == 1:
        return (arrays,)
    if row <= size:
        parts = (repeat(t) if len(t) < length else t.split(size // row) for t in arrays)
        return zip(*parts, strict=False)
    rows = (repeat(t[0]) if len(t) < length else t.unbind() for t in arrays)
    return chain.from_iterable(chunks(size, *part) for part in zip(*rows, strict=False))


def scratch(dtype: torch.dtype, views: Views) -> Callable[[torch.Size], tuple[Any, ...]]:
    """An array for each shape of a chunk, and its views: what the last chunk wrote is in cache."""

    @cache
    def of_shape(shape: torch.Size) -> tuple[Any, ...]:
        array = torch.empty(shape, dtype=dtype, device="cpu")
        return array, *views(array)

    return of_shape


def lies_even(x: Tensor) -> bool:
    """Whether two neighbours can be seen as one number of twice the width."""
    return x.stride(-1) == 1 and not any(n % 2 for n in (*x.stride()[:-1], x.storage_offset()))


def as_complex(x: Tensor, blocks: int) -> Tensor:
    """`x_a + i x_b` where x is interleaved float32 and lies evenly; else x itself."""
    if x.dtype != torch.float32 or 2 * blocks != x.shape[-1] or not lies_even(x):
        return x
    return torch.view_as_complex(x.unflatten(-1, (blocks, 2)))
