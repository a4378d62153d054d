"""How the pairs turn: sign, axes, frequencies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rope_spec import RopeSpec

from ..identification.measure import Measurement
from ..identification.number import ROUNDOFF
from ..identification.reading import Reading
from ..identification.result import Departure
from ..identification.specs import axis_maps
from .compare import Expected
from .explain import cost, explain, shortest
from .ladder import ladder_at, moving, whole_ladder
from .length import of_length
from .mistakes import Found


def with_frequencies(
    found: Found, measured: Measurement, reading: Reading, spec: RopeSpec, what: Expected
) -> Found:
    """The departures so far, and those of the frequencies.

    They are called rounded only where nothing explains them as they are.
    """
    as_they_are = of_frequencies(measured, reading, spec, what, 0.0)
    kind = next((d.how for d in found if d.name == "frequencies_rounded"), None)
    if kind is None:
        return found + as_they_are
    rounded = of_frequencies(measured, reading, spec, what, ROUNDOFF[kind])
    if cost(as_they_are) > cost(rounded):
        return found + rounded
    return [d for d in found if d.name != "frequencies_rounded"] + as_they_are


def of_frequencies(
    measured: Measurement, reading: Reading, spec: RopeSpec, what: Expected, relative: float
) -> Found:
    """Departures of sign, axes, frequencies, and of how they depend on the length.

    `relative` is half a step of the format that the frequencies were rounded to, or 0.
    """
    found, spec = of_axes(reading, what), moving(spec)
    sign = 1.0 if np.median(np.sign(reading.w.sum(axis=1))) >= 0 else -1.0
    if sign != np.sign(np.median(np.sign(what.w))):
        found.append(Departure("sign", found=int(sign), expected=spec.sign, size=2.0))
    if spec.depends_on_length:
        return found + of_length(measured, reading, spec, relative, sign)
    if measured.depends_on:
        found.append(_unexpected_dependence(measured))
        ladders = (ladder_at(measured, reading, n, relative, sign) for n in measured.by_length)
        if len(what.w) == len(reading.w) and any(not explain(spec, one) for one in ladders):
            return found
    others = _on_other_axes(spec) if any(d.name == "axes" for d in found) else ()
    return found + shortest(spec, whole_ladder(measured, reading, sign, relative, None), others)


def _unexpected_dependence(measured: Measurement) -> Departure:
    lengths = ", ".join(map(str, measured.depends_on))
    figure = f"lengths {lengths} rotate otherwise than {measured.probe.context}"
    return Departure("length_rule", "not described", figures=(figure,))


def _on_other_axes(spec: RopeSpec) -> Iterator[RopeSpec]:
    """The description with the frequencies that its axes may have."""
    for pairs in axis_maps(spec.pairs.axis, spec.head_dim):
        if len(pairs) == len(spec.pairs):
            yield replace(spec, pairs=pairs, read="half", write=None)


def of_axes(reading: Reading, what: Expected) -> Found:
    """The departure of pairs that follow another coordinate, or several."""
    moved = reading.w != 0
    if len(moved) != len(what.axis):
        return []
    several, axis = moved.sum(axis=1) > 1, moved.argmax(axis=1)
    wrong = np.flatnonzero(several | (axis != what.axis))
    if not len(wrong):
        return []
    how, ends = "sum" if several.any() else "other", (int(wrong[0]), int(wrong[-1]))
    return [Departure("axes", how, axis.tolist(), what.axis.tolist(), ends, size=2.0)]
