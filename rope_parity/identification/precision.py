"""How a function computes.

Each detector looks at the numbers that came out, not at other detectors.
"""

from __future__ import annotations

import numpy as np

from .number import HALF, are, rounded, step_at, wrap
from .reading import Reading
from .result import Departure
from .turns import Turns

MANY = 60  # observations that make a coincidence unlikely


def table_rounded(raw: Turns) -> str | None:
    """The half precision of which every cos and sin is a number, or None.

    The largest one may have been divided out.
    """
    z = raw.z[raw.finite]
    factor = float(np.abs(z.real).max(initial=1.0))
    for kind in HALF:
        for values in (z, z / factor):
            if are(values.real, kind) and are(values.imag, kind):
                return kind
    return None


def all_rounded(y: np.ndarray) -> str | None:
    """The half precision of which every element of an image is a number, or None."""
    changed = y[np.isfinite(y) & (y != 0)]
    return next((kind for kind in HALF if are(changed, kind)), None)


def angles_rounded(turns: Turns, reading: Reading) -> str | None:
    """The half precision of which the angles are numbers, where its steps exceed the noise."""
    angle = reading.angle(turns.positions)
    with np.errstate(invalid="ignore"):
        observed = angle + wrap(np.angle(turns.z) - angle)
    noise = reading.roundoff * np.minimum(np.abs(observed), 1.0)
    noise = noise + 2.0**-23 * np.abs(observed) * (reading.roundoff <= 2.0**-20)
    for kind in HALF:
        step = step_at(observed, kind)
        clear = (
            (step > 12 * noise) & (step < 1.5) & (np.abs(observed) > 1e-5) & np.isfinite(observed)
        )
        clear &= _is_off(angle / step)
        if clear.sum() < MANY:
            continue
        off = observed[clear] / step[clear]
        if np.mean(~_is_off(off, 0.12)) > 0.9:
            return kind
    return None


def _is_off(steps: np.ndarray, distance: float = 0.2) -> np.ndarray:
    """Whether a number of steps is not near a whole one."""
    with np.errstate(invalid="ignore"):
        return np.abs(steps - np.round(steps)) > distance


def widened(reading: Reading, roundoff: float) -> np.ndarray:
    """The uncertainty of frequencies whose angles are rounded.

    It is half a roundoff where all rounded angles happen to be multiples of one number.
    """
    relative = reading.uncertainty / np.maximum(np.abs(reading.w), 1e-30)
    is_alike = (relative < 0.1 * np.median(relative[reading.w != 0])) & (reading.w != 0)
    share = np.where(is_alike, 0.5, 0.3)
    return np.maximum(share * roundoff * np.abs(reading.w), reading.uncertainty)


def least_uncertainty(reading: Reading, roundoff: float) -> np.ndarray:
    """The uncertainty of frequencies that are read off rounded cos and sin, `(P, A)`.

    At no position is the angle known to less than `roundoff` of it, or of one radian.
    """
    furthest = np.maximum(reading.turns.positions.max(axis=0), 1)
    return roundoff * np.minimum(np.abs(reading.w), 1 / furthest)


def frequencies_rounded(w: np.ndarray, uncertainty: np.ndarray) -> str | None:
    """The half precision of which all frequencies are numbers, or their reciprocals.

    Powers of two are numbers of every format and do not count.
    """
    telling = (w != 0) & (np.abs(np.frexp(np.abs(w))[0] - 0.5) > 1e-6)
    if telling.sum() < 3:
        return None
    w, uncertainty = np.abs(w[telling]), uncertainty[telling]
    for kind in HALF:
        for values, error in ((w, uncertainty), (1 / w, uncertainty / w**2)):
            near = np.abs(rounded(values, kind) - values) <= np.maximum(error, 3e-7 * values)
            chance = np.clip(2 * np.maximum(error, 3e-7 * values) / step_at(values, kind), 0, 1)
            if near.all() and np.sum(np.log(np.maximum(chance, 1e-12))) < np.log(1e-6):
                return kind
    return None


def departure(name: str, kind: str, reading: Reading) -> Departure:
    """The departure of a rounding, with the largest error that it leaves."""
    gap = reading.gap(reading.turns)
    size = float(np.min([np.nan_to_num(gap, posinf=2.0).max(), 2.0]))
    return Departure(name, kind, kind, size=size)
