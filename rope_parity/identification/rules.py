"""Reads a scaling rule from the ratio of frequencies to a plain ladder.

The ratio may be a constant, a blend or a ramp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rope_spec import Explicit, Linear, Llama3, Pairs, PerAxis, RopeSpec, Yarn
from rope_spec.rules import Rule

from .ladders import fits, plain, round_within, scaled, theta_that_fits, unit_of, yarn_ramp

FIRST = 4  # pairs that every rule of a ramp leaves as they are
CONTEXTS = tuple(2**k for k in range(10, 21))


def readings(spec: RopeSpec, w: np.ndarray, allowed: np.ndarray) -> Iterator[RopeSpec]:
    """Descriptions with the pairs of `spec` that have these frequencies within what is allowed."""
    w, allowed = w / unit_of(spec), allowed / unit_of(spec)
    given, spec = spec, replace(spec, unit="radian")
    k = 2 * np.array(spec.pairs.frequency_index) / spec.pairs.frequency_dim
    for candidate in _candidates(spec, k, w):
        if candidate is None:
            continue
        theta = candidate.theta
        if fits(scaled(plain(candidate, k, theta), candidate, None), w, allowed):
            yield replace(candidate, unit=given.unit)


def _candidates(spec: RopeSpec, k: np.ndarray, w: np.ndarray) -> Iterator[RopeSpec | None]:
    theta = theta_that_fits(lambda theta: theta**-k, w)
    for digits in (1, 2, 3, 4, 17):  # the shortest number that fits
        yield with_rule(spec, float(f"{theta:.{digits}g}"), None)
    if spec.pairs.axes > 1:
        yield with_rule(spec, spec.theta, per_axis(np.array(spec.pairs.axis), k, w))
    for coarse in (2e-5, 2e-7):
        if linear := linear_factor(k, w, coarse):
            yield with_rule(spec, linear[0], Linear(linear[1]))
    for theta in first_thetas(k, w):
        yield from (with_rule(spec, theta, rule) for rule in ramps(spec, theta, w))


def with_rule(spec: RopeSpec, theta: float, rule: Rule | None) -> RopeSpec | None:
    """The spec with another theta and rule; None where those are beyond every model."""
    return valid(lambda: replace(spec, theta=theta, rule=rule))


def valid(build: Callable[[], Any]) -> Any:
    """What `build` returns, or None where it refuses its numbers."""
    try:
        return build()
    except (ValueError, OverflowError):
        return None


def linear_factor(k: np.ndarray, w: np.ndarray, coarse: float = 2e-5) -> tuple[float, float] | None:
    """theta, rounded by `coarse` at most, and factor of a ladder that is divided as a whole."""
    if len(set(k)) < 3:
        return None
    slope, start = np.polyfit(k, np.log(np.abs(w)), 1)
    theta, factor = (float(np.exp(np.clip(-value, -60, 60))) for value in (slope, start))
    return round_within(theta, coarse), round_within(factor, coarse / 10)


def per_axis(axis: np.ndarray, k: np.ndarray, w: np.ndarray) -> PerAxis | None:
    """A base and a divisor for each axis; None where one has too few frequencies to tell."""
    of_axis = [_base_and_divisor(k[axis == a], w[axis == a]) for a in range(axis.max() + 1)]
    bases, divisors = zip(*of_axis, strict=True)
    return valid(lambda: PerAxis(bases, divisors))


def _base_and_divisor(k: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    base, divisor = linear_factor(k, w) or (0.0, 0.0)
    return (theta_that_fits(lambda theta: theta**-k, w), 1.0) if divisor == 1 else (base, divisor)


def first_thetas(k: np.ndarray, w: np.ndarray) -> list[float]:
    """Candidates for theta from the fast pairs, which a ramp leaves alone."""
    order = np.argsort(k)
    used = [j for j in order if k[j] > 0][:FIRST]
    values = [float(np.exp(min(-np.log(np.abs(w[j])) / k[j], 60.0))) for j in used]
    return sorted(
        {round_within(value, float(3e-6 / k[j])) for value, j in zip(values, used, strict=True)}
    )


def ramps(
    spec: RopeSpec,
    theta: float,
    w: np.ndarray,
    ladder: np.ndarray | None = None,
    factor: float | None = None,
    tolerance: float | np.ndarray = 1e-6,
) -> Iterator[Llama3 | Yarn]:
    """The rules whose blend of kept and divided frequencies gives these ratios to a plain ladder.

    Args:
        spec: its pairs have frequency indices.
        theta: of the ladder.
        w: the frequencies that were read.
        ladder: before the rule; by default that of theta.
        factor: of the rule, where the frequencies do not show it; by default the largest stretch.
        tolerance: of the ratios, relative, one for all or `(P,)`.
    """
    index = np.array(spec.pairs.frequency_index)
    ladder = theta ** (-2 * index / spec.pairs.frequency_dim) if ladder is None else ladder
    ratio = np.abs(w) / ladder
    if ratio.min() <= 0 or ratio.min() > 1 - 1e-4 or theta < 1.001:
        return
    tolerance = np.broadcast_to(tolerance, ratio.shape)
    factor = factor or _stretch(ratio, tolerance)
    keep = (ratio - 1 / factor) / (1 - 1 / factor) if factor != 1 else np.ones(len(ratio))
    blended = (keep > 40 * tolerance) & (keep < 1 - 40 * tolerance)
    weight = 1 / tolerance[blended]
    yield from filter(None, _llama3(ladder, keep, blended, weight, factor))
    yield from filter(None, _yarn(spec, theta, index, keep, blended, weight, factor))


def _stretch(ratio: np.ndarray, tolerance: np.ndarray) -> float:
    """The factor of the pairs that are slowed down most, as far as they can be told apart."""
    slowest = ratio <= ratio.min() * (1 + 8 * tolerance)
    mean = np.average(ratio[slowest], weights=tolerance[slowest] ** -2.0)
    return round_within(float(1 / mean), max(1e-5, float(4 * tolerance[slowest].min())))


def _llama3(
    ladder: np.ndarray, keep: np.ndarray, blended: np.ndarray, weight: np.ndarray, factor: float
) -> Iterator[Llama3 | None]:
    """`keep` is linear in the frequency; one scale of (length, low, high) is free: low is 1."""
    if len(set(ladder[blended])) < 2:
        kept, other = ladder[keep > 0.5], ladder[keep <= 0.5]
        if len(kept) and len(other) and not blended.any():
            middle = np.sqrt(kept.min() * other.max())
            yield valid(lambda: Llama3(factor, 1.0, 1.0, max(round(2 * np.pi / middle), 1)))
        return
    slope, start = np.polyfit(ladder[blended], keep[blended], 1, w=weight)
    if slope <= 0 or start >= 0:
        return
    high = round_within(float(1 - 1 / start), 2e-4)
    exact = min(2 * np.pi * slope * (high - 1), 1e15)
    length = round(exact)
    nearest = [n for n in CONTEXTS if abs(n - exact) < 2e-3 * n]
    yield valid(lambda: Llama3(factor, 1.0, high, (nearest or [max(length, 1)])[0]))
    yield valid(lambda: Llama3(factor, 1.0, float(1 - 1 / start), max(length, 1)))


def _yarn(
    spec: RopeSpec,
    theta: float,
    index: np.ndarray,
    keep: np.ndarray,
    blended: np.ndarray,
    weight: np.ndarray,
    factor: float,
) -> Iterator[Yarn | None]:
    """YaRN, whose `keep` is linear in the index of the frequency.

    Of the betas and the length only the ends of the ramp can be read.
    """
    if len(set(index[blended])) < 2:
        return
    slope, start = np.polyfit(index[blended], keep[blended], 1, w=weight)
    if slope >= 0:
        return
    ends = (1 - start) / slope, -start / slope
    for length in CONTEXTS:
        rule = valid(lambda length=length: Yarn(factor, length))
        if rule and np.allclose(yarn_ramp(rule, theta, spec.pairs.frequency_dim), ends, atol=0.02):
            yield rule
    dim, unit = spec.pairs.frequency_dim, 2 * np.log(theta)
    turns = [
        4096 / (2 * np.pi) * float(np.exp(np.clip(-end * unit / dim, -60, 60))) for end in ends
    ]
    yield valid(
        lambda: Yarn(factor, 4096, beta_fast=turns[0], beta_slow=min(turns), truncate=False)
    )


def explicit(spec: RopeSpec, w: np.ndarray, factor: float) -> RopeSpec:
    """The description as a list of frequencies, where no formula fits."""
    pairs = Pairs(spec.pairs.axis, tuple(range(len(w))), 2 * len(w))
    rule = Explicit(tuple((w / unit_of(spec)).tolist()), factor)
    return replace(spec, pairs=pairs, rule=rule)
