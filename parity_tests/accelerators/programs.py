"""The programs that are compiled for a TPU and for a GPU: q and k, forward and derivative."""

from functools import partial

import jax
import jax.numpy as jnp

import rope_jax
from rope_spec import RopeSpec

QUERIES, KEYS = 32, 8  # heads


def shapes(spec, dtype, tokens):
    """q, k, cos and sin."""
    array = jax.ShapeDtypeStruct
    q, k = (array((1, tokens, heads, spec.head_dim), dtype) for heads in (QUERIES, KEYS))
    table = array((1, tokens, len(spec.pairs)), jnp.float32)
    return q, k, table, table


def forward(spec):
    rotate = partial(rope_jax.rotate, spec)
    return lambda q, k, cos, sin: (rotate(q, cos, sin), rotate(k, cos, sin))


def derivative(spec):
    """From the cotangents of q and k to those before the rotation."""

    def pullback(dq, dk, cos, sin):
        rotate = lambda q, k: forward(spec)(q, k, cos, sin)
        return jax.linear_transpose(rotate, dq, dk)((dq, dk))

    return pullback


def concatenated(spec: RopeSpec, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """The rotation by concatenation, as most implementations write it."""
    blocks, start, width = spec.channels.read_blocks, spec.start, 2 * cos.shape[-1]
    rotated = x[..., start : start + width].astype(jnp.float32)
    a, b = jnp.split(rotated.reshape(*x.shape[:-1], blocks, -1), 2, axis=-1)
    cos, sin = (t.reshape(*t.shape[:2], 1, blocks, -1) for t in (cos, sin))
    y = [a * cos - b * sin, b * cos + a * sin]
    if spec.channels.write_blocks == blocks:
        y = jnp.concatenate(y, axis=-1).reshape(rotated.shape)
    else:
        y = jnp.concatenate([t.reshape(*x.shape[:-1], -1) for t in y], axis=-1)
    return jnp.concatenate([x[..., :start], y.astype(x.dtype), x[..., start + width :]], axis=-1)
