"""The position that each position is rotated by: its own, or rounded, clamped, wrapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .number import HALF, rounded
from .probe import Probe
from .reading import Reading
from .result import Departure
from .turns import Turns, observe

Predicate = Callable[[Turns], np.ndarray]  # `(n,)`, whether a row is of the kind that is looked for
Look = Callable[[np.ndarray], Turns]  # the turns at positions `(n,)` of one axis
SAMPLED = 24  # pairs that are enough to tell a position


def departures(probe: Probe, reading: Reading) -> Iterator[Departure]:
    """What is wrong with the positions of each axis."""
    for axis in range(reading.w.shape[1]):
        if not np.any(reading.w[:, axis]):
            continue
        look = _looking(probe, reading, axis)
        seen = reading.alone(axis)
        end = table_end(seen, reading, axis, look, probe.context)
        before = (
            seen
            if end is None or end.position is None
            else seen[seen.positions[:, axis] < end.position]
        )
        kind = rounding(before, reading, axis)
        if kind and end is not None and _is_overflow(kind, end):
            end = None
        if kind:
            yield kind
        if end is not None:
            yield end


def is_bad(turns: Turns, reading: Reading) -> np.ndarray:
    """Whether some pair is further from the line than a right one may be, `(n,)`."""
    return np.asarray((reading.gap(turns) > 4 * reading.room(turns.positions)).any(axis=1))


def normalised(turns: Turns, factor: float, exchanged: bool) -> Turns:
    """Turns of length 1, with cos and sin in their places."""
    z = turns.z / factor
    return Turns(turns.positions, 1j * z.conj() if exchanged else z, turns.skew)


def _looking(probe: Probe, reading: Reading, axis: int) -> Look | None:
    if probe.fixed is not None or probe.recorded:
        return None

    def look(p: np.ndarray) -> Turns:
        wanted = np.zeros((len(p), reading.w.shape[1]), np.int64)
        wanted[:, axis] = p
        turns = observe(probe, reading.channels, wanted)
        reading.raw = reading.raw + turns
        return normalised(turns, reading.factor, reading.exchanged)

    return look


def table_end(
    seen: Turns, reading: Reading, axis: int, look: Look | None, context: int
) -> Departure | None:
    """The first position from which on rows are NaN, zero, all alike, or repeat earlier ones."""
    p = seen.positions[:, axis]
    last = seen.z[-1]
    bad = is_bad(seen, reading)
    tests: dict[str, Predicate] = {
        "nan": lambda turns: ~turns.finite,
        "zero": lambda turns: (turns.z == 0).all(axis=1),
        "still": lambda turns: (turns.z == 1).all(axis=1) & (turns.positions[:, axis] > 0),
        "clamped": lambda turns: (turns.z == last).all(axis=1),
    }
    for how, is_so in tests.items():
        rows = is_so(seen)
        if rows[-1] and rows.sum() > 3 and bad[rows].any() and p[rows].min() < 0.97 * p[-1]:
            own = how == "clamped"  # the last row belongs to one position, which has it rightly
            return _end(how, _first(p, rows, is_so, look) + own, seen, reading, axis)
    return _wrapped(seen, bad, reading, axis, look, context)


def _end(how: str, first: int, seen: Turns, reading: Reading, axis: int) -> Departure:
    after = seen.positions[:, axis] >= first
    size = float(np.nan_to_num(reading.gap(seen)[after], posinf=2.0).max(initial=0.0))
    return Departure("table_ends", how, found=first, position=first, size=min(size, 2.0))


def _first(p: np.ndarray, rows: np.ndarray, is_so: Predicate, look: Look | None) -> int:
    """The first position of the last run of such rows, found by looking between the samples."""
    start = np.flatnonzero(~rows)[-1] if (~rows).any() else -1
    low, high = (int(p[start]) if start >= 0 else -1), int(p[start + 1])
    while look is not None and high - low > 1:
        between = np.unique(np.linspace(low + 1, high, 200).astype(np.int64))
        there = is_so(look(between))
        if not there.all():
            low = int(between[np.flatnonzero(~there)[-1]])
        high = int(between[between > low][0]) if (between > low).any() else high
    return high


def _wrapped(
    seen: Turns, bad: np.ndarray, reading: Reading, axis: int, look: Look | None, context: int
) -> Departure | None:
    """The end of a table whose later rows repeat: the position modulo L, or the last one."""
    p = seen.positions[:, axis]
    if not bad[-1] or bad.mean() > 0.98:
        return None
    picked = np.flatnonzero(bad)[-3:]
    taken = [taken_for(seen.z[row], reading, axis, context) for row in picked]
    if min(score for _, score in taken) < 0.97:
        return None
    shift = p[picked] - np.array([q for q, _ in taken])
    if (shift == 0).any() or (np.abs(shift) < 0.02 * p[picked]).any():
        return None
    first = _first_bad(p, bad, lambda turns: is_bad(turns, reading), look)
    if ((p[picked] - shift) == p[picked] % first).all():
        return _end("wrapped", first, seen, reading, axis)
    how = "clamped" if len({q for q, _ in taken}) == 1 else "wrapped"
    return _end(how, first, seen, reading, axis)


def _first_bad(p: np.ndarray, bad: np.ndarray, is_so: Predicate, look: Look | None) -> int:
    """The first bad position, when all before are good."""
    index = int(np.flatnonzero(bad)[0])
    low, high = (int(p[index - 1]) if index else -1), int(p[index])
    while look is not None and high - low > 1:
        between = np.unique(np.linspace(low + 1, high, 200).astype(np.int64))
        there = is_so(look(between))
        if there.any():
            high = int(between[np.flatnonzero(there)[0]])
        before = between[between < high]
        low = int(before[-1]) if len(before) else low
    return high


def taken_for(z: np.ndarray, reading: Reading, axis: int, context: int) -> tuple[int, float]:
    """The position whose prediction is nearest to a row, and the mean cosine of the difference."""
    moving = np.flatnonzero(reading.w[:, axis])
    pairs = moving[:: max(1, len(moving) // SAMPLED)]
    best = 0, -2.0
    for first in range(0, context, 8192):
        q = np.arange(first, min(first + 8192, context))
        expected = np.exp(1j * (q[:, None] * reading.w[pairs, axis] + reading.phase[pairs]))
        score = (z[pairs] * expected.conj()).real.mean(axis=1)
        if score.max() > best[1]:
            best = int(q[score.argmax()]), float(score.max())
    return best


def rounding(seen: Turns, reading: Reading, axis: int) -> Departure | None:
    """Positions rounded to a half precision.

    Neighbours that the format cannot tell apart are then rotated alike.
    """
    seen = seen[seen.finite]
    p = seen.positions[:, axis]
    alike = (seen.z[1:] == seen.z[:-1]).all(axis=1)
    follows = np.diff(p) > 0
    gap = reading.gap(seen).max(axis=1)
    for kind in HALF:
        q = rounded(p, kind)
        with np.errstate(invalid="ignore"):
            same = (np.diff(q) == 0) & follows
        if same.sum() < 3 or alike[same].mean() < 0.9 or alike[follows & ~same].mean() > 0.1:
            continue
        first = int(p[1:][alike & follows][0])
        return Departure(
            "positions_rounded", kind, kind, position=first, size=min(float(gap.max()), 2.0)
        )
    return None


def _is_overflow(kind: Departure, end: Departure) -> bool:
    """Whether a table seems to end only because float16 overflows there."""
    return kind.how == "float16" and end.how == "nan" and 65000 < (end.position or 0) < 66000
