"""JAX: one jitted function of split halves, and tables that are indexed, as in flax."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .case import Function
from .rope import Rope, plain, standard
from .steps import Steps, call_length, coordinate

FILL = {"clamped": "clip", "wrapped": "wrap", "zero": "fill", "nan": "fill"}


def rounded(array: Array, dtype: str) -> Array:
    """A cast there and back; without the barrier XLA leaves both out, and rounds nothing."""
    if not dtype:
        return array
    return jax.lax.optimization_barrier(array.astype(dtype)).astype(array.dtype)


def waves(row: Array, w: Array, rope: Rope, steps: Steps) -> tuple[Array, Array]:
    """cos and sin of each pair."""
    row = rounded(row.astype(jnp.float32), steps.positions)
    angles = rope.sign * rounded(row * rounded(w, steps.frequencies), steps.angles)
    cos, sin = rope.factor * jnp.cos(angles), rope.factor * jnp.sin(angles)
    cos, sin = rounded(cos, steps.table), rounded(sin, steps.table)
    return (sin, cos) if rope.exchanged else (cos, sin)


def turned(x: Array, cos: Array, sin: Array, rope: Rope, steps: Steps) -> Array:
    cos, sin = (rounded(steps.spread(table), steps.products) for table in (cos, sin))
    before, inner, after = jnp.split(x, [rope.start, rope.start + 2 * rope.pairs], axis=-1)
    shape = x.shape[:-1]
    inner = inner.astype(jnp.float32)
    if rope.read == "half":
        a, b = jnp.split(inner, 2, axis=-1)
    else:
        pairs = inner.reshape(*shape, rope.pairs, 2)
        a, b = pairs[..., 0], pairs[..., 1]
    a, b = rounded(a, steps.products), rounded(b, steps.products)
    keep = lambda product: rounded(product, steps.products)
    a, b = keep(keep(a * cos) - keep(b * sin)), keep(keep(b * cos) + keep(a * sin))
    axis = -2 if rope.write == "half" else -1
    inner = jnp.stack([a, b], axis=axis).reshape(*shape, 2 * rope.pairs)
    return jnp.concatenate([before, inner.astype(x.dtype), after], axis=-1)


@partial(jax.jit, static_argnums=(3, 4))
def at_positions(x: Array, positions: Array, w: Array, rope: Rope, steps: Steps) -> Array:
    cos, sin = waves(coordinate(positions + rope.offset, rope), w, rope, steps)
    return turned(x, cos, sin, rope, steps)


def jitted(rope: Rope, steps: Steps) -> Function:
    """Angles where they are used; functions that differ in their frequencies share a program."""
    assert not steps.rows, "it has no table"
    given = {"rule": plain, "exponent": standard, "finish": np.asarray, "index": ()}
    shape = replace(rope, theta=1.0, dim=1, follows_length=False, **given)

    def fn(x: Array, positions: Array) -> Array:
        w = jnp.asarray(rope.frequencies(call_length(positions, rope), np.float32))
        return at_positions(x, positions, w, shape, steps)

    return fn


def table(rope: Rope, steps: Steps) -> Function:
    """Tables made at the start, and `jnp.take`; JAX says nothing of what lies beyond."""
    w = jnp.asarray(rope.frequencies(0, np.float32))
    every = waves(jnp.arange(steps.rows or 131072)[:, None], w, rope, steps)
    lost = 0.0 if steps.end == "zero" else jnp.nan

    def lookup(table: Array, row: Array) -> Array:
        return jnp.take(table, row, axis=0, mode=FILL[steps.end], fill_value=lost)

    def fn(x: Array, positions: Array) -> Array:
        cos, sin = (lookup(each, positions + rope.offset) for each in every)
        return turned(x, cos, sin, rope, steps)

    return fn
