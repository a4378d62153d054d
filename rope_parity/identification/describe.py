"""`identify`: a function in, its description, arithmetic, departures and evidence out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import numpy as np

from .measure import Measurement, measure
from .number import SINGLE, wrap
from .options import Options
from .reading import Reading
from .result import Departure, Evidence, Identification, Measured
from .setup import build, lengths
from .specs import spec_of


def identify(
    fn: Callable, head_dim: int, *, axes: int = 1, **options: Unpack[Options]
) -> Identification:
    """Read the description of a rotary embedding back out of a function `fn(x, positions) -> y`.

    Args:
        fn: takes x in the order of the option `layout` and positions `(B, S)`, `(B, S, A)` where
            axes > 1, without B where the layout has none; returns x rotated.
        head_dim: H, the width of x.
        axes: A, the number of coordinates of a position.
        **options: `layout`, `context`, `dtype`, `positions`, `factory`, `framework`, `device`; see
            `Options`.

    Returns:
        An `Identification`.

    Raises:
        NotMeasured: fn raises, returns another shape, or ignores the positions.
        ValueError: an argument is none of those above.
        TypeError: there is no such option.
    """
    probe = build(fn, head_dim, axes=axes, **options)
    return identification(measure(probe, lengths(probe)))


def identification(measured: Measurement) -> Identification:
    """The result of `identify`, from what was measured."""
    reading, found = measured.reading, list(measured.departures)
    if measured.depends_on:
        which = ", ".join(map(str, measured.depends_on))
        figure = f"lengths {which} rotate otherwise than the longest"
        found.append(Departure("length_rule", figures=(figure,)))
    if reading is None:
        how = Measured(measured.probe.subject.dtype, "unknown", 0.0, 0)
        return Identification(None, how, tuple(found), evidence(measured))
    found += of_phase(reading)
    how = arithmetic(reading, found)
    return Identification(spec_of(measured, reading), how, tuple(found), evidence(measured))


def evidence(measured: Measurement) -> Evidence:
    """The numbers behind a result."""
    reading, nothing = measured.reading, np.zeros((0, 1))
    unit = measured.probe.subject.unit or 1.0
    seen = np.zeros((1, 1), int) if reading is None else reading.raw.positions
    channels = reading and np.hstack([reading.channels.read, reading.channels.write])
    return Evidence(
        inv_freq=nothing if reading is None else reading.w / unit,
        uncertainty=nothing if reading is None else reading.uncertainty / unit,
        channels=nothing if channels is None else channels,
        attention_factor=1.0 if reading is None else reading.factor,
        positions=(len(np.unique(seen, axis=0)), int(seen.max())),
        lengths=tuple(measured.by_length),
        calls=measured.probe.subject.calls,
        not_tested=tuple(measured.not_tested),
    )


def of_phase(reading: Reading) -> list[Departure]:
    """Departures of the phase: cos and sin exchanged, or positions with an offset."""
    found = [Departure("cos_sin_exchanged", size=1.0)] if reading.exchanged else []
    offset = position_offset(reading)
    if offset:
        size = float(np.abs(np.exp(1j * reading.phase) - 1).max())
        found.append(Departure("position_offset", found=offset, expected=0, size=size))
    return found


def position_offset(reading: Reading) -> int | None:
    """The k with `phase = k w` for every pair; None where there is none."""
    w, phase = reading.w.sum(axis=1), wrap(reading.phase)
    room = 4 * reading.phase_uncertainty + 8 * reading.roundoff
    uncertainty = reading.uncertainty.max(axis=1)
    slow = [j for j in np.argsort(np.abs(w)) if w[j] and np.abs(phase[j]) > room[j]][:6]
    for k in (round(float(phase[j] / w[j])) for j in slow):
        if k and (np.abs(wrap(k * w - phase)) <= room + abs(k) * uncertainty).all():
            return k
    return None


def arithmetic(reading: Reading, found: list[Departure]) -> Measured:
    """How the angles are computed, from their distance to the line."""
    ends = [d.position for d in found if d.name == "table_ends" and d.position is not None]
    turns = reading.turns[reading.turns.finite]
    turns = turns[turns.positions.max(axis=1) < min(ends, default=np.inf)]
    gap = reading.gap(turns)
    row = int(gap.max(axis=1).argmax())
    half = next((d.how for d in found if d.name == "angles_rounded"), None)
    kind = half or ("exact" if gap.max() < 24 * max(SINGLE, reading.roundoff) else "float32")
    return Measured(reading.dtype, kind, float(gap.max()), int(turns.positions[row].max()))
