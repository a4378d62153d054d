"""From turns to radians per position.

Doubling the lag fixes the branch of the angle; a line through all angles gives the value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .number import SINGLE, wrap
from .turns import Turns

LAGS = tuple(2**k for k in range(12))
FEW = 8  # products that make a lag worth using


@dataclass(frozen=True)
class Line:
    """`angle = w p + phase` for each pair, modulo a turn.

    Attributes:
        w: radians per position, `(P,)`.
        phase: at position 0, `(P,)`.
        uncertainty: of w, `(P,)`.
        phase_uncertainty: of the phase, `(P,)`.
        scatter: by how many times the noise of float arithmetic the angles miss the line, `(P,)`.
    """

    w: np.ndarray
    phase: np.ndarray
    uncertainty: np.ndarray
    phase_uncertainty: np.ndarray
    scatter: np.ndarray


def sharpened(z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Turns of length 1 that were coarsely rounded, made exact.

    The larger of cos and sin follows from the smaller, whose rounding is less.
    """
    cos, sin = np.clip(z.real, -1, 1), np.clip(z.imag, -1, 1)
    by_sin = np.abs(sin) < np.abs(cos)
    exact_cos = np.copysign(np.sqrt(1 - sin**2), cos)
    exact_sin = np.copysign(np.sqrt(1 - cos**2), sin)
    return np.where(by_sin, exact_cos + 1j * sin, cos + 1j * exact_sin)


def line(positions: np.ndarray, z: np.ndarray, roundoff: float, floor: float = 0.0) -> Line:
    """The line through the angles of z `(n, P)` at integers `(n,)`; w is 0 where z is constant."""
    unit = z / np.maximum(np.abs(z), 1e-30)
    rough = _by_lags(positions, unit)
    fitted = _fit(positions, unit, rough, roundoff, floor)
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
    """A straight line through the angles of each pair, and its weights."""

    w: np.ndarray  # (P,) the slope, radians per position
    phase: np.ndarray  # (P,) the angle at position 0
    residual: np.ndarray  # (S, P) in units of the noise
    total: np.ndarray  # (P,) the sum of the weights
    mean: np.ndarray  # (P,) the mean position, weighted
    spread: np.ndarray  # (P,) the sum of squares around it, weighted


def _regression(
    p: np.ndarray, unit: np.ndarray, w: np.ndarray, roundoff: float, floor: float
) -> Regression:
    """Weighted least squares; noise is a roundoff of the angle, one of cos or sin, and a floor."""
    middle = np.angle((unit * np.exp(-1j * w * p)).sum(axis=0))
    angle = w * p + middle + wrap(np.angle(unit) - w * p - middle)
    noise = 2 * SINGLE * np.abs(angle) + roundoff * np.minimum(np.abs(angle), 1.0) + floor + 1e-12
    weight = noise**-2.0
    total, mean = weight.sum(axis=0), (weight * p).sum(axis=0) / weight.sum(axis=0)
    spread = (weight * (p - mean) ** 2).sum(axis=0)
    w = (weight * (p - mean) * angle).sum(axis=0) / spread
    phase = (weight * angle).sum(axis=0) / total - w * mean
    return Regression(w, phase, (angle - w * p - phase) / noise, total, mean, spread)


def _fit(
    positions: np.ndarray, unit: np.ndarray, w: np.ndarray, roundoff: float, floor: float
) -> Line:
    """The line of each pair, fitted three times: the branch of an angle follows from the slope."""
    p = positions[:, None].astype(float)
    for _ in range(2):
        w = _regression(p, unit, w, roundoff, floor).w
    w, phase, residual, total, mean, spread = _regression(p, unit, w, roundoff, floor)
    scatter = np.sqrt((residual**2).mean(axis=0))
    coarse = 1 + (roundoff > SINGLE) + (scatter > 4)  # coarse roundings repeat
    error = np.maximum(scatter, 0.3) * coarse
    share = np.where((scatter < 0.5 * np.median(scatter)) & (roundoff > SINGLE), 0.7, 0.1)
    least = share * roundoff * np.abs(w)  # roundings repeat, for some w at every position
    return Line(
        w,
        wrap(phase),
        4 * error / np.sqrt(spread) + least,
        4 * error * np.sqrt(1 / total + mean**2 / spread),
        scatter,
    )


def refined(turns: Turns, axis: int, start: Line, roundoff: float, floor: float = 0.0) -> Line:
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
        room = 4 * (roundoff + floor) + 2 * end * found.uncertainty
        room = room + 6 * SINGLE * (np.abs(found.w) * 2 * end + 2)
        gap = np.abs(wrap(np.angle(unit[rows]) - found.w * p[rows, None] - found.phase))
        if (gap > room).any() or (room > 1).any():
            return found
        found, end = _fit(p[rows], unit[rows], found.w, roundoff, floor), 2 * end
    return found
