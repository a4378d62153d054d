"""Exact cos and sin under XLA: the integers of `rope_spec.phase`, in words of 32 bits.

JAX has no 64-bit integers by default, so that these are split in two.

Where the frequencies depend on the current length, this may be a traced array: there is no host
round trip and no recompilation. LongRoPE then chooses between two sets of exact phases and stays
exact. Dynamic NTK computes its frequencies in float32: for a context that is stretched s-fold under
a factor f, their relative error is at most (2 f + ln s + 8) 2 ** -24, and the error of cos and sin
is that times the angle. With a length that is a Python int both rules are exact.
"""

from collections.abc import Callable
from functools import reduce
from itertools import zip_longest

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float32, Int32, Int64, Integer, Shaped, UInt32

from rope_spec import DynamicNTK, Frequencies, LongRope, RopeSpec, inverse_frequencies
from rope_spec.phase import COS, SIN, fixed_point

Words = tuple[UInt32[Array | np.ndarray, "*#rows P"], UInt32[Array | np.ndarray, "*#rows P"]]


def split_words(
    turns: Int64[np.ndarray, " P"],
) -> tuple[UInt32[np.ndarray, " P"], UInt32[np.ndarray, " P"]]:
    """The upper and the lower 32 bits."""
    return (turns >> 32).astype(np.uint32), turns.astype(np.uint32)


def phase_of(positions: Integer[Array, "*#rows #P"], turns: Words) -> Int32[Array, "*rows P"]:
    """The phase `round(position * turns / 2 ** 32)`, modulo a turn, in units of 2 ** -32 turns.

    With words of 32 bits the position is p1 2 ** 32 + p0, and turns are t1 2 ** 32 + t0. The phase
    is then p0 t1 + p1 t0 + p0 t0 / 2 ** 32, rounded, modulo 2 ** 32.
    """
    t1, t0 = map(jnp.asarray, turns)
    p0, p1 = positions.astype(jnp.uint32), _upper(positions)
    rounding = (p0 * t0) >> 31
    return lax.bitcast_convert_type(p0 * t1 + p1 * t0 + multiply_high(p0, t0) + rounding, jnp.int32)


def _upper(positions: Integer[Array, "*rows P"]) -> UInt32[Array, "*rows P"]:
    """The upper 32 bits of the positions as 64-bit integers: of 32 bits or less, the sign."""
    bits = positions.dtype.itemsize * 8
    if bits < 64 and jnp.issubdtype(positions.dtype, jnp.unsignedinteger):
        return jnp.zeros_like(positions, jnp.uint32)
    return (positions >> min(32, bits - 1)).astype(jnp.uint32)


def multiply_high(
    a: UInt32[Array, "*#rows #P"], b: UInt32[Array, "*#rows #P"] | int
) -> UInt32[Array, "*rows _P"]:
    """The upper 32 bits of the 64-bit product, from four 16-bit products."""
    b = jnp.asarray(b, jnp.uint32)
    a0, a1, b0, b1 = a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16
    middle = a1 * b0 + ((a0 * b0) >> 16)
    return a1 * b1 + (middle >> 16) + ((a0 * b1 + (middle & 0xFFFF)) >> 16)


def phase_cos_sin(
    phase: Int32[Array, "*rows P"], attention_factor: float = 1.0
) -> tuple[Float32[Array, "*rows P"], Float32[Array, "*rows P"]]:
    """float32 cos and sin of a phase, times the attention factor, as in `rope_spec.phase`.

    sin is cos a quarter of a turn earlier. XLA's CPU compiler has one loop for cos and one for sin.
    With both polynomials in each loop, four would be computed for two results. Here each loop
    computes one, and chooses its coefficients for each element.
    """
    multiplier, scale = fixed_point(attention_factor)
    cos, sin = (
        _cos(turned, multiplier).astype(jnp.float32) * np.float32(scale)
        for turned in (phase, phase - 2**30)
    )
    return cos, sin


def _cos(phase: Int32[Array, "*rows P"], multiplier: int) -> Int32[Array, "*rows P"]:
    """The cosine of a phase: in the odd quadrants the sine of the remainder, up to its sign."""
    quadrant = (phase + 2**29) >> 30
    remainder = phase - (quadrant << 30)
    odd = quadrant & 1 != 0
    u = jnp.abs(remainder).astype(jnp.uint32) << 2
    z = multiply_high(u, u) << 1
    product = multiply_high(_horner(odd, z), jnp.where(odd, u, z))
    value = jnp.where(odd, product, 2**31 - 1 - product)
    value = (_scaled(value, multiplier) if multiplier else value).astype(jnp.int32)
    return jnp.where(((quadrant + 1) & 2 != 0) ^ (odd & (remainder < 0)), -value, value)


def _horner(odd: Bool[Array, "*rows P"], z: UInt32[Array, "*rows P"]) -> UInt32[Array, "*rows P"]:
    """`c0 - z (c1 - z (c2 - ...))`, with the coefficients of sin where `odd`, else of cos."""
    pairs = zip_longest(SIN, COS, fillvalue=0)
    *lower, highest = (jnp.where(odd, jnp.uint32(s), jnp.uint32(c)) for s, c in pairs)
    return reduce(lambda value, c: c - multiply_high(value, z), reversed(lower), highest)


def _scaled(value: UInt32[Array, "*rows P"], multiplier: int) -> UInt32[Array, "*rows P"]:
    """`(value * multiplier + 2 ** 31) >> 32`."""
    return multiply_high(value, multiplier) + ((value * jnp.uint32(multiplier)) >> 31)


def split_words_at(
    spec: RopeSpec, seq_len: Integer[Array, "*batch"]
) -> tuple[UInt32[Array, "*batch 1 P"], UInt32[Array, "*batch 1 P"]]:
    """The turns of LongRoPE at each length, for `phase_of`."""
    upper = _by_length(spec, seq_len, lambda frequencies: split_words(frequencies.turns)[0])
    lower = _by_length(spec, seq_len, lambda frequencies: split_words(frequencies.turns)[1])
    return upper, lower


def inv_freq_at(spec: RopeSpec, seq_len: Integer[Array, "*batch"]) -> Float32[Array, "*batch 1 P"]:
    """float32 inverse frequencies of dynamic NTK or LongRoPE at each length."""
    if not isinstance(spec.rule, DynamicNTK):
        return _by_length(spec, seq_len, lambda frequencies: frequencies.inv_freq_float32)
    original, factor = spec.rule.max_position_embeddings, spec.rule.factor
    dim, rung = spec.pairs.ladder_dim, np.array(spec.pairs.rung, np.float32)
    length = jnp.maximum(seq_len[..., None, None], original).astype(jnp.float32)
    stretch = factor * (length / original) - (factor - 1)
    inv_freq = jnp.asarray(inverse_frequencies(spec).inv_freq_float32)
    return inv_freq * stretch ** (-2 * rung / (dim - 2))


def _by_length(
    spec: RopeSpec,
    seq_len: Integer[Array, "*batch"],
    take: Callable[[Frequencies], Shaped[np.ndarray, " P"]],
) -> Shaped[Array, "*batch 1 P"]:
    """What `take` gives for LongRoPE's short or long set, by the length of each row."""
    assert isinstance(spec.rule, LongRope)
    original = spec.rule.original_max_position_embeddings
    short, long = (take(inverse_frequencies(spec, length)) for length in (None, original + 1))
    return jnp.where(seq_len[..., None, None] > original, long, short)
