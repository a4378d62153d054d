"""How far two implementations of a rotation may lie apart, as a fraction of the length of a pair.

Every bound is derived. u = 2 ** -24 is the unit roundoff of float32; a dtype of 16 bits rounds by
at most eps / 2. A cos with an error of d moves a component of a turned pair by at most sqrt(2) d
|pair|, as |x_a| + |x_b| <= sqrt(2) |pair|.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from rope_spec import (
    Arithmetic,
    DynamicNTK,
    Linear,
    Llama3,
    LongRope,
    PerAxis,
    Proportional,
    RopeSpec,
    Yarn,
)

from . import oracle
from .measure import eps_of

U = 2.0**-24
TORCH_POWER = 2 * U  # 1 ULP, which torch's power keeps (SLEEF's powf with its bound of 1.0 ULP)
ROUNDED_POWER = U  # half an ULP, as `rope_spec.frequencies` rounds it from float64
# `0.1 m ln(s) + 1` is 6 roundings, a quotient of two 13, ours is 1
ATTENTION_FACTOR = 14 * 2.0**-53
NO_WIDTH = 1e-290  # of a step
SECOND_ORDER = 1 + 1e-5  # products of the errors above are below 1e-6 of them

EQUAL, ULP, TABLE = "equal bytes", "1 ULP", "exact table"
ROTATION, ANGLE = "one rounding", "float32 angle"
LADDER, FACTOR = "float32 ladder", "float64 factor"
DERIVATIONS = {
    EQUAL: "both sides do the same operations on the same numbers, so every byte is the same",
    ULP: "1 ULP of float32, for one rounded function; twice that where a factor is multiplied in",
    TABLE: "3.2e-8 f for cos and sin (rope_spec/phase.py), and half an ULP of the product where "
    "the factor f is not 1",
    ROTATION: "sqrt(2) times the error of the table, u for products, u for the sum, half an ULP "
    "for the cast; u = 2 ** -24",
    ANGLE: "transformers' float32 angle: |p| |error of its inv_freq| + u |angle|; then the "
    "roundings of both sides",
    LADDER: "each operation of the rule in float32, carried to the result (rope_parity/bounds.py)",
    FACTOR: "14 roundings of float64: two logarithms, what is made of them, and their quotient",
}


def exact_table(factor: float) -> float:
    """The error of our cos and sin: 3.2e-8 f, from `rope_spec.phase`.

    Where the attention factor f is not 1, half an ULP of the product is added.
    """
    return 3.2e-8 * factor + (float(np.spacing(np.float32(factor))) / 2 if factor != 1 else 0.0)


def float32_table(
    positions: np.ndarray, inv_freq: np.ndarray, error: np.ndarray, factor: float
) -> np.ndarray:
    """The error of transformers' cos and sin, as a fraction of the attention factor.

    `|p| error` for the frequency, u |angle| for the product, and once more where the position is
    rounded, beyond 2 ** 24; an ULP for cos; u for each rounding of the factor.
    """
    roundings = 1 + (np.abs(positions) > 2**24)
    angle_error = np.abs(positions) * (np.abs(error) + roundings * U * np.abs(inv_freq))
    return np.minimum(angle_error + 2 * U + (2 * U if factor != 1 else 0.0), 2.0)


def rotation(
    table: np.ndarray | float, dtype: np.dtype, arithmetic: Arithmetic
) -> np.ndarray | float:
    """The error of a rotated pair whose cos and sin are off by `table`.

    float32 inside: u for the products (|x_a c| + |x_b s| <= |pair|), u for the sum, half an ULP of
    the dtype for the cast. In the dtype of x: half an ULP each for cos and sin, for the products
    and for the sum.
    """
    half = eps_of(dtype) / 2
    if arithmetic.rotate_in == "input":
        return (math.sqrt(2) * (table + half) + 2 * half) * (SECOND_ORDER + 2 * half)
    return (math.sqrt(2) * table + 2 * U + (half if half > U else 0.0)) * SECOND_ORDER


def float32_ladder(
    spec: RopeSpec, seq_len: int | None = None, power: float = TORCH_POWER
) -> np.ndarray:
    """How far a float32 inverse frequency may be from the exact one, as a fraction of it, `(P,)`.

    The errors of transformers' operations (modeling_rope_utils.py), each carried to the result to
    first order: u for an operation, what a constant loses as float32, and `power` for the function
    in `theta ** (2 k / d)`, whose base and exponent are rounded as well.

    Args:
        spec: the rotary embedding.
        seq_len: the current length, for the rules that depend on it.
        power: relative error of the power function: an ULP in torch, u where it rounds correctly.
    """
    turn = U + _lost(2 * math.pi) if spec.unit == "turn" else 0.0  # the product with 2 pi
    if isinstance(spec.rule, PerAxis):
        error = _per_axis(spec, spec.rule, power)[
            list(spec.pairs.axis), list(spec.pairs.frequency_index)
        ]
        return (error + turn) * SECOND_ORDER
    w, rule = _powers(spec, seq_len, power), spec.rule
    match rule:
        case Linear(factor=factor) | Proportional(factor=factor):  # 1 / w / factor
            error = w + 2 * U + _lost(factor)
        case LongRope():  # 1 / (factor_k w), and factor_k is rounded
            error = w + 3 * U
        case Llama3():
            error = w + _blend(*_llama3_share(spec, rule, w), rule.factor)
        case Yarn():
            error = w + _blend(*_yarn_share(spec, rule), rule.factor)
        case _:  # 1 / w
            error = w + U
    return (error[list(spec.pairs.frequency_index)] + turn) * SECOND_ORDER


def _per_axis(spec: RopeSpec, rule: PerAxis, power: float) -> np.ndarray:
    """`1 / w / divisor` with a base for each axis, `(A, K)`: a divisor of 1 rounds nothing."""
    return np.stack(
        [
            _powers(replace(spec, theta=theta, rule=None), None, power)
            + (U if divisor == 1 else 2 * U + _lost(divisor))
            for theta, divisor in zip(rule.theta, rule.divisor, strict=True)
        ]
    )


def _powers(spec: RopeSpec, seq_len: int | None, power: float) -> np.ndarray:
    """Relative error of `base ** e` with e = 2 k / d.

    That is `|ln(base) de| + |e dbase|`, and the error of the power function.
    """
    dim = spec.pairs.frequency_dim
    even = np.arange(0, dim, 2)
    exponent, rounded = even / dim, even.astype(np.float32) / np.float32(dim)
    stretch, error = _ntk_stretch(spec.rule, seq_len or 0, dim, power)
    log = abs(math.log(spec.theta * stretch))
    return log * np.abs(rounded - exponent) + exponent * (_lost(spec.theta) + error) + power


def _ntk_stretch(rule: object, length: int, dim: int, power: float) -> tuple[float, float]:
    """Dynamic NTK's `(factor L / L0 - (factor - 1)) ** e` and the relative error of theta times it.

    A length beyond L0 comes as a tensor, hence all of it is float32; up to L0 theta stays as it is.
    """
    if not isinstance(rule, DynamicNTK) or length <= rule.max_position_embeddings:
        return 1.0, 0.0
    factor, original, exponent = rule.factor, rule.max_position_embeddings, dim / (dim - 2)
    product, difference = factor * length / original, factor * length / original - (factor - 1)
    absolute = product * (_lost(factor) + _lost(length) + _lost(original) + 2 * U)
    relative = (absolute + abs(factor - 1) * U) / difference + U
    error = exponent * (relative + abs(math.log(difference)) * U) + power + U
    return difference**exponent, error


def _llama3_share(spec: RopeSpec, rule: Llama3, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(L0 / wavelength - low) / (high - low)`, the share that is kept, and its absolute error.

    `1 / w`, `2 pi / (1 / w)` and `L0 / wavelength` are 6 u: torch divides a number by a tensor in
    two roundings, and 2 pi is rounded too. Where low is high the share is a step, on both sides of
    which, as near as the error, either value is right.
    """
    length, low = rule.original_max_position_embeddings, rule.low_freq_factor
    span = rule.high_freq_factor - low
    even = np.arange(0, spec.pairs.frequency_dim, 2)
    turns = length / (2 * math.pi) * spec.theta ** -(even / spec.pairs.frequency_dim)
    error = turns * (w + 6 * U + _lost(length)) + low * _lost(low) + np.abs(turns - low) * U
    width = max(span, NO_WIDTH)
    share = (turns - low) / width
    return share, error / width + np.abs(share) * (U + _lost(span))


