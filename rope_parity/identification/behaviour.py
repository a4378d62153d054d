"""Whether a function is linear, and whether a token depends on its own row and position alone.

Each check is one or two calls.
"""

from __future__ import annotations

import numpy as np

from .probe import Probe
from .result import Departure

SEED = 20250704
SCALE = -1024.0  # exact in every dtype


def room(probe: Probe, x: np.ndarray) -> float:
    """How far two right results for the same input may differ."""
    return 32 * probe.noise * float(np.abs(x).max())


def difference(left: np.ndarray, right: np.ndarray) -> float:
    """The largest difference; infinite where one is NaN and the other is not."""
    gap = np.abs(np.where(np.isnan(left) & np.isnan(right), 0.0, left - right))
    return float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0))


def random_x(probe: Probe, seed: int = 0) -> np.ndarray:
    """Normal numbers, the same for all heads and batch rows."""
    _, rows, _, head_dim = probe.shape
    x = np.random.default_rng(SEED + seed).standard_normal((1, rows, 1, head_dim))
    return np.broadcast_to(x, probe.shape).copy()


COMMON = 128  # positions that the frames of all lengths begin with


def some_positions(probe: Probe, length: int) -> np.ndarray:
    """Positions `(S, A)` below a length, the same in every call.

    The first ones are in order, the rest are random.
    """
    if length not in probe.frames:
        probe.frames[length] = _some_positions(probe, length)
    return probe.frames[length]


def _some_positions(probe: Probe, length: int) -> np.ndarray:
    count = len(probe.used())
    near = np.arange(1, min(COMMON, length - 1) + 1)
    far = np.random.default_rng(SEED).integers(0, length, max(count - len(near), 0))
    wanted = np.concatenate([near, far])[:count]
    return probe.frame(np.repeat(wanted[:, None], probe.subject.axes, 1), length)


def rows_alone(probe: Probe) -> list[Departure]:
    """Whether the image of one token depends on other tokens, heads and batch rows of x."""
    x, picked = np.zeros(probe.shape), probe.rows // 2
    x[0, picked, 0] = random_x(probe)[0, picked, 0]
    y = np.nan_to_num(probe.call(x, some_positions(probe, probe.context)))
    elsewhere = np.abs(y).max(axis=-1)
    elsewhere[0, picked, 0] = 0
    size = float(elsewhere.max())
    if size <= room(probe, x):
        return []
    batch, row, head = np.unravel_index(elsewhere.argmax(), elsewhere.shape)
    at = (
        f"x is 0 but for token {picked}, yet token {row}, head {head}, batch row {batch} is "
        f"{size:.2g}"
    )
    names = [("neighbour", elsewhere[:, np.arange(probe.rows) != picked])]
    names += [("batch_row", elsewhere[1:, picked]), ("heads", elsewhere[0, picked, 1:])]
    return [
        Departure(name, "x", size=float(part.max()), figures=(at,))
        for name, part in names
        if part.size and part.max() > room(probe, x)
    ]


def heads_alike(probe: Probe, y: np.ndarray, x: np.ndarray) -> list[Departure]:
    """Whether equal heads come out equal."""
    gap = difference(y[:, :, 1:], y[:, :, :1])
    if gap <= room(probe, x):
        return []
    figure = f"two heads with the same x and position differ by {gap:.2g}"
    return [Departure("heads", "position", size=gap, figures=(figure,))]


def linear(probe: Probe, y: np.ndarray, x: np.ndarray, frame: np.ndarray) -> list[Departure]:
    """Whether f(k x) = k f(x), and f(x + z) = f(x) + f(z)."""
    z, other = random_x(probe, 1), SCALE * x
    scaled = difference(probe.call(other, frame) / SCALE, y)
    both = difference(probe.call(x + z, frame), y + probe.call(z, frame))
    found = [
        (scaled, f"f({SCALE:.0f} x) / {SCALE:.0f} and f(x)"),
        (both, "f(x + z) and f(x) + f(z)"),
    ]
    return [
        Departure("not_linear", size=gap, figures=(f"{what} differ by {gap:.2g}",))
        for gap, what in found
        if gap > 2 * room(probe, x + z)
    ][:1]


def order_of_rows(probe: Probe, y: np.ndarray, x: np.ndarray, frame: np.ndarray) -> list[Departure]:
    """Whether a token is rotated alike wherever it stands in the sequence.

    In each batch row its own position has to count.
    """
    order = np.arange(probe.rows)
    order[1:-1] = np.random.default_rng(SEED).permutation(order[1:-1])
    gap = difference(probe.call(x[:, order], frame[order])[:1], y[:1, order])
    if gap > room(probe, x):
        figure = f"the same tokens in another order come out different by {gap:.2g}"
        return [Departure("neighbour", "position", size=gap, figures=(figure,))]
    if probe.shape[0] == 1 or probe.subject.shared:
        return []
    two = np.stack([frame, frame[order]])
    mixed = np.stack([x[0], x[0][order]])
    gap = difference(probe.call(mixed, two)[1], y[0, order])
    if gap <= room(probe, x):
        return []
    figure = f"batch row 1, with positions of its own, is off by {gap:.2g}"
    return [Departure("batch_row", "position", size=gap, figures=(figure,))]


def same_dtype(probe: Probe, expected: str) -> list[Departure]:
    """Whether the last call returned the dtype of x."""
    got = probe.subject.returned
    figure = f"x is {expected}, the result is {got}"
    return [] if got == expected else [Departure("dtype", got, got, expected, figures=(figure,))]
