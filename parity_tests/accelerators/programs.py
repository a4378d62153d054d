"""The programs that are compiled for a TPU and for a GPU: q and k, forward and derivative."""

from functools import partial

import jax
import jax.numpy as jnp

import rope_jax

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
