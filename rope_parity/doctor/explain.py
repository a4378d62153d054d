"""Why frequencies differ: the fewest mistakes that give every one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rope_spec import Linear, Proportional, RopeSpec

from ..identification import rules
from ..identification.ladders import exponents, plain
from ..identification.result import Departure
from . import mistakes
from .ladder import Ladder, with_pairs
from .mistakes import OUTLIERS, Found, missing, unexplained, wrong_exponent
from .parameters import parameters


def explain(spec: RopeSpec, ladder: Ladder) -> Found:
    """The fewest departures that give these frequencies; none where the description gives them."""
    if len(ladder.w) != len(spec.pairs):
        return []
    for explanation in _explanations(spec, ladder):
        if explanation is not None:
            return explanation
    return _but_for_some_pairs(spec, ladder) or unexplained(spec, ladder)


def shortest(spec: RopeSpec, ladder: Ladder, others: Iterable[RopeSpec] = ()) -> Found:
    """The explanation with the fewest mistakes, by the description or by others.

    A description with one axis is tried on a ladder of another width too.
    """
    if spec.pairs.axes > 1 and len(ladder.w) != len(spec.pairs):
        return []
    specs = with_pairs(spec, len(ladder.w)) if spec.pairs.axes == 1 else [spec]
    return min((explain(one, ladder) for one in [*specs, *others]), key=cost)


def cost(found: Found) -> int:
    """The number of mistakes; pairs that stay unexplained count more."""
    return sum(3 + (d.count or 0) if d.name == "frequencies" else 1 for d in found)


def _but_for_some_pairs(spec: RopeSpec, ladder: Ladder) -> Found | None:
    """One mistake for most pairs, and a few pairs that are something else."""
    most = replace(ladder, outliers=OUTLIERS)
    if most.fits(ladder.of(spec)):
        return unexplained(spec, ladder)
    for explanation in _single(spec, most):
        if explanation:
            return [*explanation, Departure("frequencies", "pairs", count=1)]
    return None


def _explanations(spec: RopeSpec, ladder: Ladder) -> Iterator[Found | None]:
    """Explanations in order of their number of mistakes; None for one that does not fit."""
    yield [] if ladder.fits(ladder.of(spec)) else None
    yield mistakes.rounded(spec, ladder)
    yield mistakes.some_pairs(spec, ladder)
    yield from _single(spec, ladder)
    yield from _two(spec, ladder)


def _single(spec: RopeSpec, ladder: Ladder) -> Iterator[Found | None]:
    powers = exponents(spec)[""]
    yield mistakes.other_list(spec, ladder)
    yield mistakes.no_rule(spec, ladder)
    yield mistakes.exponent(spec, ladder)
    yield mistakes.theta(spec, ladder, powers, spec)
    yield mistakes.bases(spec, ladder)
    yield parameters(spec, ladder, plain(spec, powers), spec.theta)


def _two(spec: RopeSpec, ladder: Ladder) -> Iterator[Found | None]:
    powers, others = exponents(spec)[""], [item for item in exponents(spec).items() if item[0]]
    if spec.rule is not None:
        bare = replace(spec, rule=None)
        yield _joined(missing(spec), mistakes.exponent(bare, ladder))
        yield _joined(missing(spec), mistakes.theta(bare, ladder, powers, spec))
    for name, other in others:
        found = parameters(spec, ladder, plain(spec, other), spec.theta)
        yield _joined(wrong_exponent(name), found)
    for theta in rules.first_thetas(powers, ladder.w):
        wrong = Departure("theta", found=theta, expected=spec.theta)
        yield _joined(wrong, parameters(spec, ladder, theta**-powers, theta))
    if isinstance(spec.rule, Linear | Proportional | None):
        yield mistakes.theta_and_factor(spec, ladder)
    for name, other in others:
        yield _joined(wrong_exponent(name), mistakes.theta(spec, ladder, other, spec))


def _joined(first: Departure, others: Found | None) -> Found | None:
    return None if others is None else [first, *others]
