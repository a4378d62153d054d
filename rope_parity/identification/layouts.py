"""Which two channels are a pair, by the name of a layout."""

from __future__ import annotations

import numpy as np

from rope_spec.spec import Layout

LAYOUTS: tuple[Layout, ...] = ("half", "interleaved", "half_per_axis")


def channels_of(layout: Layout, pairs: int, axes: int, start: int = 0) -> np.ndarray:
    """The two channels of each pair, `(P, 2)`."""
    blocks = {"half": 1, "interleaved": pairs, "half_per_axis": axes}[layout]
    if pairs % blocks:
        return np.full((pairs, 2), -1)
    index = start + np.arange(2 * pairs).reshape(blocks, 2, pairs // blocks)
    return index.transpose(0, 2, 1).reshape(pairs, 2)


def names_of(channels: np.ndarray, axes: int, start: int) -> list[Layout]:
    """The layouts that have these channels, `(P, 2)`, from channel `start` on."""
    count = len(channels)
    return [n for n in LAYOUTS if np.array_equal(channels, channels_of(n, count, axes, start))]
