"""The rotation as plain operations: the reference, and what XLA gets on GPUs."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int32

from rope_spec import RotateIn
from rope_spec.channels import Channels

from .rounding import cast_exactly, compute_dtype, keep_rounding

Heads = Float[Array, "*tokens H"]
PerPair = Float[Array, "*#tokens P"]  # cos or sin, with as many axes as x


def rotate_pairs(
    x: Heads, cos: PerPair, sin: PerPair, *, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """`y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin` for each pair; the other channels stay.

    Each product is rounded before the sum, as in PyTorch. Each result is cast to the dtype of x
    before the channels are put together, so that XLA's GPU compiler makes one kernel of it, without
    temporary arrays.
    """
    rotated, dtype = channels.rotated(cos.shape[-1]), compute_dtype(x.dtype, rotate_in)
    a, b = split(x[..., rotated], channels.read_blocks)
    a, b, cos, sin = (cast_exactly(t, dtype) for t in (a, b, cos, sin))
    first = keep_rounding(a * cos) - keep_rounding(b * sin)
    second = keep_rounding(b * cos) + keep_rounding(a * sin)
    y = join(cast_exactly(first, x.dtype), cast_exactly(second, x.dtype), channels.write_blocks)
    return jnp.concatenate([x[..., : rotated.start], y, x[..., rotated.stop :]], axis=-1)


def split(
    x: Heads, blocks: int
) -> tuple[Float[Array, "*tokens H//2"], Float[Array, "*tokens H//2"]]:
    """The two channels of each pair: the halves of each block."""
    *batch, width = x.shape
    a, b = jnp.split(_in_blocks(x, blocks), 2, axis=-1)
    return a.reshape(*batch, width // 2), b.reshape(*batch, width // 2)


def join(
    a: Float[Array, "*tokens P"], b: Float[Array, "*tokens P"], blocks: int
) -> Float[Array, "*tokens 2*P"]:
    """The inverse of `split`."""
    *batch, pairs = a.shape
    halves = [_in_blocks(a, blocks), _in_blocks(b, blocks)]
    return jnp.concatenate(halves, axis=-1).reshape(*batch, 2 * pairs)


def _in_blocks(x: Float[Array, "*tokens C"], blocks: int) -> Float[Array, "..."]:
    """`(..., blocks, C / blocks)`, and x itself for one block.

    XLA merges two concatenations into one where no reshape stands between them.
    """
    *batch, width = x.shape
    return x if blocks == 1 else x.reshape(*batch, blocks, width // blocks)


def index_along(axis: int, t: Array) -> Int32[Array, "..."]:
    """The index of each element of t along an axis, sharded as t is."""
    sharding = jax.typeof(t).sharding
    return lax.broadcasted_iota(jnp.int32, t.shape, axis % t.ndim, out_sharding=sharding)
