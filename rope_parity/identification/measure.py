"""The order of the measurement: state first, then behaviour, channels, frequencies, positions, precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import behaviour, positions, precision, state
from .channels import Channels, channels, mixing
from .frequencies import Line, line, refined, sharpened
from .number import HALF, ROUNDOFF, wrap
from .probe import Probe
from .reading import Reading
from .result import Departure, NotMeasured
from .turns import Turns, not_rotations, observe, order_of_write

NEAR = 256  # bfloat16 holds every integer up to here
QUARTER = np.pi / 2


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


def measure(probe: Probe, lengths: Sequence[int], is_factory: bool) -> Measurement:
    """Measure a function.

    Args:
        probe: calls it.
        lengths: current lengths to try, ascending, the whole context last.
        is_factory: whether a fresh instance can be made.

    Raises:
        NotMeasured: it raises, or returns another shape.
    """
    found, first, said = _state(probe, lengths, is_factory)
    x, (_, y) = behaviour.random_x(probe), first[-1]
    frame = behaviour.some_positions(probe, probe.context)
    if not np.isfinite(y).any():
        raise NotMeasured(
            "The function gave numbers nowhere: all that it returned is NaN or infinite."
        )
    probe.noise = _noise(probe, precision.all_rounded(y[:, :, 0]), y)
    _check_positions_are_used(probe, y, frame)
    depends_on = state.depends_on_length(probe, first)
    found += _behaviour(probe, x, y, frame)
    reading = _reading(probe, found)
    by_length = {}
    if reading is not None:
        alone = probe.spacing == 1
        by_length = {n: from_random(probe, reading, y, n) for n, y in first if alone}
        found += _precision(probe, reading, y, x, frame)
    probe.subject.always_fresh = False
    if probe.recorded:
        return Measurement(probe, reading, dict(first), by_length, depends_on, found, said)
    more, notes = state.after_another_dtype(probe, y, fresh=is_factory)
    found += [d for d in more if d.name not in {e.name for e in found}]
    return Measurement(probe, reading, dict(first), by_length, depends_on, found, said + notes)


def _noise(probe: Probe, kind: str | None, y: np.ndarray) -> float:
    """The unit roundoff of the format that all numbers are of, whatever their dtype."""
    return max(probe.noise, ROUNDOFF[kind]) if kind else probe.noise


def _state(probe: Probe, lengths: Sequence[int], is_factory: bool):
    probe.subject.fresh()
    if probe.fixed is not None or probe.mode != "any":
        lengths = lengths[-1:]
    found, first = state.repeated(probe, lengths)
    said = []
    if is_factory:
        found = found or state.reversed_order(probe, lengths, first)
        found = found or state.another_theta(probe, first[-1][1])
        probe.subject.fresh()
        if found:  # the rest is read off the first call of an instance each
            probe.subject.always_fresh = True
            first = state.sequence(probe, lengths, behaviour.random_x(probe))
    else:
        said = ["a fresh instance: hand over a factory with factory=True"]
    return found, first, said


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
    """Behaviour that is no rope's; rows that disturb each other are kept apart from here on."""
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


def _reading(probe: Probe, found: list[Departure]) -> Reading | None:
    """Everything about the pairs, or None where there are none."""
    mixed = channels(probe, _mixed_positions(probe))
    found += mixing(mixed)
    if not len(mixed.read):
        return None
    axes = probe.subject.axes
    near = [_along(axis, _near(probe), axes) for axis in range(axes)]
    mixed = order_of_write(probe, mixed, near[0][: len(probe.used())])
    raw = observe(probe, mixed, near[0])
    for wanted in near[1:]:
        raw = raw + observe(probe, mixed, wanted)
    if probe.fixed is None:
        raw = raw + observe(probe, mixed, far_positions(probe))
    probe.noise = _noise(probe, precision.table_rounded(raw), raw.z)
    found += not_rotations(probe, raw)
    return read_turns(probe, mixed, raw, found)


