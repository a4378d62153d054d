"""Why frequencies differ: the shortest explanation that gives every one of them, within what was
measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rope_spec import (
    DynamicNTK,
    Explicit,
    Linear,
    Llama3,
    LongRope,
    Pairs,
    Proportional,
    RopeSpec,
    Yarn,
)

from ..identification import rules
from ..identification.ladders import (
    exponents,
    fits,
    plain,
    room,
    round_within,
    rule_text,
    scaled,
    theta_that_fits,
)
from ..identification.result import Departure

Found = list[Departure]
OUTLIERS = 0.2
CONSTANT = 3e-6  # relative scatter of a ratio that is one number


@dataclass(frozen=True)
class Ladder:
    """Frequencies that were read, `(P,)`, signed as the description has them, and what they are
    read at.

    Attributes:
        relative: half a step of the format that they were rounded to, or 0.
        length: the current length.
        outliers: the share of pairs that need not fit.
    """

    w: np.ndarray
    uncertainty: np.ndarray
    relative: float
    length: int | None
    outliers: float = 0.0

    def fits(self, candidate: np.ndarray, relative: float = 0.0) -> bool:
        """Whether a candidate gives them."""
        allowed = room(self.w, self.uncertainty, max(self.relative, relative))
        allowed = allowed + 2.0**-25 * (self.relative > 0)
        return len(candidate) == len(self.w) and fits(candidate, self.w, allowed, self.outliers)


def explain(spec: RopeSpec, ladder: Ladder) -> Found:
    """The shortest list of departures that gives these frequencies; empty where there is none to
    explain.
    """
    if len(ladder.w) != len(spec.pairs):
        return []
    for explanation in _explanations(spec, ladder):
        if explanation is not None:
            return explanation
    return _but_for_some_pairs(spec, ladder) or _unlike(spec, ladder)


def _but_for_some_pairs(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """One mistake for most pairs, and a few pairs that are something else."""
    some = replace(ladder, outliers=OUTLIERS)
    if some.fits(scaled(plain(spec, exponents(spec)[""]), spec, ladder.length)):
        return _unlike(spec, ladder)
    for explanation in _single(spec, some, exponents(spec)):
        if explanation:
            return [*explanation, Departure("frequencies", "pairs", count=1)]
    return None


def _explanations(spec: RopeSpec, ladder: Ladder) -> Iterator[Found | None]:
    """By the number of mistakes, and none for a mistake that does not fit."""
    ladders = exponents(spec)
    described = scaled(plain(spec, ladders[""]), spec, ladder.length)
    yield [] if ladder.fits(described) else None
    yield _rounded(spec, ladder)
    yield _some_pairs(spec, ladder, described)
    yield from _single(spec, ladder, ladders)
    yield from _two(spec, ladder, ladders)


def _single(
    spec: RopeSpec, ladder: Ladder, ladders: dict[str, np.ndarray]
) -> Iterator[Found | None]:
    yield _other_list(spec, ladder)
    yield _no_rule(spec, ladder, ladders[""], spec.theta)
    yield _exponent(spec, ladder, ladders)
    yield _theta(spec, ladder, ladders[""], spec)
    yield _parameters(spec, ladder, plain(spec, ladders[""]), spec.theta)


def _some_pairs(spec: RopeSpec, ladder: Ladder, described: np.ndarray) -> Found | None:
    """All but a few pairs are as described."""
    few = replace(ladder, outliers=OUTLIERS / 2)
    is_ramp = isinstance(spec.rule, Llama3 | Yarn)  # of which few pairs may be blended
    return _unlike(spec, ladder) if not is_ramp and few.fits(described) else None


def _two(spec: RopeSpec, ladder: Ladder, ladders: dict[str, np.ndarray]) -> Iterator[Found | None]:
    bare = replace(spec, rule=None)
    if spec.rule is not None:
        missing = [_missing(spec)]
        yield _joined(missing, _exponent(bare, ladder, ladders))
        yield _joined(missing, _theta(bare, ladder, ladders[""], spec))
    for name, exponent in ladders.items():
        if name:
            found = _parameters(spec, ladder, plain(spec, exponent), spec.theta)
            yield _joined([_wrong_exponent(name)], found)
    for theta in rules.first_thetas(ladders[""], ladder.w):
        found = _parameters(spec, ladder, theta ** -ladders[""], theta)
        yield _joined([Departure("theta", found=theta, expected=spec.theta)], found)
    if isinstance(spec.rule, Linear | Proportional | None):
        yield _theta_and_factor(spec, ladder, ladders[""])
    for name, exponent in ladders.items():
        if name:
            yield _joined([_wrong_exponent(name)], _theta(spec, ladder, exponent, spec))


def _joined(first: Found, second: Found | None) -> Found | None:
    return None if second is None else first + second


def _missing(spec: RopeSpec, how: str = "") -> Departure:
    return Departure("rule_missing", how, "none", rule_text(spec.rule))


def _wrong_exponent(name: str) -> Departure:
    return Departure("exponent", name, name)


def _no_rule(spec: RopeSpec, ladder: Ladder, exponent: np.ndarray, theta: float) -> Found | None:
    if spec.rule is None or isinstance(spec.rule, Explicit):
        return None
    return [_missing(spec)] if ladder.fits(plain(spec, exponent, theta)) else None


def _other_list(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """LongRoPE with the divisors of the other length."""
    if not isinstance(spec.rule, LongRope):
        return None
    original = spec.rule.original_max_position_embeddings
    beyond = (ladder.length or 0) > original
    other = scaled(plain(spec, exponents(spec)[""]), spec, original if beyond else original + 1)
    name = ("short", "long") if beyond else ("long", "short")
    return [Departure("length_rule", f"{name[0]} factors", *name)] if ladder.fits(other) else None


def _exponent(spec: RopeSpec, ladder: Ladder, ladders: dict[str, np.ndarray]) -> Found | None:
    for name, exponent in ladders.items():
        if name and ladder.fits(scaled(plain(spec, exponent), spec, ladder.length)):
            return [_wrong_exponent(name)]
    return None


def _theta(
    spec: RopeSpec, ladder: Ladder, exponent: np.ndarray, described: RopeSpec
) -> Found | None:
    slow = unaliased(ladder.w, exponent)
    if slow.sum() < 2 or np.ptp(exponent[slow]) == 0:
        return None
    theta = theta_that_fits(
        lambda theta: scaled(theta**-exponent, spec, ladder.length, theta)[slow], ladder.w[slow]
    )
    if not ladder.fits(scaled(theta**-exponent, spec, ladder.length, theta)):
        return None
    doubt = 4 * float(np.median(ladder.uncertainty / ladder.w)) / float(np.median(np.abs(exponent)))
    if spec is described and abs(np.log(theta / described.theta)) < doubt:
        return None
    return [Departure("theta", found=theta, expected=described.theta)]


def unaliased(w: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """The pairs that are slower than every one whose sign shows that it turns more than half a turn
    a position.
    """
    order = np.argsort(exponent)
    turned = np.flatnonzero(w[order] <= 0)
    slow = np.zeros(len(w), bool)
    slow[order[turned[-1] + 2 if len(turned) else 0 :]] = True
    return slow


def _theta_and_factor(spec: RopeSpec, ladder: Ladder, exponent: np.ndarray) -> Found | None:
    """Another theta, and another number that divides the whole ladder."""
    slow = unaliased(ladder.w, exponent)
    read = rules.linear_factor(exponent[slow], ladder.w[slow]) if slow.sum() > 2 else None
    if read is None or not ladder.fits(read[0] ** -exponent / read[1]):
        return None
    factor = getattr(spec.rule, "factor", 1.0)
    return [
        Departure("theta", found=read[0], expected=spec.theta),
        Departure("rule_parameter", "factor", read[1], factor),
    ]


def _parameters(spec: RopeSpec, ladder: Ladder, base: np.ndarray, theta: float) -> Found | None:
    """The rule of the description, or one where it has none, with other numbers."""
    if not (base > 0).all():
        return None
    ratio = ladder.w / base
    constant = float(np.median(ratio))
    factor = getattr(spec.rule, "factor", 1.0)
    if isinstance(spec.rule, Linear | Proportional) and ladder.fits(base * factor):
        return [Departure("rule_parameter", "factor", 1 / factor, factor)]
    if ladder.fits(base * constant) and abs(constant - 1) > 1e-6:
        return _constant(spec, round_within(1 / constant, CONSTANT))
    if isinstance(spec.rule, DynamicNTK):
        return None
    if isinstance(spec.rule, LongRope):
        return [Departure("rule_parameter", "factors", tuple((1 / ratio).tolist()))]
    if not (ladder.w > 0).all():
        return None
    for rule in _ramps(spec, theta, ladder, base):
        if ladder.fits(scaled(base, replace(spec, rule=rule), ladder.length, theta)):
            return _changed(spec, rule)
    return None


def _constant(spec: RopeSpec, divisor: float) -> Found | None:
    """A ladder that is divided by one number."""
    if isinstance(spec.rule, Linear | Proportional):
        return [Departure("rule_parameter", "factor", divisor, spec.rule.factor)]
    if spec.rule is None:
        return [Departure("rule_parameter", "factor", divisor, 1.0)]
    if isinstance(spec.rule, LongRope):
        return [Departure("rule_parameter", "factors", divisor)]
    return [_missing(spec, f"every frequency is divided by {divisor:g} instead")]


def _ramps(
    spec: RopeSpec, theta: float, ladder: Ladder, base: np.ndarray
) -> Iterator[Llama3 | Yarn]:
    factors = [getattr(spec.rule, "factor", None), None]
    tolerance = max(ladder.relative, float(np.median(ladder.uncertainty / ladder.w)) / 4, 1e-6)
    for factor in factors:
        yield from rules.ramps(spec, theta, ladder.w, base, factor, tolerance)


def _changed(spec: RopeSpec, rule: Llama3 | Yarn) -> Found:
    """The parameters in which a rule differs, or the rule itself."""
    if spec.rule is None:
        return [
            Departure(
                "rule_parameter", f"a rule {rule_text(rule)} that is not described", rule, None
            )
        ]
    if type(rule) is not type(spec.rule):
        return [_missing(spec, f"{rule_text(rule)} instead")]
    how = "factor" if abs(rule.factor / getattr(spec.rule, "factor", 1.0) - 1) > 1e-4 else "ramp"
    return [Departure("rule_parameter", how, rule, spec.rule)]


def _rounded(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """Near the description as a half precision is, without being its numbers: rounded before the
    rule.
    """
    if ladder.relative or not (ladder.w > 0).all():
        return None
    described = scaled(plain(spec, exponents(spec)[""]), spec, ladder.length)
    for kind, relative in (("float16", 2.0**-10.5), ("bfloat16", 2.0**-7.5)):
        is_clear = np.median(ladder.uncertainty / np.abs(ladder.w)) < relative / 8
        if (
            is_clear
            and ladder.fits(described, relative)
            and _is_irregular(ladder.w / described - 1)
        ):
            return [Departure("frequencies_rounded", kind, kind)]
    return None


def _is_irregular(error: np.ndarray) -> bool:
    """Whether errors change sign as chance does, and are not of one pair."""
    signs = np.sign(error[np.abs(error) > 1e-6])
    return len(signs) > 4 and 0.2 < np.mean(signs[1:] != signs[:-1]) < 0.8


def _unlike(spec: RopeSpec, ladder: Ladder) -> Found:
    """No explanation: which pairs differ, and by how much."""
    described = scaled(plain(spec, exponents(spec)[""]), spec, ladder.length)
    if len(described) != len(ladder.w):
        return [Departure("frequencies", "list", ladder.w.tolist(), described.tolist())]
    allowed = room(ladder.w, ladder.uncertainty, ladder.relative)
    wrong = np.flatnonzero(np.abs(ladder.w - described) > allowed)
    ends: Any = (int(wrong[0]), int(wrong[-1])) if len(wrong) else None
    how = "reversed" if ladder.fits(described[::-1]) else "pairs"
    if how == "pairs" and _is_permuted(ladder, described):
        how = "permuted"
    first = int(wrong[0]) if len(wrong) else 0
    count = len(wrong)
    return [
        Departure(
            "frequencies", how, float(ladder.w[first]), float(described[first]), ends, count=count
        )
    ]


def _is_permuted(ladder: Ladder, described: np.ndarray) -> bool:
    order = np.argsort(ladder.w)
    sorted_ladder = replace(ladder, w=ladder.w[order], uncertainty=ladder.uncertainty[order])
    return sorted_ladder.fits(np.sort(described))


def with_pairs(spec: RopeSpec, count: int) -> list[RopeSpec]:
    """The description with another number of pairs: on a ladder of that width, and on the one that
    it has.
    """
    if count == len(spec.pairs):
        return [spec]
    widths = {
        2 * count,
        max(spec.pairs.ladder_dim, 2 * count - 1),
        max(spec.head_dim, 2 * count - 1),
    }
    ladders = [Pairs((0,) * count, tuple(range(count)), width) for width in sorted(widths)]
    return [
        replace(spec, pairs=pairs, rule=_rule_for(spec, pairs), start=0, read="half", write=None)
        for pairs in ladders
    ]


def _rule_for(spec: RopeSpec, pairs: Pairs) -> Any:
    """The rule, with as many divisors as another ladder has rungs."""
    rule, rungs = spec.rule, pairs.rungs
    if isinstance(rule, LongRope) and len(rule.short_factor) >= rungs:
        short, long = rule.short_factor[:rungs], rule.long_factor[:rungs]
        return replace(rule, short_factor=short, long_factor=long)
    return None if isinstance(rule, LongRope | Explicit) else rule


def moving(spec: RopeSpec) -> RopeSpec:
    """The description without the pairs that stand still."""
    w = scaled(plain(spec, exponents(spec)[""]), spec, None)
    if (w != 0).all() or not w.any():
        return spec
    kept = np.flatnonzero(w)
    axis, rung = (
        tuple(np.array(values)[kept].tolist()) for values in (spec.pairs.axis, spec.pairs.rung)
    )
    if set(axis) != set(range(max(axis) + 1)):
        return spec
    pairs = Pairs(axis, rung, spec.pairs.ladder_dim)
    return replace(spec, pairs=pairs, start=0, read="half", write=None)
