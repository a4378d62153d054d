"""Frequency ladders in float64.

Common exponents, what a rule makes of a ladder, and the theta that fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rope_spec import (
    DynamicNTK,
    Explicit,
    Linear,
    Llama3,
    LongRope,
    PerAxis,
    Proportional,
    RopeSpec,
    Yarn,
)
from rope_spec.rules import Rule

from .number import SINGLE, wrap

THETAS = 4.0, 1e10  # no model is beyond


def room(w: np.ndarray, uncertainty: np.ndarray, relative: float = 0.0) -> np.ndarray:
    """How far the frequencies of a right float32 computation may be from exact ones."""
    logarithm = np.abs(np.log(np.maximum(np.abs(w), 1e-30)))
    return uncertainty + np.abs(w) * (SINGLE * (6 + 4 * logarithm) + relative) + 1e-12


def fits(candidate: np.ndarray, w: np.ndarray, allowed: np.ndarray, outliers: float = 0.0) -> bool:
    """Whether two lists of frequencies are the same modulo a turn, but for a share of outliers."""
    return bool(np.mean(np.abs(wrap(candidate - w)) <= allowed) >= 1 - outliers)


def exponents(spec: RopeSpec) -> dict[str, np.ndarray]:
    """The negated exponents of theta by the name of the mistake; `""` is the right one."""
    k, d, pairs = (
        np.array(spec.pairs.frequency_index, float),
        spec.pairs.frequency_dim,
        spec.pairs.num_frequencies,
    )
    others = {spec.head_dim, spec.rotary_dim, 2 * spec.rotary_dim, spec.head_dim // 2} - {d}
    return {
        "": 2 * k / d,
        f"k / {d} instead of 2 k / {d}": k / d,
        f"4 k / {d} instead of 2 k / {d}": 4 * k / d,
        f"2 (k + 1) / {d}: it begins one step late": 2 * (k + 1) / d,
        f"2 (k - 1) / {d}: it begins one step early": 2 * (k - 1) / d,
        f"(2 k + 1) / {d}: it begins half a step late": (2 * k + 1) / d,
        f"2 k / {d - 2} instead of 2 k / {d}": 2 * k / max(d - 2, 1),
        f"2 k / {d + 2} instead of 2 k / {d}": 2 * k / (d + 2),
        f"2 k / {d - 1} instead of 2 k / {d}": 2 * k / max(d - 1, 1),
        f"2 k / {d + 1} instead of 2 k / {d}": 2 * k / (d + 1),
        "of the wrong sign": -2 * k / d,
        "counted from the last pair": 2 * (pairs - 1 - k) / d,
        "counted from the last pair, from one": 2 * (pairs - k) / d,
        **{
            f"2 k / {other} instead of 2 k / {d}": 2 * k / other
            for other in sorted(others)
            if other
        },
    }


def plain(spec: RopeSpec, exponent: np.ndarray, theta: float | None = None) -> np.ndarray:
    """A ladder before any rule, `(P,)`."""
    return (theta or spec.theta) ** -exponent * unit_of(spec)


def unit_of(spec: RopeSpec) -> float:
    """What a frequency of 1 is in radians."""
    return 2 * np.pi if spec.unit == "turn" else 1.0


def scaled(
    w: np.ndarray, spec: RopeSpec, length: int | None, theta: float | None = None
) -> np.ndarray:
    """What the rule of the spec makes of the frequencies of its pairs."""
    rule, k, theta = spec.rule, np.array(spec.pairs.frequency_index), theta or spec.theta
    match rule:
        case Linear(factor=factor):
            return w / factor
        case Proportional(rotated=count, factor=factor):
            return np.where(k < count, w / factor, 0.0)
        case LongRope(original_max_position_embeddings=original):
            beyond = (length or 0) > original
            return w / np.array(rule.long_factor if beyond else rule.short_factor)[k]
        case DynamicNTK():
            return w * _ntk_stretch(rule, length) ** (-2 * k / (spec.pairs.frequency_dim - 2))
        case Llama3(factor=factor, low_freq_factor=low, high_freq_factor=high):
            turns = rule.original_max_position_embeddings * np.abs(w) / (2 * np.pi)
            keep = (turns - low) / (high - low) if high > low else (turns >= low) * 1.0
            return w * _blend(keep, factor)
        case Yarn(factor=factor):
            start, end = yarn_ramp(rule, theta, spec.pairs.frequency_dim)
            return w * _blend(1 - (k - start) / (end - start), factor)
        case Explicit(inv_freq=inv_freq):
            return np.array(inv_freq)[k] * unit_of(spec)
        case PerAxis(theta=bases, divisor=divisors):
            axis = np.array(spec.pairs.axis)
            powers = np.array(bases)[axis] ** (-2 * k / spec.pairs.frequency_dim)
            return powers / np.array(divisors)[axis] * unit_of(spec)
    return w


def _blend(keep: np.ndarray, factor: float) -> np.ndarray:
    keep = np.clip(keep, 0, 1)
    return keep + (1 - keep) / factor


def _ntk_stretch(rule: DynamicNTK, length: int | None) -> float:
    longer = max(length or 0, rule.max_position_embeddings) / rule.max_position_embeddings
    return rule.factor * longer - (rule.factor - 1)


def yarn_ramp(rule: Yarn, theta: float, dim: int) -> tuple[float, float]:
    """The indices of the frequencies where the ramp of YaRN begins and ends."""
    length = rule.original_max_position_embeddings
    start, end = (
        dim * math.log(length / (2 * math.pi * beta)) / (2 * math.log(theta))
        for beta in (rule.beta_fast, rule.beta_slow)
    )
    if rule.truncate:
        start, end = math.floor(start), math.ceil(end)
    start, end = max(start, 0), min(end, dim - 1)
    return (start, end) if start != end else (start, end + 0.001)


def theta_that_fits(ladder: Callable[[float], np.ndarray], w: np.ndarray) -> float:
    """The theta whose ladder is nearest to `w` in the mean of the logarithms, by finer grids."""
    target = np.log(np.maximum(np.abs(w), 1e-30))
    low, high = map(math.log, THETAS)
    for count in (600, 160, 160, 160, 160):
        grid = np.linspace(low, high, count)
        misses = [_miss(ladder(math.exp(value)), target) for value in grid]
        best, step = grid[int(np.argmin(misses))], grid[1] - grid[0]
        low, high = best - 2 * step, best + 2 * step
    return round_within(math.exp(best), 3 * step)


def _miss(candidate: np.ndarray, target: np.ndarray) -> float:
    return float(np.abs(np.log(np.maximum(np.abs(candidate), 1e-30)) - target).mean())


def round_within(value: float, relative: float) -> float:
    """The number with the fewest digits within this relative distance."""
    for digits in range(1, 15):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= relative * abs(value):
            return short
    return value


def rule_text(rule: Rule | None) -> str:
    """The name of a rule."""
    return "none" if rule is None else type(rule).__name__
