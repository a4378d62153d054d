"""From turns to radians per position.

Doubling the lag fixes the branch of the angle; a line through all angles gives the value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .number import ROUNDOFF, SINGLE, wrap
from .rounding import Rounding
from .turns import Turns

LAGS = tuple(2**k for k in range(12))
FEW = 8  # products that make a lag worth using


@dataclass(frozen=True)
class Line:
    """`angle = w p + phase` for each pair, modulo a turn.

    Attributes:
        w: radians per position, `(P,)`.
        phase: at position 0, `(P,)`.
        uncertainty: of w, `(P,)`: how far it may be from the w of a right function.
        phase_uncertainty: of the phase, `(P,)`.
    """

    w: np.ndarray
    phase: np.ndarray
    uncertainty: np.ndarray
    phase_uncertainty: np.ndarray


def line(positions: np.ndarray, z: np.ndarray, of: Rounding) -> Line:
    """The line through the angles of z `(n, P)` at integers `(n,)`; w is 0 where z is constant."""
    unit = z / np.maximum(np.abs(z), 1e-30)
    rough = _by_lags(positions, unit)
    fitted = _fit(positions, unit, rough, of)
    moves = np.abs(z - z[:1]).max(axis=0) > 0
    return replace(fitted, w=np.where(moves, fitted.w, 0.0))


def _by_lags(positions: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """w from the mean turn over a lag of 1, 2, 4, ..., each fixing the branch of the next."""
    index = {int(p): row for row, p in enumerate(positions)}
    w = np.zeros(unit.shape[1])
    for lag in LAGS:
        both = [(row, index[p + lag]) for p, row in index.items() if p + lag in index]
        if lag > 1 and len(both) < FEW:
            break
        if both:
            before, after = np.array(both).T
            turn = np.angle((unit[after] * unit[before].conj()).sum(axis=0))
            w = (wrap(turn - lag * w) + lag * w) / lag
    return w


class Regression(NamedTuple):
    """A straight line through the angles of each pair."""

    w: np.ndarray  # (P,) the slope, radians per position
    phase: np.ndarray  # (P,) the angle at position 0
    angle: np.ndarray  # (S, P) not wrapped
    room: np.ndarray  # (S, P) how far a right angle may be from the line


def _regression(p: np.ndarray, unit: np.ndarray, w: np.ndarray, of: Rounding) -> Regression:
    """Least squares, each angle weighted by how far it may be from the line."""
    middle = np.angle((unit * np.exp(-1j * w * p)).sum(axis=0))
    angle = w * p + middle + wrap(np.angle(unit) - w * p - middle)
    room = of.room(unit, angle)
    weight = room**-2.0
    total, mean = weight.sum(axis=0), (weight * p).sum(axis=0) / weight.sum(axis=0)
    w = (weight * (p - mean) * angle).sum(axis=0) / (weight * (p - mean) ** 2).sum(axis=0)
    return Regression(w, (weight * angle).sum(axis=0) / total - w * mean, angle, room)


def _fit(positions: np.ndarray, unit: np.ndarray, w: np.ndarray, of: Rounding) -> Line:
    """The line of each pair, fitted three times: the branch of an angle follows from the slope."""
    p = positions[:, None].astype(float)
    for _ in range(2):
        w = _regression(p, unit, w, of).w
    return _bounded(p, _regression(p, unit, w, of))


def _bounded(p: np.ndarray, fit: Regression) -> Line:
    """The line, and the lines that pass every angle within its room.

    `|angle - w p - phase| <= room` at two positions bounds w whatever the phase is, and w lies in
    the intersection of these intervals: one of the two is the position with the least room. So the
    uncertainty covers the truth wherever the room does, however the roundings repeat. Where angles
    miss the line by more than their rooms, all rooms are stretched until none does.
    """
    miss = np.abs(fit.angle - fit.w * p - fit.phase)
    room = fit.room * np.maximum((miss / fit.room).max(axis=0), 1.0)
    best = room.argmin(axis=0)[None]
    p0, angle, least = (np.take_along_axis(x, best, 0) for x in (p + 0 * room, fit.angle, room))
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (fit.angle - angle) / (p - p0)
        half = (room + least) / np.abs(p - p0)
    up, down = (np.nanmin(half + sign * (middle - fit.w), axis=0) for sign in (1, -1))
    uncertainty = np.maximum(up, down)
    phase_uncertainty = (least + np.abs(angle - fit.w * p0 - fit.phase) + p0 * uncertainty)[0]
    return Line(fit.w, wrap(fit.phase), uncertainty, phase_uncertainty)


def refined(turns: Turns, axis: int, start: Line, of: Rounding) -> Line:
    """The line through ever more positions, octave by octave.

    It ends before the first octave in which a pair leaves it.
    """
    p = turns.positions[:, axis]
    alone = (np.delete(turns.positions, axis, 1) == 0).all(axis=1) & turns.finite
    with np.errstate(invalid="ignore"):
        unit = turns.z / np.maximum(np.abs(turns.z), 1e-30)
    found, end = start, 256
    while end < p.max():
        rows = alone & (p <= 2 * end)
        room = 4 * (ROUNDOFF[of.kind] + of.floor) + 2 * end * found.uncertainty
        room = room + 6 * SINGLE * (np.abs(found.w) * 2 * end + 2)
        gap = np.abs(wrap(np.angle(unit[rows]) - found.w * p[rows, None] - found.phase))
        if (gap > room).any() or (room > 1).any():
            return found
        found, end = _fit(p[rows], unit[rows], found.w, of), 2 * end
    return found