def _along(axis: int, p: np.ndarray, axes: int) -> np.ndarray:
    wanted = np.zeros((len(p), axes), np.int64)
    wanted[:, axis] = p
    return wanted


def _near(probe: Probe) -> np.ndarray:
    return np.arange(min(probe.rows - 2, probe.context))


def _mixed_positions(probe: Probe) -> np.ndarray:
    """Half of them small, half anywhere, in all coordinates."""
    rng = np.random.default_rng(behaviour.SEED)
    count, axes = len(probe.used()), probe.subject.axes
    near = rng.integers(1, min(NEAR, probe.context), (count, axes))
    far = rng.integers(1, probe.context, (count, axes))
    return np.where(rng.random((count, 1)) < 0.5, near, far)


def far_positions(probe: Probe) -> np.ndarray:
    """Runs of neighbours in every octave, and random ones; with several coordinates each alone, and together."""
    rng, context, axes = np.random.default_rng(1), probe.context, probe.subject.axes
    if context <= NEAR:
        p = rng.integers(0, context, 40)
    else:
        octaves = [2**k for k in range(8, (context - 1).bit_length())]
        starts = [low + int(rng.integers(0, low)) for low in octaves]
        runs = [np.arange(start, start + 14) for start in starts]
        runs += [np.arange(low - 3, low + 12) for low in octaves]
        random = [rng.integers(low, 2 * low, 24) for low in octaves]
        p = np.concatenate([*runs, *random, [context - 9, context - 5, context - 3, context - 2]])
    p = np.unique(p[p < context - 1])
    if probe.mode == "contiguous":
        return np.concatenate(
            [_block(probe, int(s)) for s in rng.integers(NEAR, max(context, NEAR + 1), 4)]
        )
    if axes == 1:
        return p[:, None]
    together = rng.integers(0, context, (200, axes))
    return np.concatenate([*(_along(axis, p, axes) for axis in range(axes)), together])


def _block(probe: Probe, start: int) -> np.ndarray:
    start = max(min(start, probe.context - probe.rows), 0)
    return np.repeat(start + np.arange(probe.rows)[:, None], probe.subject.axes, 1)


def read_turns(probe: Probe, mixed: Channels, raw: Turns, found: list[Departure]) -> Reading:
    """Factor, exchange of cos and sin, frequencies and phase."""
    raw, uneven = _evened(raw, probe)
    found += uneven
    factor = _factor(raw, probe)
    factor = 1.0 if abs(factor - 1) < 3 * probe.noise else factor
    lines, exchanged = _lines(probe, raw, factor)
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


def _factor(raw: Turns, probe: Probe) -> float:
    """The length of the turns; where cos and sin are coarse, the mean over those of which neither is small."""
    size = np.abs(raw.z[raw.finite])
    if probe.noise > ROUNDOFF["float32"]:
        part = np.minimum(np.abs(raw.z.real), np.abs(raw.z.imag))[raw.finite]
        both = size[part > 0.2 * size]
        size = np.sqrt(np.mean(both**2)) if len(both) > 50 else size
    return float(np.nanmedian(size) or 1.0)


def _evened(raw: Turns, probe: Probe) -> tuple[Turns, list[Departure]]:
    """Turns whose cos and sin have one factor, and a departure where they had two, or one for each pair."""
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


def _lines(probe: Probe, raw: Turns, factor: float) -> tuple[list[Line], bool]:
    roundoff = probe.noise
    turns = _clean(positions.normalised(raw, factor, False), roundoff)
    lines = [_line(turns, axis, roundoff, _floor(probe)) for axis in range(probe.subject.axes)]
    exchanged = _is_exchanged(lines[0])
    if exchanged:
        turns = _clean(positions.normalised(raw, factor, True), roundoff)
        lines = [_line(turns, axis, roundoff, _floor(probe)) for axis in range(probe.subject.axes)]
    if roundoff > ROUNDOFF["float32"] or probe.recorded:
        floor = _floor(probe)
        lines = [refined(turns, axis, one, roundoff, floor) for axis, one in enumerate(lines)]
    return lines, exchanged


