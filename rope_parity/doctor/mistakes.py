"""Single mistakes in the frequencies: each function says whether its mistake explains them all.

None stands for a mistake that does not explain them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rope_spec import Explicit, Llama3, LongRope, PerAxis, RopeSpec, Yarn

from ..identification import rules
from ..identification.ladders import exponents, plain, room, rule_text, theta_that_fits, unit_of
from ..identification.number import ROUNDOFF
from ..identification.result import Departure
from .ladder import Ladder

Found = list[Departure]
OUTLIERS = 0.2  # the share of pairs that may be something else
HALVES = {"float16": 2**0.5 * ROUNDOFF["float16"], "bfloat16": 2**0.5 * ROUNDOFF["bfloat16"]}


def missing(spec: RopeSpec, how: str = "") -> Departure:
    """The departure of a rule that is not applied."""
    return Departure("rule_missing", how, "none", rule_text(spec.rule))


def wrong_exponent(name: str) -> Departure:
    """The departure of a wrong exponent, by its name in `exponents`."""
    return Departure("exponent", name, name)


def no_rule(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """The rule was not applied."""
    if spec.rule is None or isinstance(spec.rule, Explicit):
        return None
    return [missing(spec)] if ladder.fits(plain(spec, exponents(spec)[""])) else None


def other_list(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """LongRoPE was applied with the divisors for the other length."""
    if not isinstance(spec.rule, LongRope):
        return None
    original = spec.rule.original_max_position_embeddings
    is_beyond = (ladder.length or 0) > original
    other = replace(ladder, length=original if is_beyond else original + 1).of(spec)
    names = ("short", "long") if is_beyond else ("long", "short")
    return [Departure("length_rule", f"{names[0]} factors", *names)] if ladder.fits(other) else None


def exponent(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """theta was raised to another exponent."""
    for name, values in exponents(spec).items():
        if name and ladder.fits(ladder.of(spec, values)):
            return [wrong_exponent(name)]
    return None


def theta(spec: RopeSpec, ladder: Ladder, powers: np.ndarray, described: RopeSpec) -> Found | None:
    """theta is another number.

    Args:
        spec: the description, or the same without its rule.
        ladder: what was read.
        powers: the exponents, `(P,)`.
        described: the description.
    """
    slow = ladder.unaliased(powers)
    if slow.sum() < 2 or np.ptp(powers[slow]) == 0:
        return None
    give = lambda theta: ladder.of(spec, powers, theta)
    found = theta_that_fits(lambda theta: give(theta)[slow], ladder.w[slow])
    doubt = 4 * ladder.doubt / float(np.median(np.abs(powers)))
    is_same = spec is described and abs(np.log(found / described.theta)) < doubt
    if is_same or not ladder.fits(give(found)):
        return None
    return [Departure("theta", found=found, expected=described.theta)]


def bases(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """The bases of the axes are other numbers."""
    rule, powers, axis = spec.rule, exponents(spec)[""], np.array(spec.pairs.axis)
    if not isinstance(rule, PerAxis):
        return None
    w = ladder.w * np.array(rule.divisor)[axis] / unit_of(spec)
    found = tuple(_base(powers[axis == a], w[axis == a]) for a in range(len(rule.theta)))
    other = rules.valid(lambda: replace(spec, rule=PerAxis(found, rule.divisor)))
    if other is None or not ladder.fits(ladder.of(other)):
        return None
    return [Departure("theta", "axes", found=found, expected=rule.theta)]


def _base(powers: np.ndarray, w: np.ndarray) -> float:
    return theta_that_fits(lambda theta: theta**-powers, w)


def theta_and_factor(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """theta is another number, and so is the divisor of all frequencies."""
    powers = exponents(spec)[""]
    slow = ladder.unaliased(powers)
    read = rules.linear_factor(powers[slow], ladder.w[slow]) if slow.sum() > 2 else None
    if read is None or not ladder.fits(read[0] ** -powers / read[1]):
        return None
    factor = getattr(spec.rule, "factor", 1.0)
    return [
        Departure("theta", found=read[0], expected=spec.theta),
        Departure("rule_parameter", "factor", read[1], factor),
    ]


def some_pairs(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """All but a few pairs are as described."""
    few = replace(ladder, outliers=OUTLIERS / 2)
    is_ramp = isinstance(spec.rule, Llama3 | Yarn)  # of which few pairs may be blended
    return unexplained(spec, ladder) if not is_ramp and few.fits(ladder.of(spec)) else None


def rounded(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """Frequencies were rounded to a half precision before the rule was applied."""
    if ladder.relative or not (ladder.w > 0).all():
        return None
    described = ladder.of(spec)
    for kind, relative in HALVES.items():
        is_near = ladder.doubt < relative / 8 and ladder.fits(described, relative)
        if is_near and _is_irregular(ladder.w / described - 1):
            return [Departure("frequencies_rounded", kind, kind)]
    return None


def _is_irregular(error: np.ndarray) -> bool:
    """Whether errors change sign as chance does, and are not of one pair."""
    signs = np.sign(error[np.abs(error) > 1e-6])
    return len(signs) > 4 and bool(0.2 < np.mean(signs[1:] != signs[:-1]) < 0.8)


def unexplained(spec: RopeSpec, ladder: Ladder) -> Found:
    """The departure of frequencies that nothing explains: which pairs differ."""
    described = ladder.of(spec)
    if len(described) != len(ladder.w):
        return [Departure("frequencies", "list", ladder.w.tolist(), described.tolist())]
    allowed = room(ladder.w, ladder.uncertainty, ladder.relative)
    wrong = np.flatnonzero(np.abs(ladder.w - described) > allowed)
    ends = (int(wrong[0]), int(wrong[-1])) if len(wrong) else None
    first = ends[0] if ends else 0
    values = float(ladder.w[first]), float(described[first])
    order = _order(ladder, described)
    return [Departure("frequencies", order, *values, ends, count=len(wrong))]


def _order(ladder: Ladder, described: np.ndarray) -> str:
    """`reversed` or `permuted` where only the order differs, else `pairs`."""
    if ladder.fits(described[::-1]):
        return "reversed"
    order = np.argsort(ladder.w)
    in_order = replace(ladder, w=ladder.w[order], uncertainty=ladder.uncertainty[order])
    return "permuted" if in_order.fits(np.sort(described)) else "pairs"
