"""Frequencies that depend on the current length, as functions of a traced one: no host round trip, no recompilation.

LongRoPE chooses between two sets of exact phases and stays exact. Dynamic NTK computes its frequencies in float32 in the
graph: for a stretch s of the context by a factor f, their relative error is at most (2 f + ln s + 8) 2 ** -24, and cos and sin
err by that times the angle. A length that is a Python int is exact.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Integer

from rope_spec import DynamicNTK, LongRope, RopeSpec, inverse_frequencies

from .phase import limbs


def limbs_at(spec: RopeSpec, seq_len: Integer[Array, "*batch"]) -> tuple[Array, Array]:
    """The turns of LongRoPE at each length, as the limbs that `phase_of` takes: `(*batch, 1, P)`."""
    assert isinstance(spec.rule, LongRope)
    original = spec.rule.original_max_position_embeddings
    short, long = (limbs(inverse_frequencies(spec, length).turns) for length in (None, original + 1))
    is_long = _per_row(seq_len) > original
    return jnp.where(is_long, long[0], short[0]), jnp.where(is_long, long[1], short[1])


def inv_freq_at(spec: RopeSpec, seq_len: Integer[Array, "*batch"]) -> Float32[Array, "*batch 1 pairs"]:
    """float32 inverse frequencies at each length, of either rule."""
    if isinstance(spec.rule, LongRope):
        sets = (inverse_frequencies(spec, n).inv_freq_float32 for n in (None, spec.rule.original_max_position_embeddings + 1))
        short, long = sets
        return jnp.where(_per_row(seq_len) > spec.rule.original_max_position_embeddings, long, short)
    assert isinstance(spec.rule, DynamicNTK)
    longest, factor = spec.rule.max_position_embeddings, spec.rule.factor
    dim, rung = spec.pairs.ladder_dim, np.array(spec.pairs.rung, np.float32)
    stretch = factor * (jnp.maximum(_per_row(seq_len), longest).astype(jnp.float32) / longest) - (factor - 1)
    return jnp.asarray(inverse_frequencies(spec).inv_freq_float32) * stretch ** (-2 * rung / (dim - 2))


def _per_row(seq_len: Integer[Array, "*batch"]) -> Integer[Array, "*batch 1 1"]:
    """A length for each row of the batch, shaped to broadcast against `(..., S, P)`."""
    return jnp.asarray(seq_len)[..., None, None]
