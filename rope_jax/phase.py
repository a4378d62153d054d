"""Exact cos and sin under XLA: the integers of `rope_spec.phase`, in 32-bit limbs, since JAX has no 64-bit ones by default.

Frequencies that depend on the current length, as functions of a traced one: no host round trip, no recompilation.

LongRoPE chooses between two sets of exact phases and stays exact. Dynamic NTK computes its frequencies in float32 in the
graph: for a stretch s of the context by a factor f, their relative error is at most (2 f + ln s + 8) 2 ** -24, and cos and sin
err by that times the angle. A length that is a Python int is exact.
"""

from collections.abc import Callable
from functools import reduce
from itertools import zip_longest

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float32, Int32, Integer, UInt32

from rope_spec import DynamicNTK, Frequencies, LongRope, RopeSpec, inverse_frequencies
from rope_spec.phase import COS, SIN, fixed_point


def limbs(turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the lower 32 bits of int64 turns."""
    return (turns >> 32).astype(np.uint32), turns.astype(np.uint32)


def phase_of(
    positions: Integer[Array, "*batch pairs"], turns: tuple[Array | np.ndarray, Array | np.ndarray]
) -> Int32[Array, "*batch pairs"]:
    """The phase `round(position * turns / 2 ** 32)`, modulo a turn, in units of 2 ** -32 turns.

    With 32-bit limbs p = p1 2 ** 32 + p0 and t = t1 2 ** 32 + t0, and modulo 2 ** 64, that is p0 t1 + p1 t0 + the upper
    half of p0 t0, rounded.
    """
    t1, t0 = map(jnp.asarray, turns)
    p0, p1 = positions.astype(jnp.uint32), _upper(positions)
    rounding = (p0 * t0) >> 31
    return lax.bitcast_convert_type(p0 * t1 + p1 * t0 + multiply_high(p0, t0) + rounding, jnp.int32)


def _upper(positions: Integer[Array, "..."]) -> UInt32[Array, "..."]:
    """The upper 32 bits of the positions as 64-bit integers: their sign, where they have 32 bits or less."""
    bits = positions.dtype.itemsize * 8
    if bits < 64 and jnp.issubdtype(positions.dtype, jnp.unsignedinteger):
        return jnp.zeros_like(positions, jnp.uint32)
    return (positions >> min(32, bits - 1)).astype(jnp.uint32)


def multiply_high(a: UInt32[Array, "..."], b: UInt32[Array, "..."] | int) -> UInt32[Array, "..."]:
    """The upper 32 bits of the 64-bit product, from four 16-bit products."""
    b = jnp.asarray(b, jnp.uint32)
    a0, a1, b0, b1 = a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16
    middle = a1 * b0 + ((a0 * b0) >> 16)
    return a1 * b1 + (middle >> 16) + ((a0 * b1 + (middle & 0xFFFF)) >> 16)


def phase_cos_sin(
    phase: Int32[Array, "*batch pairs"], attention_factor: float = 1.0
) -> tuple[Float32[Array, "*batch pairs"], Float32[Array, "*batch pairs"]]:
    """float32 cos and sin of a phase, times the attention factor: the integers of `rope_spec.phase.phase_cos_sin`.

    sin is cos a quarter of a turn earlier. XLA's CPU compiler computes cos and sin in a loop each, so that a polynomial for
    either in both would be computed four times for two results; choosing the coefficients takes two.
    """
    multiplier, scale = fixed_point(attention_factor)
    cos, sin = (
        _cos(turned, multiplier).astype(jnp.float32) * np.float32(scale)
        for turned in (phase, phase - 2**30)
    )
    return cos, sin


def _cos(phase: Int32[Array, "*batch pairs"], multiplier: int) -> Int32[Array, "*batch pairs"]:
    """The cosine of a phase; in the odd quadrants it is the sine of the remainder, up to its sign."""
    quadrant = (phase + 2**29) >> 30
    remainder = phase - (quadrant << 30)
    odd = quadrant & 1 != 0
    u = jnp.abs(remainder).astype(jnp.uint32) << 2
    z = multiply_high(u, u) << 1
    product = multiply_high(_horner(odd, z), jnp.where(odd, u, z))
    value = jnp.where(odd, product, 2**31 - 1 - product)
    value = (_scaled(value, multiplier) if multiplier else value).astype(jnp.int32)
    return jnp.where(((quadrant + 1) & 2 != 0) ^ (odd & (remainder < 0)), -value, value)


def _horner(odd: Bool[Array, "..."], z: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """`c0 - z (c1 - z (c2 - ...))` with the coefficients of the sine where `odd`, else of the cosine."""
    pairs = zip_longest(SIN, COS, fillvalue=0)
    *lower, highest = (jnp.where(odd, jnp.uint32(s), jnp.uint32(c)) for s, c in pairs)
    return reduce(lambda value, c: c - multiply_high(value, z), reversed(lower), highest)


def _scaled(value: UInt32[Array, "..."], multiplier: int) -> UInt32[Array, "..."]:
    """`(value * multiplier + 2 ** 31) >> 32`."""
    return multiply_high(value, multiplier) + ((value * jnp.uint32(multiplier)) >> 31)


def limbs_at(spec: RopeSpec, seq_len: Integer[Array, "*batch"]) -> tuple[Array, Array]:
    """The turns of LongRoPE at each length, as the limbs that `phase_of` takes: `(*batch, 1, P)`."""
    return _chosen(spec, seq_len, lambda f: limbs(f.turns)[0]), _chosen(
        spec, seq_len, lambda f: limbs(f.turns)[1]
    )


def inv_freq_at(
    spec: RopeSpec, seq_len: Integer[Array, "*batch"]
) -> Float32[Array, "*batch 1 pairs"]:
    """float32 inverse frequencies at each length, of either rule."""
    if not isinstance(spec.rule, DynamicNTK):
        return _chosen(spec, seq_len, lambda f: f.inv_freq_float32)
    longest, factor = spec.rule.max_position_embeddings, spec.rule.factor
    dim, rung = spec.pairs.ladder_dim, np.array(spec.pairs.rung, np.float32)
    stretch = factor * (
        jnp.maximum(seq_len[..., None, None], longest).astype(jnp.float32) / longest
    ) - (factor - 1)
    return jnp.asarray(inverse_frequencies(spec).inv_freq_float32) * stretch ** (
        -2 * rung / (dim - 2)
    )


def _chosen(spec: RopeSpec, seq_len: Array, of: Callable[[Frequencies], np.ndarray]) -> Array:
    """One of the arrays of LongRoPE's short or long set, by the length of each row of the batch."""
    assert isinstance(spec.rule, LongRope)
    original = spec.rule.original_max_position_embeddings
    short, long = (of(inverse_frequencies(spec, length)) for length in (None, original + 1))
    return jnp.where(seq_len[..., None, None] > original, long, short)
