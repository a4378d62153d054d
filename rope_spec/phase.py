"""Exact cos and sin of `position * inv_freq`, from integer arithmetic: the same bits in NumPy, PyTorch and JAX.

`turns` holds inv_freq / 2 pi as a 64-bit fraction of a turn, so `position * turns` modulo 2 ** 64 is the exact angle, for any
integer position. Its top 32 bits, rounded, are the phase. The phase folds into an eighth of a turn around a quadrant; there
two polynomials in integers give cos and sin in units of 2 ** -31; one correctly rounded conversion makes them float32.

Error of cos and sin, for |position| < 2 ** 31, in units of 1e-8: 2.98 for the conversion (half an ULP below 1), 0.073 for the
rounded phase (2 pi 2 ** -33), 0.037 for the rounded turns (2 pi 2 ** -65 2 ** 31), 0.079 for the polynomials (measured):
at most 3.17.
"""

import math
from typing import Any

import numpy as np

from .checks import check_arrays, check_positions, check_spec
from .frequencies import inverse_frequencies
from .spec import RopeSpec

# With z the squared remainder in units of an eighth of a turn, coefficient k scaled by 2 ** (32 + k), signs alternating:
# cos = 1 - z (C0 - z (C1 - ...)), sin = u (S0 - z (S1 - ...)). Interpolated at the Chebyshev nodes of [0, 1].
COS = (1324675878, 136187728, 5599974, 121701)
SIN = (3373259426, 693598667, 42784630, 1256618, 21234)


def cos_sin(
    spec: RopeSpec, positions: np.ndarray, seq_len: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Exact cos and sin in NumPy, times the attention factor.

    Args:
        spec: the rotary embedding.
        positions: integers, `(..., S)`, or `(..., S, A)` for a spec with A > 1 axes.
        seq_len: the current length, which `DynamicNTK` and `LongRope` need.

    Returns:
        cos and sin, float32 `(..., S, P)`, within 3.2e-8 f, and half an ULP of the product where the attention factor f
        is not 1.
    """
    check_spec("cos_sin", spec)
    check_arrays("cos_sin", np.ndarray, positions=positions)
    frequencies = inverse_frequencies(spec, spec.effective_length(seq_len))
    per_pair = pair_positions(spec, positions)
    if spec.real:
        angle, factor = (
            per_pair.astype(np.float32) * frequencies.inv_freq_float32,
            np.float32(frequencies.attention_factor),
        )
        return np.cos(angle) * factor, np.sin(angle) * factor
    phase = (per_pair.astype(np.int64) * frequencies.turns + 2**31) >> 32
    return phase_cos_sin(phase, frequencies.attention_factor)


def table_rows(
    spec: RopeSpec, positions: range, with_factor: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a cos/sin table: row p holds what coordinate p gives to each pair, whatever its axis; float32 `(L, P)`."""
    frequencies = inverse_frequencies(spec)
    phase = (np.array(positions, np.int64)[:, None] * frequencies.turns + 2**31) >> 32
    return phase_cos_sin(phase, frequencies.attention_factor if with_factor else 1.0)


def pair_positions(spec: RopeSpec, positions: np.ndarray) -> np.ndarray:
    """The coordinate of each pair: `(..., S) -> (..., S, 1)`, `(..., S, A) -> (..., S, P)`."""
    check_positions(
        spec, positions.shape, positions.dtype.name, np.issubdtype(positions.dtype, np.integer)
    )
    return spec.pairs.coordinates(positions)


def phase_cos_sin(
    phase: np.ndarray, attention_factor: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """float32 cos and sin of a phase: int64, in units of 2 ** -32 turns, any number of turns."""
    cos, sin, scale = integer_cos_sin(phase, attention_factor)
    return cos.astype(np.float32) * np.float32(scale), sin.astype(np.float32) * np.float32(scale)


def integer_cos_sin(phase: Any, attention_factor: float) -> tuple[Any, Any, float]:
    """cos and sin as integers below 2 ** 32, and their unit. By operators alone, so that torch tensors can be given too.

    A mask is 0 or -1, all bits set: `(x ^ mask) - mask` is x or -x.
    """
    quadrant = (phase + 2**29) >> 30
    remainder = phase - (quadrant << 30)
    below = remainder >> 63
    u = ((remainder ^ below) - below) << 2
    z = (u * u) >> 32 << 1
    cos, sin = 2**31 - 1 - ((_horner(COS, z) * z) >> 32), (_horner(SIN, z) * u) >> 32
    multiplier, scale = fixed_point(attention_factor)
    if multiplier:
        cos, sin = (cos * multiplier + 2**31) >> 32, (sin * multiplier + 2**31) >> 32
    sin = (sin ^ below) - below
    exchanged = (cos ^ sin) & -(quadrant & 1)  # both in the odd quadrants, 0 in the even ones
    cos, sin = cos ^ exchanged, sin ^ exchanged
    cos_negative, sin_negative = -((quadrant + 1) >> 1 & 1), -(quadrant >> 1 & 1)
    return (cos ^ cos_negative) - cos_negative, (sin ^ sin_negative) - sin_negative, scale


def _horner(coefficients: tuple[int, ...], z: Any) -> Any:
    """`c0 - z (c1 - z (c2 - ...))`; the scales double from one coefficient to the next, so that each step shifts by 32."""
    value: Any = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = coefficient - ((value * z) >> 32)
    return value


def fixed_point(attention_factor: float) -> tuple[int, float]:
    """`(multiplier, scale)` with `value * multiplier / 2 ** 32 * scale` = `value * attention_factor * 2 ** -31`.

    The multiplier has 32 bits, where a float32 factor has 24; it is 0, for none, when the factor is 1.
    """
    if attention_factor == 1.0:
        return 0, 2.0**-31
    fraction, exponent = math.frexp(attention_factor)
    return min(round(fraction * 2**32), 2**32 - 1), 2.0 ** (exponent - 31)
