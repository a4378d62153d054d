"""The numbers of a rule, read from the frequencies that it gave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rope_spec import DynamicNTK, Linear, Llama3, LongRope, Proportional, RopeSpec, Yarn

from ..identification import rules
from ..identification.ladders import round_within, rule_text, scaled
from ..identification.result import Departure
from .ladder import Ladder
from .mistakes import Found, missing

CONSTANT = 3e-6  # relative scatter of a ratio that is one number


def parameters(spec: RopeSpec, ladder: Ladder, base: np.ndarray, theta: float) -> Found | None:
    """The rule of the description, or one where it has none, with other numbers.

    Args:
        spec: the description.
        ladder: what was read.
        base: the frequencies before the rule, `(P,)`.
        theta: their theta.
    """
    if not (base > 0).all():
        return None
    ratio, factor = ladder.w / base, getattr(spec.rule, "factor", 1.0)
    constant = float(np.median(ratio))
    if isinstance(spec.rule, Linear | Proportional) and ladder.fits(base * factor):
        return [Departure("rule_parameter", "factor", 1 / factor, factor)]
    if ladder.fits(base * constant) and abs(constant - 1) > 1e-6:
        return [_constant(spec, round_within(1 / constant, CONSTANT))]
    if isinstance(spec.rule, DynamicNTK):
        return None
    if isinstance(spec.rule, LongRope):
        return [Departure("rule_parameter", "factors", tuple((1 / ratio).tolist()))]
    counts_tokens = not spec.real and spec.unit == "radian"  # else no rule speaks of a context
    if not counts_tokens or not (ladder.w > 0).all():
        return None
    return _ramp(spec, ladder, base, theta)


def _constant(spec: RopeSpec, divisor: float) -> Departure:
    """The departure of a ladder that is divided by one number."""
    match spec.rule:
        case None:
            return Departure("rule_parameter", "factor", divisor, 1.0)
        case Linear(factor=factor) | Proportional(factor=factor):
            return Departure("rule_parameter", "factor", divisor, factor)
        case LongRope():
            return Departure("rule_parameter", "factors", divisor)
    return missing(spec, f"every frequency is divided by {divisor:g} instead")


def _ramp(spec: RopeSpec, ladder: Ladder, base: np.ndarray, theta: float) -> Found | None:
    """A rule that keeps the fast pairs and divides the slow ones, by any of its numbers."""
    for rule in _ramps(spec, ladder, base, theta):
        if ladder.fits(scaled(base, replace(spec, rule=rule), ladder.length, theta)):
            return [_changed(spec, rule)]
    return None


def _ramps(
    spec: RopeSpec, ladder: Ladder, base: np.ndarray, theta: float
) -> Iterator[Llama3 | Yarn]:
    doubt = ladder.uncertainty / np.abs(ladder.w)
    tolerance = np.maximum(doubt / 4, max(ladder.relative, 1e-6))
    for factor in (getattr(spec.rule, "factor", None), None):
        yield from rules.ramps(spec, theta, ladder.w, base, factor, tolerance)


def _changed(spec: RopeSpec, rule: Llama3 | Yarn) -> Departure:
    """The departure of a rule: of its parameters, or of the rule as a whole."""
    if spec.rule is None:
        how = f"a rule {rule_text(rule)} that is not described"
        return Departure("rule_parameter", how, rule, None)
    if type(rule) is not type(spec.rule):
        return missing(spec, f"{rule_text(rule)} instead")
    has_factor = abs(rule.factor / getattr(spec.rule, "factor", 1.0) - 1) <= 1e-4
    return Departure("rule_parameter", "ramp" if has_factor else "factor", rule, spec.rule)
