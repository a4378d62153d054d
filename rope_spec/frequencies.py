"""From a spec to the inverse frequency of each pair, twice: correctly rounded, and in float32.

A pair with frequency index k has `w = theta ** (2 k / frequency_dim)`, and its frequency without
a rule is `1 / w`. Each rule is written once, as a function of w, and evaluated twice: in `Decimal`
with 50 digits, which gives the same result on every machine, and in float32 in the order of
operations of transformers' `modeling_rope_utils.py`. L0 is the original context of a rule.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from .pairs import Pairs
from .rules import DynamicNTK, Explicit, Linear, Llama3, LongRope, PerAxis, Proportional, Rule, Yarn
from .spec import RopeSpec

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
DIGITS = 50
ToNumber = Callable[[Any], Any]  # Decimal, or float for float32
PerPair = Shaped[np.ndarray, " P"]  # one number for each pair, Decimals or float32


class Frequencies(NamedTuple):
    """What `inverse_frequencies` returns; the arrays are read-only."""

    inv_freq: Float64[np.ndarray, " P"]  # radians per position, correctly rounded
    inv_freq_float32: Float32[np.ndarray, " P"]  # as transformers has it, but powers in float64
    turns: Int64[np.ndarray, " P"]  # turns per position in units of 2 ** -64, modulo one turn
    whole_turns: Int64[np.ndarray, " P"]  # per position, those that `turns` leaves out
    attention_factor: float  # multiplies cos and sin
    softmax_scale_factor: float  # attention multiplies its own scale by this (DeepSeek's YaRN)

    @property
    def all_turns(self) -> Shaped[np.ndarray, " P"]:
        """Turns per position in units of 2 ** -64, whole ones included: Python's integers."""
        fraction = self.turns.view(np.uint64).astype(object)
        return self.whole_turns.astype(object) * 2**64 + fraction


def inverse_frequencies(spec: RopeSpec, seq_len: int | None = None) -> Frequencies:
    """Inverse frequencies and factors of `spec` at a current sequence length.

    Args:
        spec: the rotary embedding.
        seq_len: the current length, which `DynamicNTK` and `LongRope` depend on; None: a length
            within the original context.

    Returns:
        `Frequencies`. They are cached: the same arguments give the same object.

    Raises:
        ValueError: `seq_len` is below 1, or a factor is not finite and above 0.
    """
    if seq_len is not None and seq_len < 1:
        raise ValueError(
            f"inverse_frequencies: got seq_len={seq_len}, expected at least 1, or None. Correct it."
        )
    return _computed(spec, seq_len)


@lru_cache(maxsize=1024)  # called by position: f(x) and f(x, None) would be two entries
def _computed(spec: RopeSpec, seq_len: int | None) -> Frequencies:
    with localcontext(prec=DIGITS):
        exact = _frequencies(spec, seq_len, Decimal)
        turns: list[int] = [int(round(value / (2 * PI) * 2**64)) for value in exact]
        factors = float(_attention_factor(spec.rule)), float(_softmax_scale_factor(spec.rule))
    if not all(0 < factor < math.inf for factor in factors):
        raise ValueError(
            f"{type(spec.rule).__name__}: got an attention factor of {factors[0]} and a softmax "
            f"factor of {factors[1]}, expected finite numbers above 0. They follow from factor, "
            "mscale and mscale_all_dim, or attention_factor."
        )
    if spec.real and (most := max(map(abs, turns))) >= 2**95:
        raise ValueError(
            f"inverse_frequencies: got {most / 2**64:.3g} turns for a coordinate of 1, expected "
            "fewer than 2 ** 31. Correct the frequencies, or their unit."
        )
    arrays = (
        exact.astype(np.float64),
        _frequencies(spec, seq_len, float).astype(np.float32),
        _int64(turns),
        _int64([turn >> 64 for turn in turns]),
    )
    for array in arrays:
        array.setflags(write=False)
    return Frequencies(*arrays, *factors)


def _int64(numbers: list[int]) -> Int64[np.ndarray, " P"]:
    """The numbers modulo 2 ** 64."""
    return np.array([number % 2**64 for number in numbers], np.uint64).view(np.int64)


def _frequencies(spec: RopeSpec, seq_len: int | None, number: ToNumber) -> PerPair:
    """The inverse frequency of every pair, in radians."""
    unit = 2 * _pi(number) if spec.unit == "turn" else 1
    return _of_rule(spec, seq_len, number) * unit


def _of_rule(spec: RopeSpec, seq_len: int | None, number: ToNumber) -> PerPair:
    """The inverse frequency of every pair, under the rule of the spec."""
    rule, pairs, theta = spec.rule, spec.pairs, number(spec.theta)
    if isinstance(rule, DynamicNTK):
        theta = _ntk_theta(theta, rule, seq_len, pairs.frequency_dim, number)
    base = _select(rule.theta, pairs.axis, number) if isinstance(rule, PerAxis) else theta
    w = _powers(base, pairs, number)
    match rule:
        case None | DynamicNTK():
            return 1 / w
        case Linear(factor=factor):
            return 1 / w / number(factor)
        case PerAxis(divisor=divisor):
            return 1 / w / _select(divisor, pairs.axis, number)
        case Yarn():
            return _yarn(w, rule, theta, pairs, number)
        case LongRope():
            return 1 / (_select(_divisors(rule, seq_len), pairs.frequency_index, number) * w)
        case Llama3():
            return _llama3(w, rule, number)
        case Proportional(rotated=rotated, factor=factor):
            return np.where(np.array(pairs.frequency_index) < rotated, 1 / w, 0 * w) / number(
                factor
            )
        case Explicit(inv_freq=inv_freq):
            return _select(inv_freq, pairs.frequency_index, number)


