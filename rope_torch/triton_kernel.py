"""The rotation as one Triton kernel: x is read once and y is written once, whatever their strides.

`rope_torch.gpu` launches it with `enable_fp_fusion=False`: no product is contracted with a sum, so
that the bits are those of `rope_torch.rotation.rotate_pairs`.

A tile has R positions by P pairs. Both are powers of 2, and what is beyond the arrays is masked.
Strides count units of a constant number of elements, so that the compiler knows which vectors are
aligned; offsets have 64 bits.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["heads_each"])  # no compilation for each of its values
def rotate_kernel(
    y,
    x,
    cos,
    sin,
    lengths,  # of the axes before the channels: positions, heads, and any others
    y_strides,  # the same axes
    x_strides,
    cos_strides,
    sin_strides,
    heads_each,  # that a program rotates
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
    """Rotate R positions of several heads, for which cos and sin are read once."""
    row, head, batch = _place(lengths, heads_each, tile[0])
    inside = (row < lengths[0])[:, None]
    y += _offsets(row, batch, lengths, y_strides) * units[0]
    x += _offsets(row, batch, lengths, x_strides) * units[0]
    cos += _offsets(row, batch, lengths, cos_strides) * units[1]
    sin += _offsets(row, batch, lengths, sin_strides) * units[1]
    at = tl.arange(0, tile[1])[None, :].to(tl.int64)
    some = inside & (at < pairs)
    c = tl.load(cos + at * channel_strides[2], mask=some).to(tl.float32)
    s = tl.load(sin + at * channel_strides[3], mask=some).to(tl.float32)
    c, s = _rounded(c, x, round_each), _rounded(s, x, round_each)
    for i in range(head, tl.minimum(head + heads_each, lengths[1])):
        x_head = x + i * tl.cast(x_strides[1], tl.int64) * units[0]
        y_head = y + i * tl.cast(y_strides[1], tl.int64) * units[0]
        a, b = _load(x_head, inside, channel_strides[1], start, pairs, read, tile[1])
        a, b = a.to(tl.float32), b.to(tl.float32)
        y_a = _rounded(a * c, x, round_each) - _rounded(b * s, x, round_each)
        y_b = _rounded(b * c, x, round_each) + _rounded(a * s, x, round_each)
        _store(y_head, y_a, y_b, inside, channel_strides[0], start, pairs, write, tile[1])
        if head_dim > 2 * pairs:
            _copy_rest(y_head, x_head, inside, channel_strides, head_dim, start, pairs)


@triton.jit
def _place(lengths, heads_each, R: tl.constexpr):
    """The positions of a program, its first head, and its index in the other axes."""
    row_blocks, head_blocks = tl.cdiv(lengths[0], R), tl.cdiv(lengths[1], heads_each)
    program = tl.program_id(0)
    row = program % row_blocks * R + tl.arange(0, R)
    head = program // row_blocks % head_blocks * heads_each
    return row, head, program // row_blocks // head_blocks


@triton.jit
def _offsets(row, batch, lengths, strides):
    """Of the first channel of each position, `(R, 1)`, in units."""
    offsets = row[:, None] * tl.cast(strides[0], tl.int64)
    for axis in tl.static_range(2, len(strides)):
        offsets += batch % lengths[axis] * tl.cast(strides[axis], tl.int64)
        batch //= lengths[axis]
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
