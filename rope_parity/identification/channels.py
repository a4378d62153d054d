"""Which channels are mixed with which: read from the images of the unit vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .probe import Probe
from .result import Departure

VISITS = 4  # of each channel, at different positions
FAINT = 1e-6  # below this share an entry may be noise of a matrix product


@dataclass(frozen=True)
class Channels:
    """Pairs of channels, in order of the first one read.

    Attributes:
        read: the channels a < b of each pair, `(P, 2)`.
        write: the two channels that they go to, `(P, 2)`, the lower one first until the determinant
            is known.
        still: `(n, 2)` channels that are not mixed, and where they go.
        scale: `(n,)` by how much those are multiplied.
        moving: `(n,)` whether that changes with the position.
        other: channels whose image is neither, with the channels of the image.
    """

    read: np.ndarray
    write: np.ndarray
    still: np.ndarray
    scale: np.ndarray
    moving: np.ndarray
    other: dict[int, tuple[int, ...]]


def channels(probe: Probe, positions: np.ndarray) -> Channels:
    """Read the channels from images at some positions `(n, A)`, in one call if it has room."""
    largest, low, high = images(probe, positions)
    faint = np.abs(largest) > 0
    mixed = faint if faint.sum(axis=1).max() <= 2 else np.abs(largest) > FAINT
    targets = [tuple(map(int, np.flatnonzero(row))) for row in mixed]
    groups: dict[tuple[int, ...], list[int]] = {}
    for channel, target in enumerate(targets):
        groups.setdefault(target, []).append(channel)
    pairs = {t: members for t, members in groups.items() if len(t) == 2 and len(members) == 2}
    paired = {channel for members in pairs.values() for channel in members}
    still = [(c, t[0] if t else c) for c, t in enumerate(targets) if len(t) <= 1]
    index = tuple(np.array(still, int).reshape(-1, 2).T)
    return Channels(
        read=np.array(list(pairs.values()), int).reshape(-1, 2),
        write=np.array(list(pairs), int).reshape(-1, 2),
        still=np.array(still, int).reshape(-1, 2),
        scale=(low + high)[index] / 2,
        moving=(high - low)[index] > 1e-2,
        other={c: t for c, t in enumerate(targets) if c not in paired and len(t) > 1},
    )


def images(probe: Probe, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrix `(H, H)`, input by output, over some positions.

    Returns for each entry the largest magnitude, the least value and the greatest value.
    """
    head_dim, heads = probe.head_dim, 1 if probe.only_first else probe.shape[2]
    batch = 1 if probe.only_first else probe.shape[0]
    used, frame = probe.used(), probe.frame(positions)
    slots = [(b, row, n) for row in used for b in range(batch) for n in range(heads)]
    least, greatest = np.full((2, head_dim, head_dim), np.nan)
    rounds = max(1, -(-VISITS * head_dim // len(slots)))
    for turn in range(rounds):
        x, owner = np.zeros(probe.shape), {}
        for index, slot in enumerate(slots):
            owner[slot] = (turn * len(slots) + index * _stride(head_dim)) % head_dim
            x[slot][owner[slot]] = probe.amplitude
        y = probe.call(x, frame) / probe.amplitude
        for slot, channel in owner.items():
            if np.isfinite(y[slot]).all() and frame[slot[1]].any():
                least[channel] = np.fmin(least[channel], y[slot])
                greatest[channel] = np.fmax(greatest[channel], y[slot])
    least, greatest = np.nan_to_num(least), np.nan_to_num(greatest)
    return np.maximum(np.abs(least), np.abs(greatest)), least, greatest


def _stride(head_dim: int) -> int:
    """A step that visits every channel, so that neighbours in the frame hold different ones."""
    return next(
        step for step in range(head_dim // 3 + 1, 2 * head_dim) if np.gcd(step, head_dim) == 1
    )


def mixing(found: Channels) -> list[Departure]:
    """Departures of channels that are mixed in another way than as pairs."""
    departures = []
    if found.other:
        example = next(iter(found.other))
        figure = (
            f"channel {example} goes to channels {', '.join(map(str, found.other[example][:6]))}"
        )
        figures = (f"{len(found.other)} channels are no pairs", figure)
        departures.append(
            Departure("not_a_rotation", "channels", sorted(found.other), figures=figures)
        )
    moving = found.still[found.moving, 0]
    if len(moving):
        figure = f"channel {moving[0]} is multiplied by a number that changes with the position"
        departures.append(Departure("not_a_rotation", "scaled", moving.tolist(), figures=(figure,)))
    return departures
