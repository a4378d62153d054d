"""A function against a description, at every position and length that was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rope_spec import RopeSpec, inverse_frequencies

from ..identification import behaviour
from ..identification.layouts import channels_of
from ..identification.measure import Measurement
from ..identification.number import ROUNDOFF, SINGLE
from ..identification.turns import Turns


@dataclass(frozen=True)
class Expected:
    """What a description gives at one length, for the pairs whose frequency is not 0.

    Attributes:
        read: the channels of each pair, `(P, 2)`.
        write: where they go, `(P, 2)`.
        axis: the coordinate of each pair, `(P,)`.
        w: radians per position, with the sign, `(P,)`.
        factor: the attention factor.
    """

    read: np.ndarray
    write: np.ndarray
    axis: np.ndarray
    w: np.ndarray
    factor: float

    def angle(self, positions: np.ndarray) -> np.ndarray:
        """`(n, P)` at positions `(n, A)`."""
        return positions[:, self.axis] * self.w


def expected(spec: RopeSpec, length: int | None, unit: float = 1.0) -> Expected:
    """The description at a length.

    Pairs of frequency 0 are left out: only the attention factor may change their channels.
    """
    frequencies = inverse_frequencies(spec, length if spec.depends_on_length else None)
    layouts = spec.read, spec.write or spec.read
    read, write = (channels_of(x, len(spec.pairs), spec.pairs.axes, spec.start) for x in layouts)
    moving = frequencies.inv_freq != 0
    axis, w = np.array(spec.pairs.axis), spec.sign * unit * frequencies.inv_freq
    return Expected(
        read[moving], write[moving], axis[moving], w[moving], frequencies.attention_factor
    )


def angle_room(size: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The allowed error of an angle whose product and frequency are float32, in radians.

    It is the rounding of the product, of the frequency, and of the position.
    """
    ladder = 6 + 4 * np.abs(np.log(np.maximum(np.abs(w), 1e-30)))
    return SINGLE * (size * (2 + ladder) + 2)


def image(spec: RopeSpec, what: Expected, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """y `(n, H)` for x `(n, H)` at positions `(n, A)`."""
    y = x.copy()
    _write_still(spec, x, y, what.factor)
    a, b = (x[:, what.read[:, side]] for side in (0, 1))
    cos, sin = (what.factor * f(what.angle(positions)) for f in (np.cos, np.sin))
    y[:, what.write[:, 0]], y[:, what.write[:, 1]] = a * cos - b * sin, b * cos + a * sin
    return y


def _write_still(spec: RopeSpec, x: np.ndarray, y: np.ndarray, factor: float) -> None:
    """Write the pairs of frequency 0 where the layout puts them, times the attention factor."""
    layouts = spec.read, spec.write or spec.read
    read, write = (channels_of(x, len(spec.pairs), spec.pairs.axes, spec.start) for x in layouts)
    y[:, write] = factor * x[:, read]


def worst_of_images(
    measured: Measurement, spec: RopeSpec, ys: dict[int, np.ndarray]
) -> tuple[float, int, float]:
    """The images of random vectors against the description.

    Returns the largest share of the allowed error, the position where it is, and the largest error.
    """
    probe, worst = measured.probe, (0.0, 0, 0.0)
    x = behaviour.random_x(probe)
    rows = np.unique(np.append(probe.used(), 0)) if probe.fixed is None else probe.used()
    for length, y in ys.items():
        what = expected(spec, length, probe.subject.unit or 1.0)
        frame = behaviour.some_positions(probe, length)[rows]
        error = np.abs(y[0, rows, 0] - image(spec, what, x[0, rows, 0], frame))
        size = np.abs(x[0, rows, 0]).max(axis=1, keepdims=True)
        allowed = np.full(error.shape, 8 * roundoff(measured))
        for side in (0, 1):
            room = angle_room(np.abs(frame[:, what.axis] * what.w), what.w)
            allowed[:, what.write[:, side]] += room
        used = np.nan_to_num(error / (size * what.factor * allowed), nan=np.inf)
        row = int(used.max(axis=1).argmax())
        if used.max() > worst[0]:
            worst = float(used.max()), int(frame[row].max()), float((error / size)[row].max())
    return worst


def roundoff(measured: Measurement) -> float:
    """The unit roundoff of the dtype of x."""
    return ROUNDOFF[measured.probe.subject.dtype]


def worst_of_turns(turns: Turns, what: Expected, unit: float) -> tuple[float, int, float]:
    """The largest share of the allowed error in the turns, its position, and the largest error."""
    error, allowed = turn_errors(turns, what, unit)
    used = error / allowed
    row = int(used.max(axis=1).argmax())
    return float(used.max()), int(turns.positions[row].max()), float(error.max())


def turn_errors(turns: Turns, what: Expected, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Errors of the turns and the allowed ones, `(n, P)`, as shares of the length of a pair."""
    z = what.factor * np.exp(1j * what.angle(turns.positions))
    error = np.nan_to_num(np.abs(turns.z - z), nan=np.inf) / what.factor
    size = np.abs(turns.positions[:, what.axis] * what.w)
    return error, 4 * unit + angle_room(size, what.w)
