"""From the images of vectors to channels, factor, frequencies and phase: the reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import behaviour, positions, precision
from .channels import Channels, channels, mixing
from .frequencies import Line, line, refined
from .number import SINGLE, step_at, wrap
from .probe import Probe
from .reading import Reading
from .result import Departure, NotMeasured
from .rounding import Rounding, sharpened
from .sampling import NEAR, along, far_positions, mixed_positions, near_positions
from .turns import Turns, not_rotations, observe, order_of_write

QUARTER = np.pi / 2


def read(probe: Probe, found: list[Departure]) -> Reading | None:
    """Everything about the pairs, or None where there are none."""
    mixed = channels(probe, mixed_positions(probe))
    found += mixing(mixed)
    if not len(mixed.read):
        return None
    axes = probe.subject.axes
    near = [along(axis, near_positions(probe), axes) for axis in range(axes)]
    near = near if probe.fixed is None else [probe.fixed]
    mixed = order_of_write(probe, mixed, near[0][: len(probe.used())])
    raw = observe(probe, mixed, near[0])
    for wanted in near[1:]:
        raw = raw + observe(probe, mixed, wanted)
    if probe.fixed is None:
        raw = raw + observe(probe, mixed, far_positions(probe))
    probe.coarsen(precision.table_rounded(raw))
    found += not_rotations(probe, raw)
    return read_turns(probe, mixed, raw, found)


def read_turns(probe: Probe, mixed: Channels, raw: Turns, found: list[Departure]) -> Reading:
    """Factor, exchange of cos and sin, frequencies and phase."""
    raw, uneven = _evened(raw, probe)
    found += uneven
    factor, factor_error = _factor(raw, probe)
    of = Rounding(probe.kind, factor, factor_error, _floor(probe))
    lines, exchanged = _lines(probe, raw, of)
    w = np.stack([one.w for one in lines], 1)
    reading = Reading(
        probe.subject.dtype,
        probe.noise,
        mixed,
        w,
        np.stack([one.uncertainty for one in lines], 1),
        lines[0].phase,
        lines[0].phase_uncertainty,
        factor,
        exchanged,
        positions.normalised(raw, factor, exchanged),
        raw,
    )
    return reading


def _factor(raw: Turns, probe: Probe) -> tuple[float, float]:
    """The length of the turns, and by how much it may be wrong, relative.

    cos and sin, each off by half a step at most, bound the length of every turn. Where all bounds
    hold together it lies between them, and 1 is preferred. Else it is the mean over the turns of
    which neither is small.
    """
    z = raw.z[raw.finite]
    size = np.abs(z)
    parts = np.abs([z.real, z.imag])[:, size > 0.5 * np.median(size)]
    half = step_at(parts, probe.kind) / 2 + 4 * SINGLE * parts
    low = np.hypot(*np.maximum(parts - half, 0)).max(initial=0.0)
    high = np.hypot(*(parts + half)).min(initial=np.inf)
    if 0 < low <= high < np.inf:
        factor = float(1.0 if low <= 1 <= high else (low + high) / 2)
        return factor, float(max(high - factor, factor - low) / factor)
    both = np.hypot(*parts[:, parts.min(axis=0) > 0.2 * np.hypot(*parts)])
    factor = np.sqrt(np.mean(both**2)) if len(both) > 50 else np.median(size)
    near_one = abs(factor - 1) < 3 * probe.noise
    return float(1.0 if near_one else factor or 1.0), probe.noise


def _evened(raw: Turns, probe: Probe) -> tuple[Turns, list[Departure]]:
    """Turns whose cos and sin have one factor.

    Where they had two, or each pair its own, there is a departure.
    """
    z, room = raw.z[raw.finite], 16 * probe.noise
    z = z[np.abs(z).max(axis=1) > 0]
    size = np.abs(z)
    if not len(z) or (size.max(axis=0) / size.min(axis=0) - 1).max() < room:
        per_pair = np.median(size, axis=0) if len(z) else np.ones(1)
        return raw, _uneven_pairs(per_pair, room)
    cos, sin = np.abs(z.real).max(), np.abs(z.imag).max()
    evened = raw.z.real / cos + 1j * raw.z.imag / sin
    gap = float(np.abs(np.abs(evened[raw.finite]) - 1).max())
    if gap < 64 * room and abs(cos / sin - 1) > 4 * room:
        found = Departure(
            "attention_factor", "cos and sin", (float(cos), float(sin)), 1.0, size=abs(cos - sin)
        )
        return replace(raw, z=evened), [found]
    figure = f"the length of a unit vector goes from {size.min():.4g} to {size.max():.4g}"
    departure = Departure("not_a_rotation", "length", size=float(np.ptp(size)), figures=(figure,))
    return raw, [departure]


def _uneven_pairs(size: np.ndarray, room: float) -> list[Departure]:
    middle = np.median(size)
    wrong = np.flatnonzero(np.abs(size / middle - 1) > room)
    if not len(wrong):
        return []
    ends = int(wrong[0]), int(wrong[-1])
    found = float(size[wrong[0]])
    return [
        Departure("attention_factor", "pairs", found, float(middle), ends, size=abs(found - middle))
    ]


def _lines(probe: Probe, raw: Turns, of: Rounding) -> tuple[list[Line], bool]:
    turns = _clean(positions.normalised(raw, of.factor, False), probe.noise)
    lines = [_line(turns, axis, of) for axis in range(probe.subject.axes)]
    exchanged = _is_exchanged(lines[0])
    if exchanged:
        turns = _clean(positions.normalised(raw, of.factor, True), probe.noise)
        lines = [_line(turns, axis, of) for axis in range(probe.subject.axes)]
    if probe.noise > SINGLE or probe.recorded:
        lines = [refined(turns, axis, one, of) for axis, one in enumerate(lines)]
    return lines, exchanged


def _clean(turns: Turns, roundoff: float) -> Turns:
    """Turns as angles are read from: coarse ones are sharpened."""
    if roundoff <= SINGLE:
        return turns
    return replace(
        turns, z=np.where((turns.z == 0) | np.isnan(turns.z), turns.z, sharpened(turns.z))
    )


def _floor(probe: Probe) -> float:
    """The noise of small angles.

    There is none where unit vectors are given, whose images are cos and sin themselves.
    """
    return probe.noise if probe.recorded else 0.0


def _line(turns: Turns, axis: int, of: Rounding) -> Line:
    p = turns.positions[:, axis]
    alone = (np.delete(turns.positions, axis, 1) == 0).all(axis=1) & (p >= 1) & (p <= NEAR)
    rows = np.flatnonzero(alone & turns.finite & (np.abs(turns.z) > 0).all(axis=1))
    _, first = np.unique(p[rows], return_index=True)
    rows = rows[first]
    if len(rows) < 4:
        raise NotMeasured(
            f"Only {len(rows)} positions with the other coordinates at 0 gave numbers; at "
            "least 4 are needed."
        )
    return line(p[rows], turns.z[rows], of)


def _is_exchanged(first: Line) -> bool:
    """Whether slow pairs begin a quarter turn away, as they do with cos and sin exchanged."""
    slow = np.argsort(np.abs(first.w))[: max(1, len(first.w) // 2)]
    return bool(np.median(np.abs(np.abs(wrap(first.phase[slow])) - QUARTER)) < 0.1)


def from_random(probe: Probe, reading: Reading, y: np.ndarray, length: int) -> Turns:
    """Turns at another length, from the images of random vectors.

    That is `z = (y_a + i y_b) / (x_a + i x_b)`.
    """
    x = behaviour.random_x(probe)
    rows = np.arange(probe.rows) if probe.fixed is not None else np.arange(1, probe.rows - 1)
    (a, b), (to_a, to_b) = reading.channels.read.T, reading.channels.write.T
    given, got = x[0, rows, 0], y[0, rows, 0]
    frame = behaviour.some_positions(probe, length)
    z = (got[:, to_a] + 1j * got[:, to_b]) / (given[:, a] + 1j * given[:, b])
    turns = Turns(frame[rows], z, np.zeros(z.shape))
    return positions.normalised(turns, reading.factor, reading.exchanged)
