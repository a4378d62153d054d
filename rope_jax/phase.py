"""Exact cos and sin under XLA: the integers of `rope_spec.phase`, in words of 32 bits.

JAX has no 64-bit integers by default, so that each is split in two.

If the frequencies depend on the current length, the length may be a traced array: no host round
trip, no recompilation. LongRoPE then chooses between two sets of turns and stays exact.
Dynamic NTK is exact within the original context. Beyond it the frequencies are computed in float32:
for a context that is stretched s-fold under a factor f, their relative error is at most
(2 f + ln s + 8) 2 ** -24, and the error of cos and sin is that times the angle. With a length that
is a Python int both rules are exact.
"""

from functools import partial, reduce
from itertools import zip_longest
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float32, Int32, Int64, Integer, UInt32

from rope_spec import DynamicNTK, Frequencies, Pairs, RopeSpec, inverse_frequencies
from rope_spec.phase import COS, SIN, fixed_point

Words = tuple[UInt32[Array | np.ndarray, "*#rows P"], UInt32[Array | np.ndarray, "*#rows P"]]


class LengthFrequencies(NamedTuple):
    """The frequencies of each pair at a length, or at the length of each row: `(..., 1, P)`."""

    turns: tuple[UInt32[Array | np.ndarray, "... P"], UInt32[Array | np.ndarray, "... P"]]
    inv_freq: Float32[Array | np.ndarray, "... P"]


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
    """The upper word of each position as a 64-bit integer: for one of 32 bits or less, its sign."""
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
    If each loop evaluated both polynomials, half of the work would be thrown away. Here each loop
    evaluates one, whose coefficients are chosen for each element.
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


def frequencies_at(
    spec: RopeSpec, seq_len: int | Integer[Array, "..."] | None
) -> LengthFrequencies:
    """Turns and float32 inverse frequencies at a length that is known, or at that of each row."""
    if not isinstance(seq_len, jax.Array):
        return _known(inverse_frequencies(spec, seq_len))
    within, length = _known(inverse_frequencies(spec)), seq_len[..., None, None]
    original = spec.original_length or 0  # never 0 here: only such specs get an array
    if isinstance(spec.rule, DynamicNTK):
        beyond = _stretched(spec.rule, spec.pairs, within.inv_freq, length)
    else:
        beyond = _known(inverse_frequencies(spec, original + 1))
    return jax.tree.map(partial(jnp.where, length > original), beyond, within)


def _known(frequencies: Frequencies) -> LengthFrequencies:
    return LengthFrequencies(split_words(frequencies.turns), frequencies.inv_freq_float32)


def _stretched(
    rule: DynamicNTK,
    pairs: Pairs,
    inv_freq: Float32[Array | np.ndarray, " P"],
    length: Integer[Array, "*batch 1 1"],
) -> LengthFrequencies:
    """Dynamic NTK in float32: its inverse frequencies, and the same in turns."""
    stretch = rule.factor * (length.astype(jnp.float32) / rule.max_position_embeddings)
    exponent = -2 * np.array(pairs.frequency_index, np.float32) / (pairs.frequency_dim - 2)
    stretched = inv_freq * jnp.maximum(stretch - (rule.factor - 1), 1) ** exponent
    upper = stretched * np.float32(2**32 / (2 * np.pi))
    lower = (upper - jnp.floor(upper)) * np.float32(2**32)
    return LengthFrequencies((upper.astype(jnp.uint32), lower.astype(jnp.uint32)), stretched)
