"""The rotation of every pair at some positions, as a complex number.

Where it is no rotation, the skew says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .channels import Channels
from .probe import Probe
from .result import Departure


@dataclass(frozen=True)
class Turns:
    """The rotations at n positions.

    Attributes:
        positions: `(n, A)`.
        z: `(n, P)`, `factor (cos + i sin)` of the angle by which the lower channel of a pair turns
            to the higher one.
        skew: `(n, P)`, how far the two columns are from those of a rotation.
    """

    positions: np.ndarray
    z: NDArray[np.complex128]
    skew: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Turns:
        return Turns(self.positions[rows], self.z[rows], self.skew[rows])

    def __add__(self, other: Turns) -> Turns:
        parts = zip(
            (self.positions, self.z, self.skew), (other.positions, other.z, other.skew), strict=True
        )
        return Turns(*(np.concatenate(pair) for pair in parts))

    @property
    def finite(self) -> np.ndarray:
        """`(n,)` rows without NaN."""
        return np.asarray(np.isfinite(self.z).all(axis=1))


def columns(
    probe: Probe, found: Channels, wanted: np.ndarray, length: int | None = None
) -> list[np.ndarray]:
    """The positions `(n, A)`, and the four entries of each pair's matrix, `(n, P)` each."""
    if probe.recorded:
        return _solved(probe, found, wanted, length)
    lower, upper = np.zeros((2, probe.head_dim))
    lower[found.read[:, 0]], upper[found.read[:, 1]] = 1.0, 1.0
    parts = []
    for first in range(0, len(wanted), len(probe.used())):
        frame = probe.frame(wanted[first : first + len(probe.used())], length)
        ya, yb = probe.columns(np.stack([lower, upper]), frame)
        rows = probe.used()[: len(wanted) - first]
        entries = [y[rows][:, found.write[:, side]] for y in (ya, yb) for side in (0, 1)]
        parts.append([frame[rows], *entries])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _solved(
    probe: Probe, found: Channels, wanted: np.ndarray, length: int | None
) -> list[np.ndarray]:
    """The same from the images of four random vectors, which do not depend on the channels."""
    vectors = np.random.default_rng(5).standard_normal((4, probe.head_dim)).astype(np.float32)
    a, b = (vectors[:, found.read[:, side]].T for side in (0, 1))
    inverse = np.linalg.pinv(np.stack([a, b], axis=-1))  # (P, 2, 4)
    parts = []
    for first in range(0, len(wanted), len(probe.used())):
        frame = probe.frame(wanted[first : first + len(probe.used())], length)
        images = np.stack(probe.all_columns(vectors, frame))  # (4, S, H)
        rows = probe.used()[: len(wanted) - first]
        both = [images[:, rows][..., found.write[:, side]] for side in (0, 1)]
        entries = [np.einsum("pv,vsp->sp", inverse[:, k], y) for k in (0, 1) for y in both]
        parts.append([frame[rows], *entries])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def observe(probe: Probe, found: Channels, wanted: np.ndarray, length: int | None = None) -> Turns:
    """The turns at some positions `(n, A)`."""
    positions, aa, ab, ba, bb = columns(probe, found, wanted, length)
    skew = np.maximum(np.abs(aa - bb), np.abs(ab + ba))
    return Turns(positions, aa + 1j * ab, skew)


def order_of_write(probe: Probe, found: Channels, wanted: np.ndarray) -> Channels:
    """The channels with the order on output that makes the determinant positive."""
    _, aa, ab, ba, bb = columns(probe, found, wanted)
    flipped = (np.nanmedian(aa * bb - ab * ba, axis=0) < 0) & (np.abs(aa[0]) < np.abs(ab[0]))
    write = np.where(flipped[:, None], found.write[:, ::-1], found.write)
    return replace(found, write=write)


def not_rotations(probe: Probe, turns: Turns) -> list[Departure]:
    """Pairs whose two columns are not at right angles, or not of one length."""
    room = 16 * probe.noise * np.nanmedian(np.abs(turns.z))
    skew = np.nan_to_num(turns.skew).max(axis=0)
    wrong = np.flatnonzero(skew > room)
    if not len(wrong):
        return []
    figure = f"the two columns of pair {wrong[0]} miss a rotation by {skew[wrong[0]]:.2g}"
    ends = int(wrong[0]), int(wrong[-1])
    return [
        Departure("not_a_rotation", "skewed", pairs=ends, size=float(skew.max()), figures=(figure,))
    ]
