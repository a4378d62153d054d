"""Frequencies that were read, and what a description gives in their place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rope_spec import Explicit, LongRope, Pairs, RopeSpec
from rope_spec.rules import Rule

from ..identification.frequencies import line
from ..identification.ladders import exponents, fits, plain, room, scaled
from ..identification.measure import Measurement
from ..identification.reading import Reading
from ..identification.rounding import Rounding

FIRST = 256  # positions that are rotated alike at every length, if the frequencies are


@dataclass(frozen=True)
class Ladder:
    """Frequencies that were read, signed as the description has them.

    Attributes:
        w: radians per position, `(P,)`.
        uncertainty: of w, `(P,)`.
        relative: half a step of the format that they were rounded to, or 0.
        length: the current length at which they were read.
        outliers: the share of pairs that need not fit.
    """

    w: np.ndarray
    uncertainty: np.ndarray
    relative: float
    length: int | None
    outliers: float = 0.0

    def of(
        self, spec: RopeSpec, exponent: np.ndarray | None = None, theta: float | None = None
    ) -> np.ndarray:
        """What a description gives at this length; exponent and theta are its own, or others."""
        exponent = exponents(spec)[""] if exponent is None else exponent
        return scaled(plain(spec, exponent, theta), spec, self.length, theta)

    def fits(self, candidate: np.ndarray, relative: float = 0.0) -> bool:
        """Whether these frequencies may be the candidate's."""
        if len(candidate) != len(self.w):
            return False
        allowed = room(self.w, self.uncertainty, max(self.relative, relative))
        return fits(candidate, self.w, allowed + 2.0**-25 * (self.relative > 0), self.outliers)

    @property
    def doubt(self) -> float:
        """The median of the relative uncertainties."""
        return float(np.median(self.uncertainty / self.w))

    def unaliased(self, exponent: np.ndarray) -> np.ndarray:
        """The pairs that surely turn less than half a turn a position, `(P,)`.

        They are slower than every one whose sign shows that it turns more.
        """
        order = np.argsort(exponent)
        turned = np.flatnonzero(self.w[order] <= 0)
        slow = np.zeros(len(self.w), bool)
        slow[order[turned[-1] + 2 if len(turned) else 0 :]] = True
        return slow


def whole_ladder(
    measured: Measurement, reading: Reading, sign: float, relative: float, length: int | None
) -> Ladder:
    """The frequencies at the length of the whole context, for a position or coordinate of 1."""
    step = measured.probe.subject.unit or 1.0
    w, uncertainty = sign * reading.w.sum(axis=1), reading.uncertainty.max(axis=1)
    return Ladder(w / step, uncertainty / step, relative, length)


def ladder_at(
    measured: Measurement, reading: Reading, length: int, relative: float, sign: float
) -> Ladder:
    """The frequencies at a length, from the images of random vectors at its first positions.

    cos, a product, the sum and the cast are a roundoff each, of two products whose sum is at most
    sqrt(2) times the length of the pair.
    """
    turns, probe = measured.by_length[length], measured.probe
    of = Rounding(probe.kind, reading.factor, floor=4 * np.sqrt(2) * probe.noise)
    p = turns.positions[:, 0]
    _, first = np.unique(p, return_index=True)
    rows = first[(p[first] > 0) & (p[first] <= FIRST) & turns.finite[first]]
    fit = line(p[rows], turns.z[rows], of)
    return Ladder(sign * fit.w, fit.uncertainty, relative, length)


def with_pairs(spec: RopeSpec, count: int) -> list[RopeSpec]:
    """The description with another number of pairs: on a ladder of that width, and on its own."""
    if count == len(spec.pairs):
        return [spec]
    least = 2 * count - 1
    widths = {2 * count, max(spec.pairs.frequency_dim, least), max(spec.head_dim, least)}
    ladders = [Pairs((0,) * count, tuple(range(count)), width) for width in sorted(widths)]
    return [_on(spec, pairs, _rule_for(spec.rule, pairs)) for pairs in ladders]


def moving(spec: RopeSpec) -> RopeSpec:
    """The description without the pairs of frequency 0."""
    w = scaled(plain(spec, exponents(spec)[""]), spec, None)
    if (w != 0).all() or not w.any():
        return spec
    kept = np.flatnonzero(w)
    axis, index = (
        tuple(np.array(values)[kept].tolist())
        for values in (spec.pairs.axis, spec.pairs.frequency_index)
    )
    has_all_axes = set(axis) == set(range(max(axis) + 1))
    return (
        _on(spec, Pairs(axis, index, spec.pairs.frequency_dim), spec.rule) if has_all_axes else spec
    )


def _on(spec: RopeSpec, pairs: Pairs, rule: Rule | None) -> RopeSpec:
    return replace(spec, pairs=pairs, rule=rule, start=0, read="half", write=None)


def _rule_for(rule: Rule | None, pairs: Pairs) -> Rule | None:
    """The rule, with as many divisors as another ladder has frequencies."""
    if isinstance(rule, LongRope) and len(rule.short_factor) >= pairs.num_frequencies:
        short, long = (
            each[: pairs.num_frequencies] for each in (rule.short_factor, rule.long_factor)
        )
        return replace(rule, short_factor=short, long_factor=long)
    return None if isinstance(rule, LongRope | Explicit) else rule