def _yarn_share(spec: RopeSpec, rule: Yarn) -> tuple[np.ndarray, np.ndarray]:
    """`1 - (k - start) / (end - start)`, the share that is kept, and its absolute error.

    Both ends are Python floats, so what is lost begins with the subtraction.
    """
    ends = oracle.yarn_range(rule, spec.pairs.frequency_dim, oracle.mpf(spec.theta))
    start, end = map(float, ends)
    k, span = np.arange(spec.pairs.num_frequencies), end - start
    ramp = (k - start) / span
    error = (start * _lost(start) + np.abs(k - start) * U) / abs(span)
    error += np.abs(ramp) * (U + _lost(span))
    return 1 - ramp, error + np.abs(1 - ramp) * U


def _blend(share: np.ndarray, error: np.ndarray, factor: float) -> np.ndarray:
    """`share x + (1 - share) x / factor`, share cut off at 0 and 1: its error beside that of x.

    3 u for the reciprocal, the product and the sum of what is kept; two more, and what the factor
    loses, for what is divided.
    """
    ramps = (share > -error) & (share < 1 + error)
    share, error = np.clip(share, 0, 1), np.where(ramps, np.minimum(error, 1), 0)
    divided = (1 - share) / factor
    roundings = share * 3 * U + divided * (5 * U + _lost(factor))
    return (abs(1 - 1 / factor) * error + roundings) / (share + divided)


def _lost(constant: float) -> float:
    """The relative error of a Python number that is converted to float32."""
    return abs(float(np.float32(constant)) - constant) / abs(constant) if constant else 0.0
