"""How far two ways to compute a rotation may lie apart, derived, as a fraction of the length of the pair.

u = 2 ** -24 is the unit roundoff of float32; a dtype of 16 bits rounds by at most eps / 2. A cos with an error of d moves a
component of a turned pair by at most sqrt(2) d |pair|, as |x_a| + |x_b| <= sqrt(2) |pair|.
"""

from __future__ import annotations

import math

import numpy as np

from rope_spec import Arithmetic, DynamicNTK, Linear, Llama3, LongRope, Proportional, RopeSpec, Yarn

from . import oracle
from .measure import eps_of

U = 2.0**-24
TORCH_POWER = 2 * U  # 1 ULP, which torch's power keeps (SLEEF's powf with its bound of 1.0 ULP)
ROUNDED_POWER = U  # half an ULP, as `rope_spec.frequencies` rounds it from float64
SECOND_ORDER = 1 + 1e-5  # products of the errors above are below 1e-6 of them

EQUAL, ULP, TABLE, ROTATION, ANGLE = "equal bytes", "1 ULP", "exact table", "one rounding", "float32 angle"
DERIVATIONS = {
    EQUAL: "both sides do the same operations on the same numbers, so every byte is the same",
    ULP: "1 ULP of float32, for one rounded function; twice that where a factor is multiplied in",
    TABLE: "3.2e-8 f for cos and sin (rope_spec/phase.py), and half an ULP of the product where the factor f is not 1",
    ROTATION: "sqrt(2) times the error of the table, u for products, u for the sum, half an ULP for the cast; u = 2 ** -24",
    ANGLE: "transformers' float32 angle: |p| |error of its inv_freq| + u |angle|; then the roundings of both sides",
}


def exact_table(factor: float) -> float:
    """Our cos and sin: 3.2e-8 f, from `rope_spec.phase`; half an ULP of the product where the attention factor f is not 1."""
    return 3.2e-8 * factor + (float(np.spacing(np.float32(factor))) / 2 if factor != 1 else 0.0)


def float32_table(positions: np.ndarray, inv_freq: np.ndarray, error: np.ndarray, factor: float) -> np.ndarray:
    """Their cos and sin: `|p| error` for the frequency, u |angle| for the product, an ULP for cos, u for each rounding of f."""
    angle_error = np.abs(positions) * (np.abs(error) + U * np.abs(inv_freq))
    return np.minimum(angle_error + 2 * U + (2 * U if factor != 1 else 0.0), 2.0)


def rotation(table: np.ndarray | float, dtype: np.dtype, arithmetic: Arithmetic) -> np.ndarray | float:
    """A rotated pair, with cos and sin that are off by `table`.

    float32 inside: u for the products (|x_a c| + |x_b s| <= |pair|), u for the sum, half an ULP of the dtype for the cast.
    In the dtype of x: half an ULP each for cos and sin, for the products and for the sum.
    """
    half = eps_of(dtype) / 2
    if arithmetic.rotate_in == "input":
        return (math.sqrt(2) * (table + half) + 2 * half) * (SECOND_ORDER + 2 * half)
    return (math.sqrt(2) * table + 2 * U + (half if half > U else 0.0)) * SECOND_ORDER


def float32_ladder(spec: RopeSpec, seq_len: int | None = None, power: float = TORCH_POWER) -> np.ndarray:
    """Inverse frequencies in float32: how far each may be from the exact one, as a fraction of it, `(P,)`.

    The errors of transformers' operations (modeling_rope_utils.py), each carried to the result to first order: u for an
    operation, what a constant loses as float32, and `power` for `theta ** (2 k / d)`, whose exponent and base are rounded.

    Args:
        spec: the rotary embedding.
        seq_len: the current length, for the rules that depend on it.
        power: relative error of the power function: an ULP in torch, u where the result is rounded correctly.
    """
    w, rule = _powers(spec, seq_len, power), spec.rule
    match rule:
        case Linear(factor=factor) | Proportional(factor=factor):  # 1 / w / factor
            error = w + 2 * U + _lost(factor)
        case LongRope():  # 1 / (factor_k w)
            error = w + 3 * U
        case Llama3():
            error = w + _blend(*_llama3_share(spec, rule, w), rule.factor)
        case Yarn():
            error = w + _blend(*_yarn_share(spec, rule), rule.factor)
        case _:  # 1 / w
            error = w + U
    return error[list(spec.pairs.rung)] * SECOND_ORDER


