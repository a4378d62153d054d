"""The rotation, in forms that XLA turns into one loop over memory on a CPU; the same bits eager, jitted and in PyTorch."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

from rope_spec import RotateIn

from .rounding import bits_of, narrowed_to_bfloat16, rounded, rounded_to_bfloat16, widened

Heads = Float[Array, "*batch head_dim"]
Half = Float[Array, "*#batch pairs"]  # cos or sin, broadcast against the pairs of x


def rotate_pairs(
    x: Heads,
    cos: Half,
    sin: Half,
    *,
    start: int,
    read: int,
    write: int,
    rotate_in: RotateIn,
    guard: bool = True,
    alone: bool = False,
) -> Heads:
    """`y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin` for the pairs from channel `start` on; the other channels stay.

    A pair lies across axis -2 of `(..., blocks, 2, m)`, where `read` and `write` are the numbers of blocks. The arithmetic is
    one function whose result has that shape, with the reshapes outside: XLA's CPU compiler turns it into one loop over memory.
    Halves that do not divide the head have no such shape; there the two channels of a pair are brought together by a shift.
    `alone` keeps it so, where XLA would else merge it with what comes before and after into loops that compute an index for
    each element, or cos and sin anew for each head: 2 to 20 times slower.
    """
    *batch, head_dim = x.shape
    width, end = 2 * cos.shape[-1], start + 2 * cos.shape[-1]
    options = {"read": read, "write": write, "rotate_in": rotate_in, "guard": guard, "alone": alone}
    divides = head_dim % width == start % width == 0
    if not divides and max(read, write) > 1:
        rotated = rotate_pairs(x[..., start:end], cos, sin, start=0, **options)
        return jnp.concatenate([x[..., :start], rotated, x[..., end:]], axis=-1)
    chosen = start // width if head_dim > width else None  # of the slices of the same width
    slices = [] if chosen is None else [head_dim // width]
    if rotate_in == "input":
        cos, sin = cos.astype(x.dtype), sin.astype(x.dtype)
    (cos, cos_axes), (sin, sin_axes) = (_squeezed(table, len(batch)) for table in (cos, sin))
    with set_xla_metadata(inlineable="false") if alone else nullcontext():
        if not divides:
            unit, trailing = _unit(head_dim, start, width // 2, rotate_in)
            x, cos, sin = (t.reshape(*t.shape[:-1], t.shape[-1] // unit, *trailing) for t in (x, cos, sin))
            return _rotate_shifted(x, cos, sin, cos_axes, sin_axes, start // unit, rotate_in, guard).reshape(*batch, head_dim)
        pairs = x.reshape(*batch, *slices, *_paired(width, read))
        y = _rotate(pairs, cos, sin, (*batch, *slices), cos_axes, sin_axes, chosen, read, write, rotate_in, guard)
    return y.reshape(x.shape)


def _squeezed(table: Half, batch: int) -> tuple[Array, tuple[int, ...]]:
    """A table without the axes along which it is repeated, which XLA would copy, and where the others are in x."""
    kept = [axis for axis, size in enumerate(table.shape[:-1]) if size != 1]
    axes = tuple(axis + batch + 1 - table.ndim for axis in kept)
    return table.reshape(*(table.shape[axis] for axis in kept), table.shape[-1]), axes


def _paired(width: int, blocks: int) -> list[int]:
    """`(blocks, 2, m)`, without blocks or m where it is 1: XLA copies arrays that have such axes."""
    m = width // (2 * blocks)
    return [*[blocks] * (blocks > 1), 2, *[m] * (m > 1)]


def _unit(head_dim: int, start: int, pairs: int, rotate_in: RotateIn) -> tuple[int, list[int]]:
    """The channels that are shifted as one, and an axis for them: whole vectors, if it is float32 that they are vectors of."""
    unit = math.gcd(head_dim, start, pairs)
    return (unit, [unit]) if unit % 16 == 0 and pairs > 16 and rotate_in == "float32" else (1, [])


@partial(jax.jit, static_argnums=tuple(range(3, 11)))
def _rotate(x, cos, sin, batch, cos_axes, sin_axes, chosen, read, write, rotate_in, guard):
    """Both results for each channel, then a choice by index, as a concatenation would read x twice. lax only, no nested jit."""
    as_bits, dtype, keep = _inside(x.dtype, rotate_in, guard)
    written = (*batch, *_paired(2 * cos.shape[-1], write))
    everywhere, two = tuple(range(len(batch))), len(batch) + (write > 1)
    of_pairs = tuple(axis for axis in range(len(batch), len(written)) if axis != two)

    def spread(half: Array, axes: tuple[int, ...]) -> Array:
        """What a pair has in common, or one of its channels, in both places of the result."""
        pairs = widened(half, dtype).reshape(*half.shape[: len(axes)], *(written[axis] for axis in of_pairs))
        return lax.broadcast_in_dim(pairs, written, (*axes, *of_pairs))

    x, cos, sin = (bits_of(t) if as_bits else t for t in (x, cos, sin))
    a, b = (spread(lax.index_in_dim(x, i, len(batch) + (read > 1), keepdims=False), everywhere) for i in (0, 1))
    cos, sin = spread(cos, cos_axes), spread(sin, sin_axes)
    first, second = keep(a * cos) - keep(b * sin), keep(b * cos) + keep(a * sin)
    y = lax.select(_index_of(first, two) == 0, first, second)
    if chosen is not None:
        y = lax.select(_index_of(y, len(batch) - 1) == chosen, y, widened(x, dtype).reshape(written))
    elif as_bits:  # with the choice above a cast is faster
        return narrowed_to_bfloat16(y)
    return y.astype(jnp.bfloat16 if as_bits else x.dtype)


@partial(jax.jit, static_argnums=tuple(range(3, 8)))
def _rotate_shifted(x, cos, sin, cos_axes, sin_axes, start, rotate_in, guard):
    """Halves that do not divide the head, as 96 of 128: the other channel of a pair is P places further on, or before.

    Places are channels, or units of 16 and more: then the loop over them is unrolled, and what is chosen by place is known.
    16 bits are shifted as integers, since XLA moves float16 by way of float32.
    """
    places, along = cos.shape[len(cos_axes)], x.ndim - (cos.ndim - len(cos_axes))
    end, rest = start + 2 * places, tuple(range(along, x.ndim))
    as_bits, dtype, keep = _inside(x.dtype, rotate_in, guard)

    def padded(t: Array, axis: int, low: int, high: int) -> Array:
        return lax.pad(t, t.dtype.type(0), [(low, high, 0) if i == axis else (0, 0, 0) for i in range(t.ndim)])

    def spread(first: Array, second: Array, axes: tuple[int, ...]) -> Array:
        table = padded(lax.concatenate([first, second], len(axes)), len(axes), start, x.shape[along] - end)
        return lax.broadcast_in_dim(table, x.shape, (*axes, *rest))

    place, in_units = _index_of(x, along), len(rest) > 1
    bits = lax.bitcast_convert_type(x, jnp.uint16) if as_bits or (in_units and x.dtype.itemsize == 2) else x
    other = lax.select(place < start + places, padded(bits, along, -places, places), padded(bits, along, places, -places))
    other = other if as_bits else lax.bitcast_convert_type(other, x.dtype)
    wide, other, cos, sin = (widened(bits_of(t) if as_bits else t, dtype) for t in (x, other, cos, sin))
    y = keep(wide * spread(cos, cos, cos_axes)) + keep(other * spread(-sin, sin, sin_axes))
    y = lax.select((place >= start) & (place < end), y, wide)
    return narrowed_to_bfloat16(y) if as_bits else y.astype(x.dtype)


def _inside(dtype: jnp.dtype, rotate_in: RotateIn, guard: bool) -> tuple[bool, jnp.dtype, Callable[[Array], Array]]:
    """Whether x is taken as bits, the dtype of the arithmetic, and what is done to each product."""
    as_bits = guard and dtype == jnp.bfloat16
    inside = dtype if (rotate_in == "input" and not as_bits) or dtype.itemsize > 4 else jnp.dtype(jnp.float32)
    return as_bits, inside, _kept(inside, guard, to_bfloat16=as_bits and rotate_in == "input")


def _index_of(y: Array, axis: int) -> Array:
    return lax.broadcasted_iota(jnp.int32, y.shape, axis, out_sharding=jax.typeof(y).sharding)


def _kept(dtype: jnp.dtype, guard: bool, to_bfloat16: bool) -> Callable[[Array], Array]:
    """What is done to each product: it is rounded to bfloat16, or to its own dtype whatever comes next."""
    if to_bfloat16:
        return rounded_to_bfloat16
    return rounded if guard and dtype.itemsize >= 4 else lambda product: product
