"""The rotation as one pass over memory, for XLA's TPU compiler.

A TPU keeps the last axis of an array in lanes of 128. A last axis of 2, or of half a head, is
padded to 128, and the padding is moved too. Here every array is as wide as the head. x is shifted
by the distance of a pair in both directions, and the index of a channel says which of the two is
its partner. XLA makes one fusion of it.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from rope_spec import RotateIn
from rope_spec.channels import Channels

from . import rotation
from .rotation import Heads, PerPair, index_along
from .rounding import cast_exactly, compute_dtype, from_bits, keep_rounding, to_bits

PerChannel = Float[Array, "*#tokens H"]  # cos or sin with a value for each channel of the head


def rotate_pairs(
    x: Heads, cos: PerPair, sin: PerPair, *, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """`rotation.rotate_pairs` as `x cos + partner sin`, with the sign in the table.

    If the result has another layout, as in de-interleaving, `rotation.rotate_pairs` is called.
    """
    if channels.read_blocks != channels.write_blocks:
        return rotation.rotate_pairs(x, cos, sin, channels=channels, rotate_in=rotate_in)
    rotated, dtype = channels.rotated(cos.shape[-1]), compute_dtype(x.dtype, rotate_in)
    distance = cos.shape[-1] // channels.read_blocks
    next_pair, pair_before = _shifted(x, -distance), _shifted(x, distance)
    partner = lax.select(_is_first(x, rotated.start, distance), next_pair, pair_before)
    own, partner = (_widened(t, dtype) for t in (x, partner))
    cos, sin = (cast_exactly(t, dtype) for t in (cos, sin))
    cos, sin = (_to_both_channels(t, channels, x.shape[-1]) for t in (cos, sin))
    sin = lax.select(_is_first(sin, rotated.start, distance), -sin, sin)
    y = cast_exactly(keep_rounding(own * cos) + keep_rounding(partner * sin), x.dtype)
    if rotated == slice(0, x.shape[-1]):
        return y
    index = index_along(-1, x)
    return lax.select((index >= rotated.start) & (index < rotated.stop), y, x)


def _widened(x: Heads, dtype: jnp.dtype) -> Heads:
    """`cast_exactly(x, dtype)`: from bfloat16 to float32 by its bits, in fewer bundles."""
    by_bits = x.dtype == jnp.bfloat16 and dtype == jnp.float32
    return from_bits(to_bits(x), dtype) if by_bits else cast_exactly(x, dtype)


def _is_first(t: PerChannel, start: int, distance: int) -> Bool[Array, "*#tokens H"]:
    """Whether a channel is the first of its pair, of which the second is `distance` away."""
    return (index_along(-1, t) - start) // distance % 2 == 0


def _shifted(x: Heads, by: int) -> Heads:
    """Channel c at c + by, and zeros where there is none."""
    widths = [(0, 0, 0)] * (x.ndim - 1) + [(by, -by, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), widths)


def _to_both_channels(half: PerPair, channels: Channels, head_dim: int) -> PerChannel:
    """One value for each pair, at both of its channels, and zeros where nothing is rotated."""
    *batch, pairs = half.shape
    rotated, distance = channels.rotated(pairs), pairs // channels.read_blocks
    if distance == 1 and pairs >= 128:
        both = _each_twice(half)
    else:
        blocks = half.reshape(*batch, channels.read_blocks, 1, distance)
        both = jnp.broadcast_to(blocks, (*batch, channels.read_blocks, 2, distance))
        both = both.reshape(*batch, 2 * pairs)
    widths = [(0, 0)] * len(batch) + [(rotated.start, head_dim - rotated.stop)]
    return jnp.pad(both, widths)


def _each_twice(half: PerPair) -> Float[Array, "*#tokens 2*P"]:
    """`jnp.repeat(half, 2, axis=-1)`; of 128 pairs or more XLA would make three copies of that."""
    zero, others = jnp.zeros((), half.dtype), [(0, 0, 0)] * (half.ndim - 1)
    even, odd = (lax.pad(half, zero, [*others, ends]) for ends in ((0, 1, 1), (1, 0, 1)))
    return lax.select(index_along(-1, even) % 2 == 0, even, odd)