def _select(values: Sequence[float], index: Sequence[int], number: ToNumber) -> PerPair:
    """`values[index]` as Decimals or in float32, for an index of each pair."""
    dtype = object if number is Decimal else np.float32
    return np.array([number(values[i]) for i in index], dtype=dtype)


def _powers(base: Any, pairs: Pairs, number: ToNumber) -> PerPair:
    """`base ** (2 k / frequency_dim)`, as Decimals or in float32; one base, or one per pair."""
    even = range(0, pairs.frequency_dim, 2)
    exponent = _select(even, pairs.frequency_index, number) / pairs.frequency_dim
    return base**exponent if number is Decimal else _float32_power(base, exponent)


def _float32_power(base: Any, exponent: Any) -> Any:
    return np.power(np.float64(np.float32(base)), np.float64(exponent)).astype(np.float32)


def _ntk_theta(
    theta: Any, rule: DynamicNTK, seq_len: int | None, dim: int, number: ToNumber
) -> Any:
    """`theta (factor L / L0 - (factor - 1)) ** (d / (d - 2))` for a length L > L0, else theta."""
    factor, original = rule.factor, rule.max_position_embeddings
    if seq_len is None or seq_len <= original:
        return theta
    power = number(dim) / (dim - 2)
    if number is Decimal:
        return theta * (number(factor) * seq_len / original - (number(factor) - 1)) ** power
    stretch = np.float32(factor) * np.float32(seq_len) / np.float32(original)
    return np.float32(theta) * _float32_power(stretch - np.float32(factor - 1), power)


def _divisors(rule: LongRope, seq_len: int | None) -> tuple[float, ...]:
    """One for each frequency index: the long factors for a length beyond L0."""
    beyond = (seq_len or 0) > rule.original_max_position_embeddings
    return rule.long_factor if beyond else rule.short_factor


def _llama3(w: PerPair, rule: Llama3, number: ToNumber) -> PerPair:
    """Wavelengths above L0 / low are stretched, and those below L0 / high are kept.

    Between them a frequency is `(1 - s) / (factor w) + s / w`, where
    `s = (L0 / wavelength - low) / (high - low)`.
    """
    inv_freq, length = 1 / w, number(rule.original_max_position_embeddings)
    factors = rule.factor, rule.low_freq_factor, rule.high_freq_factor
    factor, low, high = map(number, factors)
    wavelength = 2 * _pi(number) / inv_freq
    smooth = (length / wavelength - low) / (high - low) if low != high else 1
    blend = (1 - smooth) * inv_freq / factor + smooth * inv_freq
    return np.where(
        wavelength > length / low,
        inv_freq / factor,
        np.where(wavelength < length / high, inv_freq, blend),
    )


def _yarn(w: PerPair, rule: Yarn, theta: Any, pairs: Pairs, number: ToNumber) -> PerPair:
    """`(1 - keep_k) / (factor w_k) + keep_k / w_k`: keep falls from 1 to 0 over `_yarn_range`."""
    low, high = _yarn_range(rule, theta, pairs.frequency_dim, number)
    ramp = (np.array(pairs.frequency_index).astype(w.dtype) - low) / (high - low)
    keep = 1 - np.clip(ramp, 0, 1).astype(w.dtype)
    return 1 / (number(rule.factor) * w) * (1 - keep) + 1 / w * keep


def _yarn_range(rule: Yarn, theta: Any, dim: int, number: ToNumber) -> tuple[Any, Any]:
    """The k, as fractions, whose pairs make `beta_fast` and `beta_slow` turns in L0 tokens."""
    length = number(rule.original_max_position_embeddings)
    turns = (number(beta) * 2 * _pi(number) for beta in (rule.beta_fast, rule.beta_slow))
    low, high = (dim * _ln(length / turn) / (2 * _ln(theta)) for turn in turns)
    if rule.truncate:
        low, high = number(math.floor(low)), number(math.ceil(high))
    low, high = max(low, number(0)), min(high, number(dim - 1))
    return low, high if high != low else high + number(0.001)


def _pi(number: ToNumber) -> Any:
    return PI if number is Decimal else math.pi


def _ln(x: Any) -> Any:
    return x.ln() if isinstance(x, Decimal) else math.log(x)


def _mscale(factor: Decimal, mscale: float = 1.0) -> Decimal:
    """YaRN's `0.1 mscale ln(factor) + 1`, or 1 for a factor of at most 1."""
    return Decimal("0.1") * Decimal(mscale) * factor.ln() + 1 if factor > 1 else Decimal(1)


def _attention_factor(rule: Rule | None) -> Decimal:
    match rule:
        case (
            Yarn(attention_factor=given)
            | LongRope(attention_factor=given)
            | Explicit(attention_factor=given)
        ) if given:
            return Decimal(given)
        case Yarn(factor=factor, mscale=mscale, mscale_all_dim=all_dim) if mscale and all_dim:
            return _mscale(Decimal(factor), mscale) / _mscale(Decimal(factor), all_dim)
        case Yarn(factor=factor):
            return _mscale(Decimal(factor))
        case LongRope(factor=factor, original_max_position_embeddings=length) if factor > 1:
            return (1 + Decimal(factor).ln() / Decimal(length).ln()).sqrt()
        case _:
            return Decimal(1)


def _softmax_scale_factor(rule: Rule | None) -> Decimal:
    match rule:
        case Yarn(scales_softmax=True, factor=factor, mscale_all_dim=all_dim) if all_dim:
            return _mscale(Decimal(factor), all_dim) ** 2
        case _:
            return Decimal(1)
