"""cos and sin of `position * inv_freq` from integers: the same bits in NumPy, PyTorch and JAX.

`turns` holds inv_freq / 2 pi as a 64-bit fraction of a turn, so that `position * turns` modulo
2 ** 64 is the angle, for any integer position. Its top 32 bits, rounded, are the phase. The phase
is split into a quadrant and a remainder of at most an eighth of a turn. Two integer polynomials of
the remainder give cos and sin in units of 2 ** -31. One correctly rounded conversion makes them
float32.

The error of cos and sin, for |position| < 2 ** 31, is at most 3.17e-8, the sum of

- 2.98e-8 for the conversion: half an ULP below 1;
- 0.073e-8 for the rounded phase: 2 pi 2 ** -33;
- 0.037e-8 for the rounded turns: 2 pi 2 ** -65 2 ** 31;
- 0.079e-8 for the polynomials: measured.
"""

import math
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Float32, Int64, Real

from .checks import check_arrays, check_positions, check_spec
from .frequencies import Frequencies, inverse_frequencies
from .spec import RopeSpec

# Let u be the remainder in units of an eighth of a turn, z its square, C_k = COS[k] / 2 ** (32 + k)
# and S_k the same. Then cos = 1 - z (C_0 - z (C_1 - ...)) and sin = u (S_0 - z (S_1 - ...)): the
# polynomials interpolate at the Chebyshev nodes of z in [0, 1].
COS = (1324675878, 136187728, 5599974, 121701)
SIN = (3373259426, 693598667, 42784630, 1256618, 21234)

Integers = TypeVar("Integers", bound=Any)  # an array of NumPy or torch
Positions = Real[np.ndarray, "..."]  # (..., S), or (..., S, A) for A > 1 axes
Table = tuple[Float32[np.ndarray, "*rows P"], Float32[np.ndarray, "*rows P"]]  # cos and sin


def cos_sin(spec: RopeSpec, positions: Positions, *, seq_len: int | None = None) -> Table:
    """Exact cos and sin in NumPy, times the attention factor.

    Args:
        spec: the rotary embedding.
        positions: integers, `(..., S)`, or `(..., S, A)` for a spec with A > 1 axes; float32 or
            float64 coordinates for a spec with `real`.
        seq_len: the current length, which `DynamicNTK` and `LongRope` need.

    Returns:
        cos and sin, float32 `(..., S, P)`. Their error is at most 3.2e-8 f for the attention factor
        f, and half an ULP of the product more where f is not 1. Coordinates that are not finite, or
        not below 2 ** 31, give NaN.

    Raises:
        TypeError: positions of a dtype that is not taken, or `seq_len` is missing.
        ValueError: positions lack the last dimension of A coordinates.
    """
    check_spec("cos_sin", spec)
    check_arrays("cos_sin", np.ndarray, positions=positions)
    frequencies = inverse_frequencies(spec, spec.effective_length(seq_len))
    per_pair = pair_positions(spec, positions)
    if np.issubdtype(per_pair.dtype, np.floating):
        return _at_coordinates(frequencies, per_pair)
    phase = (per_pair.astype(np.int64) * frequencies.turns + 2**31) >> 32
    return phase_cos_sin(phase, frequencies.attention_factor)


def _at_coordinates(frequencies: Frequencies, coordinates: Float[np.ndarray, "*rows #P"]) -> Table:
    """cos and sin at real coordinates; NaN where these are not finite, or not below 2 ** 31.

    A float is a whole number times a power of two, `x = m 2 ** (e - 53)`. Its phase is that of an
    integer position, `floor(x turns / 2 ** 32 + 1 / 2)`, in Python's integers, which have any size.
    """
    inside = np.abs(coordinates) < 2**31
    fraction, exponent = np.frexp(np.where(inside, coordinates, 0).astype(np.float64))
    m, shift = ((n.astype(np.int64).astype(object)) for n in (fraction * 2**53, 84 - exponent))
    phase = (((m * frequencies.all_turns >> shift) + 1) >> 1) % 2**32
    table = phase_cos_sin(phase.astype(np.int64), frequencies.attention_factor)
    cos, sin = (np.where(inside, part, np.float32(np.nan)) for part in table)
    return cos, sin


