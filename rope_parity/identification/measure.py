"""The order of the measurement.

State comes first, then behaviour, channels, frequencies, positions and precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import behaviour, positions, precision, state
from .number import HALF, ROUNDOFF
from .probe import Probe
from .read import from_random, read
from .reading import Reading
from .result import Departure, NotMeasured
from .turns import Turns


@dataclass
class Measurement:
    """All that was measured.

    Attributes:
        reading: at the length of the whole context.
        images: for each length that was tried the images of `random_x`, `(B, S, N, H)`.
        by_length: the turns in them.
        depends_on: the lengths that rotate in another way than the whole context does.
        departures: of behaviour, then of precision.
        not_tested: what could not be tested, and why.
    """

    probe: Probe
    reading: Reading | None
    images: dict[int, np.ndarray]
    by_length: dict[int, Turns]
    depends_on: list[int]
    departures: list[Departure]
    not_tested: list[str]


def measure(probe: Probe, lengths: Sequence[int]) -> Measurement:
    """Measure a function.

    Args:
        probe: calls it.
        lengths: current lengths to try, ascending, the whole context last.

    Raises:
        NotMeasured: it raises, or returns another shape.
    """
    found, first, not_tested = _state(probe, lengths)
    x, (_, y) = behaviour.random_x(probe), first[-1]
    frame = behaviour.some_positions(probe, probe.context)
    if not np.isfinite(y).any():
        raise NotMeasured(
            "The function gave numbers nowhere: all that it returned is NaN or infinite."
        )
    probe.coarsen(precision.all_rounded(y[:, :, 0]))
    _check_positions_are_used(probe, y, frame)
    depends_on = state.depends_on_length(probe, first)
    found += _behaviour(probe, x, y, frame)
    reading = read(probe, found)
    by_length: dict[int, Turns] = {}
    if reading is not None:
        alone = probe.spacing == 1
        by_length = {n: from_random(probe, reading, y, n) for n, y in first if alone}
        found += look_at_precision(probe, reading, y, x, frame)
    probe.subject.always_fresh = False
    if not probe.recorded:
        more, notes = state.after_another_dtype(probe, y, fresh=probe.subject.is_factory)
        found += [d for d in more if d.name not in _names(found)]
        not_tested += notes
    return Measurement(probe, reading, dict(first), by_length, depends_on, found, not_tested)


def _state(
    probe: Probe, lengths: Sequence[int]
) -> tuple[list[Departure], list[state.Call], list[str]]:
    probe.subject.fresh()
    if probe.fixed is not None or probe.mode != "any":
        lengths = lengths[-1:]
    found, first = state.repeated(probe, lengths)
    not_tested: list[str] = []
    if probe.subject.is_factory:
        found = found or state.reversed_order(probe, lengths, first)
        found = found or state.another_theta(probe, first[-1][1])
        probe.subject.fresh()
        if found:  # the rest is read off the first call of an instance each
            probe.subject.always_fresh = True
            first = state.sequence(probe, lengths, behaviour.random_x(probe))
    else:
        not_tested = ["a fresh instance: hand over a factory with factory=True"]
    return found, first, not_tested


def _check_positions_are_used(probe: Probe, y: np.ndarray, frame: np.ndarray) -> None:
    if probe.fixed is not None:
        return
    x = behaviour.random_x(probe)
    probe.subject.fresh()
    other = probe.call(x, np.full(frame.shape, 5))
    moved = np.nan_to_num(y - x)[:, : probe.rows // 2]
    if behaviour.difference(other, y) == 0 and np.abs(moved).max() > behaviour.room(probe, x):
        raise NotMeasured(
            "The function takes no notice of the positions that it is given. Where it\n"
            "counts from 0 itself, say so with positions='prefix'."
        )
    probe.subject.fresh()


def _behaviour(probe: Probe, x: np.ndarray, y: np.ndarray, frame: np.ndarray) -> list[Departure]:
    """Departures of behaviour; from here on rows that disturb each other are kept apart."""
    found = behaviour.same_dtype(probe, probe.subject.dtype)
    found += behaviour.rows_alone(probe)
    found += [d for d in behaviour.heads_alike(probe, y, x) if d.name not in _names(found)]
    found += behaviour.linear(probe, y, x, frame)
    if probe.mode == "any" and probe.fixed is None:
        found += [
            d for d in behaviour.order_of_rows(probe, y, x, frame) if d.name not in _names(found)
        ]
    if probe.recorded:
        return found
    if any(d.name == "not_linear" for d in found) and probe.subject.dtype == "float32":
        probe.amplitude = 2.0**-12
    probe.only_first = bool(_names(found) & {"batch_row", "heads"})
    probe.spacing = 4 if any(d.name == "neighbour" and d.how == "x" for d in found) else 1
    if any(d.name == "neighbour" and d.how == "position" for d in found):
        probe.mode = "contiguous"
    return found


def _names(found: list[Departure]) -> set[str]:
    return {departure.name for departure in found}


def look_at_precision(
    probe: Probe, reading: Reading, y: np.ndarray, x: np.ndarray, frame: np.ndarray
) -> list[Departure]:
    """Departures of positions, then of rounding; each explains what the ones before leave."""
    found = list(positions.departures(probe, reading))
    ends = [d.position for d in found if d.name == "table_ends" and d.position is not None]
    inside = reading.turns.positions.max(axis=1) < min(ends, default=np.inf)
    turns = reading.turns[inside & reading.turns.finite]
    angles = precision.angles_rounded(turns, reading)
    if angles:
        found.append(precision.departure("angles_rounded", angles, reading))
        reading.uncertainty = precision.widened(reading, ROUNDOFF[angles])
    numbers = _of_table_and_products(probe, reading, y)
    for departure in numbers:
        least = precision.least_uncertainty(reading, ROUNDOFF[departure.how])
        reading.uncertainty = np.maximum(reading.uncertainty, least)
    kind = precision.frequencies_rounded(reading.w.sum(axis=1), reading.uncertainty.max(axis=1))
    if kind:
        found.append(Departure("frequencies_rounded", kind, kind))
    return found + numbers


def _of_table_and_products(probe: Probe, reading: Reading, y: np.ndarray) -> list[Departure]:
    """Departures of the table or the products, in float32: half precisions round everything."""
    if probe.subject.dtype in HALF:
        return []
    turned = np.unique(reading.channels.write)
    kind = precision.all_rounded(y[0][:, 0][:, turned])
    if kind:
        return [precision.departure("products_rounded", kind, reading)]
    kind = precision.table_rounded(reading.raw)
    return [precision.departure("table_rounded", kind, reading)] if kind else []