def _powers(spec: RopeSpec, seq_len: int | None, power: float) -> np.ndarray:
    """`base ** (2 k / d)`: relative errors `ln(base) |d exponent|` and `exponent |d base|`, and that of the function."""
    dim = spec.pairs.ladder_dim
    exponent, rounded = np.arange(0, dim, 2) / dim, np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)
    base, error = spec.theta, _lost(spec.theta)
    if isinstance(spec.rule, DynamicNTK) and (seq_len or 0) > spec.rule.max_position_embeddings:
        stretch, error = _ntk_stretch(spec.rule, seq_len, dim / (dim - 2), power)
        base *= stretch
    return abs(math.log(base)) * np.abs(rounded - exponent) + exponent * error + power


def _ntk_stretch(rule: DynamicNTK, length: int, exponent: float, power: float) -> tuple[float, float]:
    """`(factor L / L0 - (factor - 1)) ** exponent` for a tensor L, hence in float32, and the relative error of theta times it."""
    first, second = rule.factor * length / rule.max_position_embeddings, rule.factor - 1
    difference = first - second
    lost = _lost(rule.factor) + _lost(length) + _lost(rule.max_position_embeddings) + 2 * U
    error = (first * lost + abs(second) * U) / difference + U
    return difference**exponent, exponent * error + abs(math.log(difference)) * exponent * U + power + 2 * U


def _llama3_share(spec: RopeSpec, rule: Llama3, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(L0 / wavelength - low) / (high - low)`, the share of a frequency that is kept, and its absolute error.

    Two quotients, each a reciprocal times a constant in torch, and the constant 2 pi, are 5 u.
    """
    length, low, span = rule.original_max_position_embeddings, rule.low_freq_factor, rule.high_freq_factor - rule.low_freq_factor
    turns = length / (2 * math.pi * _plain(spec))
    share = (turns - low) / span
    error = turns * (w + 6 * U + _lost(length)) + low * _lost(low) + np.abs(turns - low) * U
    return share, error / span + np.abs(share) * (U + _lost(span))


def _yarn_share(spec: RopeSpec, rule: Yarn) -> tuple[np.ndarray, np.ndarray]:
    """`1 - (k - start) / (end - start)`, the share of a frequency that is kept, and its absolute error.

    Both ends are Python floats, so what is lost begins with the subtraction.
    """
    start, end = map(float, oracle.yarn_range(rule, spec.pairs.ladder_dim, oracle.mpf(spec.theta)))
    k, span = np.arange(spec.pairs.rungs), end - start
    ramp = (k - start) / span
    error = (start * _lost(start) + np.abs(k - start) * U) / abs(span) + np.abs(ramp) * (U + _lost(span))
    return 1 - ramp, error + np.abs(1 - ramp) * U


def _blend(share: np.ndarray, error: np.ndarray, factor: float) -> np.ndarray:
    """`share x + (1 - share) x / factor` for a share that is cut off at 0 and 1: the relative error beside that of x.

    3 u for the reciprocal, the product and the sum of what is kept; two more, and the factor, for what is divided.
    """
    ramps = (share > -error) & (share < 1 + error)
    share, error = np.clip(share, 0, 1), np.where(ramps, np.minimum(error, 1), 0)
    divided = (1 - share) / factor
    return (abs(1 - 1 / factor) * error + share * 3 * U + divided * (5 * U + _lost(factor))) / (share + divided)


def _plain(spec: RopeSpec) -> np.ndarray:
    """`theta ** (2 k / d)` of each rung."""
    return spec.theta ** (np.arange(0, spec.pairs.ladder_dim, 2) / spec.pairs.ladder_dim)


def _lost(constant: float) -> float:
    """What a Python number loses as float32, as a fraction of it."""
    return abs(float(np.float32(constant)) - constant) / abs(constant) if constant else 0.0