def table_rows(spec: RopeSpec, positions: range, with_factor: bool = True) -> Table:
    """Rows of a cos/sin table, float32 `(L, P)`: row p serves each pair whose coordinate is p."""
    frequencies = inverse_frequencies(spec)
    phase = (np.array(positions, np.int64)[:, None] * frequencies.turns + 2**31) >> 32
    return phase_cos_sin(phase, frequencies.attention_factor if with_factor else 1.0)


def pair_positions(spec: RopeSpec, positions: Positions) -> Real[np.ndarray, "*rows #P"]:
    """The coordinate of each pair: `(..., S) -> (..., S, 1)`, `(..., S, A) -> (..., S, P)`."""
    dtype = positions.dtype
    is_integer = np.issubdtype(dtype, np.integer)
    check_positions(spec, positions.shape, dtype.name, is_integer, ("float32", "float64"))
    return spec.pairs.coordinates(positions)


def phase_cos_sin(phase: Int64[np.ndarray, "*rows P"], attention_factor: float = 1.0) -> Table:
    """float32 cos and sin of a phase in units of 2 ** -32 turns, times the attention factor."""
    cos, sin, scale = integer_cos_sin(phase, attention_factor)
    return cos.astype(np.float32) * np.float32(scale), sin.astype(np.float32) * np.float32(scale)


def integer_cos_sin(phase: Integers, attention_factor: float) -> tuple[Integers, Integers, float]:
    """cos and sin as integers below 2 ** 32, and their unit.

    Only operators are used, so that arrays of NumPy and of torch both work. A mask is 0 or -1,
    whose bits are all set: `(x ^ mask) - mask` is x or -x.
    """
    quadrant = (phase + 2**29) >> 30
    remainder = phase - (quadrant << 30)
    negative = remainder >> 63
    u = ((remainder ^ negative) - negative) << 2
    z = (u * u) >> 32 << 1
    cos, sin = 2**31 - 1 - ((_horner(COS, z) * z) >> 32), (_horner(SIN, z) * u) >> 32
    multiplier, scale = fixed_point(attention_factor)
    if multiplier:
        cos, sin = (cos * multiplier + 2**31) >> 32, (sin * multiplier + 2**31) >> 32
    sin = (sin ^ negative) - negative
    swap = (cos ^ sin) & -(quadrant & 1)  # both in the odd quadrants, 0 in the even ones
    cos, sin = cos ^ swap, sin ^ swap
    cos_negative, sin_negative = -((quadrant + 1) >> 1 & 1), -(quadrant >> 1 & 1)
    return (cos ^ cos_negative) - cos_negative, (sin ^ sin_negative) - sin_negative, scale


def _horner(coefficients: tuple[int, ...], z: Any) -> Any:
    """`c0 - z (c1 - z (c2 - ...))`.

    z is in units of 2 ** -31. The scale of the coefficients doubles from one to the next, so that
    each step shifts by 32.
    """
    value: Any = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = coefficient - ((value * z) >> 32)
    return value


def fixed_point(attention_factor: float) -> tuple[int, float]:
    """`(multiplier, scale)`: `multiplier / 2 ** 32 * scale` is `attention_factor / 2 ** 31`.

    The multiplier has 32 bits, while a float32 factor has 24. It is 0 for a factor of 1: then
    nothing is multiplied.
    """
    if attention_factor == 1.0:
        return 0, 2.0**-31
    fraction, exponent = math.frexp(attention_factor)
    return min(round(fraction * 2**32), 2**32 - 1), 2.0 ** (exponent - 31)
