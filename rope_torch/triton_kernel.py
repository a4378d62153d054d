"""The rotation as one Triton kernel: x is read once and y is written once, whatever their strides.

`rope_torch.gpu` launches it with `enable_fp_fusion=False`: no product is contracted with a sum, so
that the bits are those of `rope_torch.rotation.rotate_pairs`.

A tile has R rows by P pairs. Both are powers of 2, and what is beyond the arrays is masked.
Strides count units of a constant number of elements, so that the compiler knows which vectors are
aligned; offsets have 64 bits.
"""

import triton
import triton.language as tl


@triton.jit
def rotate_kernel(
    y,
    x,
    cos,
    sin,
    lengths,  # of the axis of rows, and of the outer axes, innermost first
    y_strides,  # the same axes
    x_strides,
    cos_strides,
    sin_strides,
    repeats,  # consecutive rows of x that share a row of cos and sin
    units: tl.constexpr,  # of the strides of x and y, and of cos and sin
    channel_strides: tl.constexpr,  # of y, x, cos and sin
    head_dim: tl.constexpr,
    start: tl.constexpr,
    pairs: tl.constexpr,
    read: tl.constexpr,  # number of blocks
    write: tl.constexpr,
    round_each: tl.constexpr,  # to the dtype of x, products too
    tile: tl.constexpr,  # R and P
):
    """Rotate R rows: a row is one head at one position."""
    blocks = tl.cdiv(lengths[0], tile[0])
    row = tl.program_id(0) % blocks * tile[0] + tl.arange(0, tile[0])[:, None]
    others, inside = tl.program_id(0) // blocks, row < lengths[0]
    y += _offsets(row, others, lengths, y_strides) * units[0]
    x += _offsets(row, others, lengths, x_strides) * units[0]
    cos += _offsets(row // repeats, others, lengths, cos_strides) * units[1]
    sin += _offsets(row // repeats, others, lengths, sin_strides) * units[1]
    pair = tl.arange(0, tile[1])[None, :].to(tl.int64)
    some = inside & (pair < pairs)
    c = tl.load(cos + pair * channel_strides[2], mask=some).to(tl.float32)
    s = tl.load(sin + pair * channel_strides[3], mask=some).to(tl.float32)
    c, s = _rounded(c, x, round_each), _rounded(s, x, round_each)
    a, b = _load(x, inside, channel_strides[1], start, pairs, read, tile[1])
    a, b = a.to(tl.float32), b.to(tl.float32)
    y_a = _rounded(a * c, x, round_each) - _rounded(b * s, x, round_each)
    y_b = _rounded(b * c, x, round_each) + _rounded(a * s, x, round_each)
    _store(y, y_a, y_b, inside, channel_strides[0], start, pairs, write, tile[1])
    if head_dim > 2 * pairs:
        _copy_rest(y, x, inside, channel_strides, head_dim, start, pairs)


@triton.jit
def _offsets(row, others, lengths, strides):
    """The offset of each row, in units; `others` is the index in the outer axes, inner first."""
    offsets = row * tl.cast(strides[0], tl.int64)
    for axis in tl.static_range(1, len(strides)):
        offsets += others % lengths[axis] * tl.cast(strides[axis], tl.int64)
        others //= lengths[axis]
    return offsets


@triton.jit
def _rounded(t, x, round_each: tl.constexpr):
    return t.to(x.dtype.element_ty).to(tl.float32) if round_each else t


@triton.jit
def _first_channels(
    start: tl.constexpr, pairs: tl.constexpr, blocks: tl.constexpr, P: tl.constexpr
):
    """The first channel of each pair, `(1, P)`; the second is `pairs // blocks` further on."""
    pair = tl.arange(0, P)[None, :].to(tl.int64)
    if blocks > 1:
        pair += pair // (pairs // blocks) * (pairs // blocks)
    return start + pair


@triton.jit
def _load(
    x,
    inside,
    stride: tl.constexpr,
    start: tl.constexpr,
    pairs: tl.constexpr,
    blocks: tl.constexpr,
    P: tl.constexpr,
):
    """The two channels of each pair, `(R, P)` each; neighbours are loaded as one vector."""
    if blocks == pairs:
        at = tl.arange(0, 2 * P)[None, :].to(tl.int64)
        both = tl.load(x + (start + at) * stride, mask=inside & (at < 2 * pairs))
        return tl.split(both.reshape(both.shape[0], P, 2))
    mask = inside & (tl.arange(0, P)[None, :] < pairs)
    first = x + _first_channels(start, pairs, blocks, P) * stride
    return tl.load(first, mask=mask), tl.load(first + pairs // blocks * stride, mask=mask)


@triton.jit
def _store(
    y,
    a,
    b,
    inside,
    stride: tl.constexpr,
    start: tl.constexpr,
    pairs: tl.constexpr,
    blocks: tl.constexpr,
    P: tl.constexpr,
):
    a, b = a.to(y.dtype.element_ty), b.to(y.dtype.element_ty)
    if blocks == pairs:
        at = tl.arange(0, 2 * P)[None, :].to(tl.int64)
        both = tl.join(a, b).reshape(a.shape[0], 2 * P)
        tl.store(y + (start + at) * stride, both, mask=inside & (at < 2 * pairs))
    else:
        mask = inside & (tl.arange(0, P)[None, :] < pairs)
        first = y + _first_channels(start, pairs, blocks, P) * stride
        tl.store(first, a, mask=mask)
        tl.store(first + pairs // blocks * stride, b, mask=mask)


@triton.jit
def _copy_rest(
    y,
    x,
    inside,
    strides: tl.constexpr,
    head_dim: tl.constexpr,
    start: tl.constexpr,
    pairs: tl.constexpr,
):
    """The channels before and after the rotated ones."""
    rest: tl.constexpr = head_dim - 2 * pairs
    at = tl.arange(0, triton.next_power_of_2(rest))[None, :].to(tl.int64)
    channel = at + tl.where(at < start, 0, 2 * pairs)
    mask = inside & (at < rest)
    tl.store(y + channel * strides[0], tl.load(x + channel * strides[1], mask=mask), mask=mask)