def _clean(turns: Turns, roundoff: float) -> Turns:
    """Turns whose angles are to be read."""
    if roundoff <= ROUNDOFF["float32"]:
        return turns
    return replace(
        turns, z=np.where((turns.z == 0) | np.isnan(turns.z), turns.z, sharpened(turns.z))
    )


def _floor(probe: Probe) -> float:
    """The noise of small angles: none where unit vectors are given, whose images are cos and sin themselves."""
    return probe.noise if probe.recorded else 0.0


def _line(turns: Turns, axis: int, roundoff: float, floor: float) -> Line:
    p = turns.positions[:, axis]
    alone = (np.delete(turns.positions, axis, 1) == 0).all(axis=1) & (p >= 1) & (p <= NEAR)
    rows = np.flatnonzero(alone & turns.finite & (np.abs(turns.z) > 0).all(axis=1))
    _, first = np.unique(p[rows], return_index=True)
    rows = rows[first]
    if len(rows) < 4:
        raise NotMeasured(
            f"Only {len(rows)} positions with the other coordinates at 0 gave numbers; at least 4 are needed."
        )
    return line(p[rows], turns.z[rows], roundoff, floor)


def _is_exchanged(first: Line) -> bool:
    """Whether slow pairs begin a quarter turn away."""
    slow = np.argsort(np.abs(first.w))[: max(1, len(first.w) // 2)]
    return bool(np.median(np.abs(np.abs(wrap(first.phase[slow])) - QUARTER)) < 0.1)


def from_random(probe: Probe, reading: Reading, y: np.ndarray, length: int) -> Turns:
    """Turns at another length, from the images of random vectors: `z = (y_a + i y_b) / (x_a + i x_b)`."""
    x = behaviour.random_x(probe)
    rows = np.arange(probe.rows) if probe.fixed is not None else np.arange(1, probe.rows - 1)
    (a, b), (to_a, to_b) = reading.channels.read.T, reading.channels.write.T
    given, got = x[0, rows, 0], y[0, rows, 0]
    frame = behaviour.some_positions(probe, length)
    z = (got[:, to_a] + 1j * got[:, to_b]) / (given[:, a] + 1j * given[:, b])
    turns = Turns(frame[rows], z, np.zeros(z.shape))
    return positions.normalised(turns, reading.factor, reading.exchanged)


def _precision(
    probe: Probe, reading: Reading, y: np.ndarray, x: np.ndarray, frame: np.ndarray
) -> list[Departure]:
    """Positions, then what is rounded; each looked for in what the ones before leave."""
    found = list(positions.departures(probe, reading))
    ends = [d.position for d in found if d.name == "table_ends" and d.position is not None]
    inside = reading.turns.positions.max(axis=1) < min(ends, default=np.inf)
    turns = reading.turns[inside & reading.turns.finite]
    angles = precision.angles_rounded(turns, reading)
    if angles:
        found.append(precision.departure("angles_rounded", angles, reading))
        reading.uncertainty = precision.widened(reading, ROUNDOFF[angles])
    kind = precision.frequencies_rounded(reading.w.sum(axis=1), reading.uncertainty.max(axis=1))
    if kind:
        found.append(precision.departure("frequencies_rounded", kind, reading))
    return found + _of_table_and_products(probe, reading, y)


def _of_table_and_products(probe: Probe, reading: Reading, y: np.ndarray) -> list[Departure]:
    """In float32 alone: in a half precision everything is of that precision."""
    if probe.subject.dtype in HALF:
        return []
    turned = np.unique(reading.channels.write)
    kind = precision.all_rounded(y[0][:, 0][:, turned])
    if kind:
        return [precision.departure("products_rounded", kind, reading)]
    kind = precision.table_rounded(reading.raw)
    return [precision.departure("table_rounded", kind, reading)] if kind else []
