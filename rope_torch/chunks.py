"""Chunks of arrays, scratch arrays of their shape, and complex numbers in place of pairs."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain, repeat

import torch
from torch import Tensor

from .rotation import as_pairs, split

Views = Callable[[Tensor], Iterable[Tensor]]


def outermost_first(y: Tensor, *others: Tensor) -> Sequence[Tensor]:
    """Permute all arrays so that the axes of y are in memory order, and drop axes of length 1.

    A chunk of y is then contiguous.
    """
    shape, stride, arrays = y.shape[:-1], y.stride(), (y, *others)
    axes = sorted(range(y.ndim - 1), key=lambda axis: (shape[axis] > 1, -stride[axis]))
    ones = shape.count(1)
    if axes != list(range(y.ndim - 1)):
        arrays = [t.permute(*axes, -1) for t in arrays]
    return [t.flatten(0, ones) for t in arrays] if ones else arrays


def chunks(size: int, *arrays: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Slices along the leading axes, of at most `size` numbers of the first array, or one row.

    An array of length 1 on such an axis is repeated.
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


def scratch(dtype: torch.dtype, views: Views) -> Callable[[torch.Size], tuple[Tensor, ...]]:
    """A function from the shape of a chunk to an array for it, and views of that array.

    It returns the same array for the same shape, which the last chunk has left in the CPU's cache.
    """

    @cache
    def of_shape(shape: torch.Size) -> tuple[Tensor, ...]:
        array = torch.empty(shape, dtype=dtype, device="cpu")
        return array, *views(array)

    return of_shape


def can_view_pairs(x: Tensor) -> bool:
    """Whether neighbouring channels can be viewed as one number of twice the width."""
    return x.stride(-1) == 1 and not any(n % 2 for n in (*x.stride()[:-1], x.storage_offset()))


def as_complex(x: Tensor, blocks: int) -> Tensor:
    """`x_a + i x_b` if x is interleaved float32 and its pairs can be viewed; else x itself."""
    if x.dtype != torch.float32 or 2 * blocks != x.shape[-1] or not can_view_pairs(x):
        return x
    return torch.view_as_complex(x.unflatten(-1, (blocks, 2)))


def copy_to_interleaved(x: Tensor, blocks: int, numbers: Tensor, complex_view: Tensor) -> None:
    """Copy x to interleaved float32 `numbers`, of which `complex_view` is a view."""
    if 2 * blocks == x.shape[-1]:
        numbers.copy_(x)
    else:
        torch.complex(*(channel.float() for channel in split(x, blocks)), out=complex_view)


def copy_from_interleaved(numbers: Tensor, y: Tensor, blocks: int) -> None:
    """Copy interleaved float32 to y.

    Both channels of a pair are taken out of one integer of twice the width, since torch copies
    strided numbers one at a time.
    """
    if 2 * blocks == y.shape[-1]:
        y.copy_(numbers)
        return
    integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    narrow, wide = (integers[width * y.dtype.itemsize] for width in (1, 2))
    words = numbers.to(y.dtype).view(wide).unflatten(-1, (blocks, -1))
    a, b = as_pairs(y.view(narrow), blocks).unbind(-2)
    a.copy_(words)  # the lower half: the first channel, as on any little-endian CPU
    b.copy_(words.bitwise_right_shift_(8 * y.dtype.itemsize))
