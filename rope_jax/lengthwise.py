"""Frequencies that depend on the current length, as functions of a traced one: no host round trip, no recompilation.

LongRoPE chooses between two sets of exact phases and stays exact. Dynamic NTK computes its frequencies in float32 in the
graph: for a stretch s of the context by a factor f, their relative error is at most (2 f + ln s + 8) 2 ** -24, and cos and sin
err by that times the angle. A length that is a Python int is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Integer

from rope_spec import DynamicNTK, Frequencies, LongRope, RopeSpec, inverse_frequencies

from .phase import limbs


def limbs_at(spec: RopeSpec, seq_len: Integer[Array, "*batch"]) -> tuple[Array, Array]:
    """The turns of LongRoPE at each length, as the limbs that `phase_of` takes: `(*batch, 1, P)`."""
    return _chosen(spec, seq_len, lambda f: limbs(f.turns)[0]), _chosen(spec, seq_len, lambda f: limbs(f.turns)[1])


def inv_freq_at(spec: RopeSpec, seq_len: Integer[Array, "*batch"]) -> Float32[Array, "*batch 1 pairs"]:
    """float32 inverse frequencies at each length, of either rule."""
    if not isinstance(spec.rule, DynamicNTK):
        return _chosen(spec, seq_len, lambda f: f.inv_freq_float32)
    longest, factor = spec.rule.max_position_embeddings, spec.rule.factor
    dim, rung = spec.pairs.ladder_dim, np.array(spec.pairs.rung, np.float32)
    stretch = factor * (jnp.maximum(seq_len[..., None, None], longest).astype(jnp.float32) / longest) - (factor - 1)
    return jnp.asarray(inverse_frequencies(spec).inv_freq_float32) * stretch ** (-2 * rung / (dim - 2))


def _chosen(spec: RopeSpec, seq_len: Array, of: Callable[[Frequencies], np.ndarray]) -> Array:
    """One of the arrays of LongRoPE's short or long set, by the length of each row of the batch."""
    assert isinstance(spec.rule, LongRope)
    original = spec.rule.original_max_position_embeddings
    short, long = (of(inverse_frequencies(spec, length)) for length in (None, original + 1))
    return jnp.where(seq_len[..., None, None] > original, long, short)
