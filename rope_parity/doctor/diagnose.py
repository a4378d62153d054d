"""The departures of a function from a description: what was measured against what is described."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rope_spec import RopeSpec

from ..identification import describe
from ..identification.measure import Measurement
from ..identification.reading import Reading
from ..identification.result import Departure
from .channels import of_channels
from .compare import Expected, expected, roundoff, turn_errors, worst_of_images, worst_of_turns
from .frequencies import with_frequencies
from .mistakes import Found

CONSEQUENCES = {  # by a departure: what it looks like besides
    "not_a_rotation": {"frequencies", "attention_factor", "unexplained"},
    "not_linear": {"frequencies"},
}
BEHAVIOUR = {"state", "not_linear", "neighbour", "batch_row", "heads", "dtype"}


def diagnose(measured: Measurement, spec: RopeSpec) -> Found:
    """The departures, or none where the function is right at everything that was measured."""
    behaviour = [d for d in measured.departures if d.name in BEHAVIOUR]
    if is_right(measured, spec):
        return behaviour
    reading = measured.reading
    if reading is None:
        return [*measured.departures, Departure("rotated_width", "nothing", 0, spec.rotary_dim)]
    found = [d for d in measured.departures if d.name != "dtype"]
    what = expected(spec, measured.probe.context, measured.probe.subject.unit or 1.0)
    found += of_channels(reading, spec, what)
    found += of_factor(reading, what)
    found += describe.of_phase(reading)
    found = without_consequences(with_frequencies(found, measured, reading, spec, what))
    if [d.name for d in found] == ["frequencies_rounded"]:
        errors, _ = turn_errors(reading.raw, what, roundoff(measured))
        found = [replace(found[0], size=min(float(errors.max()), 2.0))]
    found += [d for d in measured.departures if d.name == "dtype"]
    return found or [Departure("unexplained", size=worst(measured, spec)[0])]


def worst(measured: Measurement, spec: RopeSpec) -> tuple[float, int, float]:
    """The largest share of the allowed error, its position, and the largest error of an angle."""
    found = worst_of_images(measured, spec, measured.images)
    reading, unit = measured.reading, measured.probe.subject.unit or 1.0
    what = expected(spec, measured.probe.context, unit)
    if reading is None or not np.array_equal(reading.channels.read, what.read):
        return found
    turns = worst_of_turns(reading.raw, what, roundoff(measured))
    return max(found, turns)


def is_right(measured: Measurement, spec: RopeSpec) -> bool:
    """Whether every image is that of the description, within what float arithmetic allows."""
    return worst(measured, spec)[0] <= 1


def of_factor(reading: Reading, what: Expected) -> Found:
    """The departure of the attention factor, if there is one."""
    if abs(reading.factor / what.factor - 1) <= 12 * reading.roundoff:
        return []
    size = abs(reading.factor - what.factor)
    return [Departure("attention_factor", found=reading.factor, expected=what.factor, size=size)]


def without_consequences(found: Found) -> Found:
    """The departures that do not follow from another one, each name once."""
    names = {d.name for d in found}
    hidden = set().union(*(CONSEQUENCES.get(name, set()) for name in names))
    found = [d for d in found if d.name not in hidden]
    missing = "rule_missing" in names
    kept = [d for d in found if not (missing and d.name == "attention_factor" and d.found == 1.0)]
    return [d for index, d in enumerate(kept) if d.name not in [e.name for e in kept[:index]]]
