"""What was read off a function, in one value, and what that predicts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .channels import Channels
from .number import SINGLE
from .result import Departure
from .turns import Turns


@dataclass
class Reading:
    """Radians per position and what goes with them. P pairs, A axes; all angles modulo a turn.

    Attributes:
        dtype: of x.
        roundoff: the unit roundoff of what comes out.
        channels: which channels are a pair.
        w: `(P, A)`, with the sign of the rotation.
        uncertainty: of w, `(P, A)`.
        phase: the angle at position 0, `(P,)`.
        phase_uncertainty: of the phase, `(P,)`.
        factor: the length of the image of a unit vector.
        exchanged: whether cos stands where sin belongs; w and turns are as if it did not.
        turns: at all measured positions, of length 1 where the factor explains it.
        raw: the same before division and exchange.
        departures: found so far.
    """

    dtype: str
    roundoff: float
    channels: Channels
    w: np.ndarray
    uncertainty: np.ndarray
    phase: np.ndarray
    phase_uncertainty: np.ndarray
    factor: float
    exchanged: bool
    turns: Turns
    raw: Turns
    departures: list[Departure] = field(default_factory=list)

    def angle(self, positions: np.ndarray) -> np.ndarray:
        """`(n, P)` at positions `(n, A)`."""
        return positions @ self.w.T + self.phase

    def room(self, positions: np.ndarray) -> np.ndarray:
        """How far a right float32 computation of the angle may be from the line, `(n, P)`."""
        size = np.abs(positions) @ np.abs(self.w).T
        return 6 * self.roundoff + 6 * SINGLE * (size + 2) + np.abs(positions) @ self.uncertainty.T

    def gap(self, turns: Turns) -> np.ndarray:
        """`|z - prediction|`, `(n, P)`; infinite where z is NaN."""
        return np.nan_to_num(np.abs(turns.z - np.exp(1j * self.angle(turns.positions))), nan=np.inf)

    def alone(self, axis: int) -> Turns:
        """The turns where only one coordinate is not 0, by that coordinate."""
        others = np.delete(self.turns.positions, axis, 1)
        rows = np.flatnonzero((others == 0).all(axis=1))
        _, first = np.unique(self.turns.positions[rows, axis], return_index=True)
        return self.turns[rows[first]]
