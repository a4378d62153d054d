"""Which positions are measured.

Those are the first ones, runs of neighbours in every octave, and random ones.
"""

from __future__ import annotations

import numpy as np

from .behaviour import SEED
from .probe import Probe

NEAR = 256  # bfloat16 holds every integer up to here


def along(axis: int, p: np.ndarray, axes: int) -> np.ndarray:
    wanted = np.zeros((len(p), axes), np.int64)
    wanted[:, axis] = p
    return wanted


def near_positions(probe: Probe) -> np.ndarray:
    return np.arange(min(probe.rows - 2, probe.context))


def mixed_positions(probe: Probe) -> np.ndarray:
    """Half of them small, half anywhere, in all coordinates."""
    rng = np.random.default_rng(SEED)
    count, axes = len(probe.used()), probe.subject.axes
    near = rng.integers(1, min(NEAR, probe.context), (count, axes))
    far = rng.integers(1, probe.context, (count, axes))
    return np.where(rng.random((count, 1)) < 0.5, near, far)


def far_positions(probe: Probe) -> np.ndarray:
    """Runs of neighbours in every octave, and random positions.

    Several coordinates are moved one by one, and together.
    """
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
    return np.concatenate([*(along(axis, p, axes) for axis in range(axes)), together])


def _block(probe: Probe, start: int) -> np.ndarray:
    start = max(min(start, probe.context - probe.rows), 0)
    return np.repeat(start + np.arange(probe.rows)[:, None], probe.subject.axes, 1)
