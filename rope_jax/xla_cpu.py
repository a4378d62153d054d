"""The rotation as one loop over memory for XLA's CPU compiler: by index, or by shift.

Four things make the usual code slow there:

- A concatenation or a stack at the end is a loop for each operand, so that x is read twice. Here
  both results are computed for each channel, and one is chosen by index.
- A reshape at the end takes a division for each element. Here it stands outside of the loop.
- A slice of bfloat16 becomes a conversion, a slice and a conversion back. Here bits are sliced.
- What comes before, such as cos and sin, is fused and computed anew for each head. Here the loop is
  a call that XLA is told not to inline. It holds only operations of `lax`: a function that is
  jitted itself, such as `jnp.where`, would be a call inside of it.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

from rope_spec import RotateIn
from rope_spec.channels import Channels

from .rotation import Heads, PerPair, index_along
from .rounding import cpu_arithmetic, from_bits, narrow, to_bits


def rotate_pairs(
    x: Heads, cos: PerPair, sin: PerPair, *, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """`rotation.rotate_pairs`, by index if the rotated width divides the head, else by a shift."""
    if rotate_in == "input":
        cos, sin = cos.astype(x.dtype), sin.astype(x.dtype)
    width = 2 * cos.shape[-1]
    tables = _without_repetition(cos, sin)
    is_slice_of_head = x.shape[-1] % width == channels.start % width == 0
    if is_slice_of_head:
        return _by_index(x, *tables, channels, rotate_in)
    if channels.read_blocks == channels.write_blocks == 1:
        return _by_shift(x, *tables, channels.start, rotate_in)
    rotated = x[..., channels.rotated(width // 2)]
    y = _by_index(rotated, *tables, channels._replace(start=0), rotate_in)
    return lax.dynamic_update_slice_in_dim(x, y, channels.start, axis=-1)


Axes = tuple[int, ...]
Squeezed = Float[Array, "*rows P"]  # cos or sin without axes of length 1
InPairs = Float[Array, "..."]  # x with its pairs as axes: (..., blocks, 2, m), see _pair_shape
Units = Float[Array, "..."]  # x or a table with its channels as (units, channels of a unit)


def _without_repetition(cos: PerPair, sin: PerPair) -> tuple[Squeezed, Squeezed, Axes]:
    """Drop axes of length 1, which XLA would copy; also return the axes of x that remain."""
    cos, sin = jnp.broadcast_arrays(cos, sin)  # vmap may have mapped one of them
    *batch, pairs = cos.shape
    axes = tuple(axis for axis, size in enumerate(batch) if size != 1)
    shape = (*(batch[axis] for axis in axes), pairs)
    return cos.reshape(shape), sin.reshape(shape), axes


def _by_index(
    x: Heads,
    cos: Squeezed,
    sin: Squeezed,
    table_axes: Axes,
    channels: Channels,
    rotate_in: RotateIn,
) -> Heads:
    """The head is cut into slices of the rotated width, and one of them is rotated."""
    *batch, head_dim = x.shape
    width = 2 * cos.shape[-1]
    slices = [head_dim // width] if head_dim > width else []
    rotated_slice = channels.start // width if slices else None
    options = {"table_axes": table_axes, "rotated_slice": rotated_slice, "rotate_in": rotate_in}
    with set_xla_metadata(inlineable="false"):
        pairs = x.reshape(*batch, *slices, *_pair_shape(width, channels.read_blocks))
        y = _loop_by_index(
            pairs, cos, sin, read=channels.read_blocks, write=channels.write_blocks, **options
        )
    return y.reshape(x.shape)


def _pair_shape(width: int, blocks: int) -> list[int]:
    """`(blocks, 2, m)`, without blocks or m where it is 1: XLA copies arrays with such axes."""
    m = width // (2 * blocks)
    return [*[blocks] * (blocks > 1), 2, *[m] * (m > 1)]


@partial(jax.jit, static_argnames=("table_axes", "rotated_slice", "read", "write", "rotate_in"))
def _loop_by_index(
    x: InPairs,
    cos: Squeezed,
    sin: Squeezed,
    *,
    table_axes: Axes,
    rotated_slice: int | None,
    read: int,
    write: int,
    rotate_in: RotateIn,
) -> InPairs:
    """Both results are computed for each channel, and its place in the pair selects one."""
    dtype, round_product = cpu_arithmetic(x.dtype, rotate_in)
    width = 2 * cos.shape[-1]
    batch = x.shape[: x.ndim - len(_pair_shape(width, read))]
    out_shape = (*batch, *_pair_shape(width, write))
    batch_axes, pair_axis = tuple(range(len(batch))), len(batch) + (write > 1)
    other_axes = tuple(axis for axis in range(len(batch), len(out_shape)) if axis != pair_axis)

    def to_both_channels(half: Array, axes: tuple[int, ...]) -> Array:
        """Broadcast one value per pair to both of its channels."""
        shape = (*half.shape[: len(axes)], *(out_shape[axis] for axis in other_axes))
        half = from_bits(half, dtype).reshape(shape)
        return lax.broadcast_in_dim(half, out_shape, (*axes, *other_axes))

    bits, read_axis = to_bits(x), len(batch) + (read > 1)
    a, b = (lax.index_in_dim(bits, i, read_axis, keepdims=False) for i in (0, 1))
    a, b = (to_both_channels(half, batch_axes) for half in (a, b))
    cos, sin = (to_both_channels(to_bits(t), table_axes) for t in (cos, sin))
    first = round_product(a * cos) - round_product(b * sin)
    second = round_product(b * cos) + round_product(a * sin)
    y = lax.select(index_along(pair_axis, first) == 0, first, second)
    if rotated_slice is None:
        return narrow(y, x.dtype)
    is_rotated = index_along(len(batch) - 1, y) == rotated_slice
    y = lax.select(is_rotated, y, from_bits(bits, dtype).reshape(out_shape))
    return y.astype(x.dtype)  # after this choice a cast is faster


def _by_shift(
    x: Heads, cos: Squeezed, sin: Squeezed, table_axes: Axes, start: int, rotate_in: RotateIn
) -> Heads:
    """Halves of a part of the head, as 96 of 128: the partner of a channel is P channels away."""
    unit, trailing = _unit(x.shape[-1], start, cos.shape[-1], rotate_in)
    options = {"table_axes": table_axes, "start": start // unit, "rotate_in": rotate_in}
    with set_xla_metadata(inlineable="false"):
        units = (t.reshape(*t.shape[:-1], t.shape[-1] // unit, *trailing) for t in (x, cos, sin))
        return _loop_by_shift(*units, **options).reshape(x.shape)


def _unit(head_dim: int, start: int, pairs: int, rotate_in: RotateIn) -> tuple[int, list[int]]:
    """How many channels move together, and an axis for them: a multiple of 16 in float32, else 1.

    XLA vectorises the loop over the channels of a unit. It unrolls the loop over the units, so that
    the selects by their index become constants.
    """
    unit = math.gcd(head_dim, start, pairs)
    return (unit, [unit]) if unit % 16 == 0 and pairs > 16 and rotate_in == "float32" else (1, [])


@partial(jax.jit, static_argnames=("table_axes", "start", "rotate_in"))
def _loop_by_shift(
    x: Units, cos: Units, sin: Units, *, table_axes: Axes, start: int, rotate_in: RotateIn
) -> Units:
    """x is shifted by half the rotated width in both directions; the index selects the partner."""
    dtype, round_product = cpu_arithmetic(x.dtype, rotate_in)
    half, axis = cos.shape[len(table_axes)], x.ndim - (cos.ndim - len(table_axes))
    end, trailing = start + 2 * half, tuple(range(axis, x.ndim))

    def padded(t: Array, axis: int, low: int, high: int) -> Array:
        widths = [(low, high, 0) if i == axis else (0, 0, 0) for i in range(t.ndim)]
        return lax.pad(t, t.dtype.type(0), widths)

    def to_both_channels(first: Array, second: Array) -> Array:
        at = len(table_axes)
        table = padded(lax.concatenate([first, second], at), at, start, x.shape[axis] - end)
        return lax.broadcast_in_dim(table, x.shape, (*table_axes, *trailing))

    # 16 bits are shifted as integers, as XLA moves float16 by way of float32
    as_integers = x.dtype == jnp.bfloat16 or (x.dtype.itemsize == 2 and len(trailing) > 1)
    bits = lax.bitcast_convert_type(x, jnp.uint16) if as_integers else x
    index, next_half = index_along(axis, x), padded(bits, axis, -half, half)
    partner = lax.select(index < start + half, next_half, padded(bits, axis, half, -half))
    partner = lax.bitcast_convert_type(partner, x.dtype)
    wide, partner, cos, sin = (from_bits(to_bits(t), dtype) for t in (x, partner, cos, sin))
    cos, sin = to_both_channels(cos, cos), to_both_channels(-sin, sin)
    y = round_product(wide * cos) + round_product(partner * sin)
    y = lax.select((index >= start) & (index < end), y, wide)
    return narrow(y, x.dtype)
