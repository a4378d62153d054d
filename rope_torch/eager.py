"""The rotation on a CPU without a compiler: the formula's bits, in chunks that stay in cache."""

from collections.abc import Callable

import torch
from torch import Tensor

from rope_spec import RotateIn
from rope_spec.channels import Channels

from .chunks import (
    as_complex,
    can_view_pairs,
    chunks,
    copy_from_interleaved,
    copy_to_interleaved,
    outermost_first,
    scratch,
)
from .complex_product import has_bits_of_formula
from .rotation import Heads, PerPair, as_pairs, compute_dtype, join, rotate_pairs

CHUNK = 2**21  # bytes in the dtype of the arithmetic: a chunk and its temporaries stay in cache
NO_SCRATCH_CHUNK = 2**25  # bytes, where there are no temporaries: large, as each chunk has a trial
Form = Callable[..., bool]  # of y, x, cos, sin, read, write


def rotate_pairs_in_chunks(
    x: Heads, cos: PerPair, sin: PerPair, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """`rotation.rotate_pairs` in the fastest form there is; cos and sin have all axes of x."""
    dtype, rotated = compute_dtype(x.dtype, rotate_in), channels.rotated(cos.shape[-1])
    x = (x if x.stride(-1) == 1 and 0 not in x.stride() else x.contiguous()).resolve_neg()
    y = torch.empty_like(x) if 2 * cos.shape[-1] == x.shape[-1] else x.clone()
    if x.numel() > 0:
        operands = x[..., rotated], cos.to(dtype), sin.to(dtype)
        arrays = outermost_first(y[..., rotated], *operands)
        for form in _forms(dtype, cos.shape[-1], channels.read_blocks, channels.write_blocks):
            if form(*arrays, channels.read_blocks, channels.write_blocks):
                break
    return y


def _forms(dtype: torch.dtype, pairs: int, read: int, write: int) -> tuple[Form, ...]:
    """The forms for a layout and a dtype of the arithmetic, fastest first.

    Each form fills y and returns True, or returns False and leaves y to the next. The last one
    always fills it.
    """
    interleaved = pairs in (read, write)  # as many blocks as pairs
    if dtype == torch.float32 and interleaved:
        return (_complex_product, _complex_copy, _exchange if read == write else _formula)
    if read != write:
        return (_formula,)
    return (_swap_words,) if dtype.itemsize == 2 and interleaved else (_exchange,)


def _formula(y: Tensor, x: Tensor, cos: Tensor, sin: Tensor, read: int, write: int) -> bool:
    """The formula, chunk by chunk."""
    rotate_in = "input" if x.dtype == cos.dtype else "float32"  # cos has the dtype to compute in
    channels = Channels(0, read, write)
    parts = chunks(CHUNK // cos.dtype.itemsize, y, x, cos, sin)
    for y, x, cos, sin in parts:
        y.copy_(rotate_pairs(x, cos, sin, channels, rotate_in))
    return True


def _exchange(y: Tensor, x: Tensor, cos: Tensor, sin: Tensor, read: int, write: int) -> bool:
    """All channels are multiplied by cos and by sin; each product by sin goes to the partner."""
    dtype, cos, sin = cos.dtype, join(cos, cos, read), join(sin, sin, read)
    both_channels = lambda t: as_pairs(t, read).unbind(-2)
    wide_scratch, product_scratch = scratch(dtype, both_channels), scratch(dtype, both_channels)
    parts = chunks(CHUNK // dtype.itemsize, y, x, *both_channels(y), cos, sin)
    for y, x, a, b, cos, sin in parts:
        by_cos, (by_sin, by_sin_a, by_sin_b) = y, product_scratch(x.shape)
        if x.dtype != dtype:
            by_cos, a, b = wide_scratch(x.shape)
            x = by_cos.copy_(x)
        torch.mul(x, sin, out=by_sin)
        torch.mul(x, cos, out=by_cos)
        a.sub_(by_sin_b)
        b.add_(by_sin_a)
        if by_cos is not y:
            y.copy_(by_cos)
    return True


def _swap_words(y: Tensor, x: Tensor, cos: Tensor, sin: Tensor, read: int, write: int) -> bool:
    """Interleaved channels of 16 bits: a pair is swapped first, as the halves of a 32-bit integer.

    `_exchange` moves channels one at a time, and takes 2.5 times as long. To add a product by -sin
    gives the bits of subtracting one by sin. Temporaries stay unnamed, so that the allocator reuses
    cached memory for the next chunk.
    """
    x = x if can_view_pairs(x) else x.clone(memory_format=torch.contiguous_format)
    cos, sin = join(cos, cos, read), join(-sin, sin, read)
    parts = chunks(CHUNK // 2, y, x, x.view(torch.int32), cos, sin)
    for y, x, as_words, cos, sin in parts:
        torch.mul(x, cos, out=y)
        upper = as_words.bitwise_right_shift(16).bitwise_and_(2**16 - 1)
        y.add_(upper.bitwise_or_(as_words << 16).view(x.dtype).mul_(sin))
    return True


def _complex_product(y: Tensor, x: Tensor, cos: Tensor, sin: Tensor, read: int, write: int) -> bool:
    """`(x_a + i x_b) (cos + i sin)` of interleaved float32, if torch's product has our bits."""
    source, target = as_complex(x, read), as_complex(y, write)
    if not (source.is_complex() and target.is_complex()):
        return False
    parts = list(chunks(NO_SCRATCH_CHUNK // 8, source, _rotation(cos, sin), target))
    if not all(has_bits_of_formula(*part) for part in parts):
        return False
    for source, rotation, target in parts:
        torch.mul(source, rotation, out=target)
    return True


def _complex_copy(y: Tensor, x: Tensor, cos: Tensor, sin: Tensor, read: int, write: int) -> bool:
    """`_complex_product` if x or y has another dtype or layout: that one is copied by chunks."""
    source, target = as_complex(x, read), as_complex(y, write)
    gathers, scatters = not source.is_complex(), not target.is_complex()
    views = [t for t in (source, target) if t.is_complex()]
    complex_scratch = scratch(torch.float32, lambda t: [as_complex(t, t.shape[-1] // 2)])
    parts, products, others = chunks(CHUNK // 4, y, x, _rotation(cos, sin), *views), [], []
    for y, x, rotation, *view in parts:
        numbers, complex_view = complex_scratch(x.shape)
        source = complex_view if gathers else view[0]
        target = complex_view if scatters else view[-1]
        products.append((source, rotation, target))
        others.append((y, x, numbers))
    if not all(has_bits_of_formula(*operands) for operands in products):
        return False
    for (source, rotation, target), (y, x, numbers) in zip(products, others, strict=True):
        if gathers:
            copy_to_interleaved(x, read, numbers, source)
        torch.mul(source, rotation, out=target)
        if scatters:
            copy_from_interleaved(numbers, y, write)
    return True


def _rotation(cos: Tensor, sin: Tensor) -> Tensor:
    """`cos + i sin`, contiguous: torch has another loop for strided operands."""
    return torch.complex(cos, sin).contiguous()
