"""Which channels are rotated and where they go: width, start, layout, and what passes through."""

from __future__ import annotations

import numpy as np

from rope_spec import RopeSpec

from ..identification.layouts import names_of
from ..identification.reading import Reading
from ..identification.result import Departure
from .compare import Expected

Found = list[Departure]


def of_channels(reading: Reading, spec: RopeSpec, what: Expected) -> Found:
    """The departures of the channels from what is described."""
    read, write = reading.channels.read, reading.channels.write
    found: Found = []
    if not np.array_equal(read, what.read) or not np.array_equal(write, what.write):
        found += _of_width(read, spec, what)
        if not _is_part(read, what.read) and not _is_part(what.read, read):
            found += _of_layout(read, write, spec, what)
    return found + _of_still(reading)


def _of_width(read: np.ndarray, spec: RopeSpec, what: Expected) -> Found:
    start, count, described = int(read.min()), len(read), len(what.read)
    found: Found = []
    if count != described:
        found.append(Departure("rotated_width", found=2 * count, expected=2 * described))
    if start != spec.start and (count == described or start > spec.start):
        found.append(Departure("start", found=start, expected=spec.start))
    return found


def _is_part(few: np.ndarray, many: np.ndarray) -> bool:
    """Whether `few` are some of the pairs `many`, but not all."""
    return len(few) < len(many) and {*map(tuple, few)} <= {*map(tuple, many)}


def _of_layout(read: np.ndarray, write: np.ndarray, spec: RopeSpec, what: Expected) -> Found:
    start, count, axes = int(read.min()), len(read), spec.pairs.axes
    found: Found = []
    if spec.read not in names_of(read, axes, start):
        found.append(Departure("layout_read", found=layout_of(read, axes), expected=spec.read))
    elif (
        count == len(what.read) < len(spec.pairs)
        and start == spec.start
        and not np.array_equal(read, what.read)
    ):
        found.append(Departure("rotated_width", "compact", 2 * count, spec.rotary_dim))
    follows = spec.write is None and np.array_equal(write, read)
    if not follows and spec.written not in names_of(write, axes, start):
        found.append(Departure("layout_write", found=layout_of(write, axes), expected=spec.written))
    return found


def layout_of(channels: np.ndarray, axes: int) -> str:
    """The name of a layout, or `other`."""
    start = int(channels.min())
    exchanged = [f"{name}, exchanged" for name in names_of(channels[:, ::-1], axes, start)]
    return next(iter([*names_of(channels, axes, start), *exchanged]), "other")


def _of_still(reading: Reading) -> Found:
    """Departures of channels that are not rotated and yet come back changed."""
    channels = reading.channels
    is_moved = channels.still[:, 0] != channels.still[:, 1]
    is_scaled = np.abs(channels.scale - 1) > 4 * reading.roundoff
    wrong = np.flatnonzero((is_moved | is_scaled) & ~channels.moving)
    if not len(wrong):
        return []
    first = wrong[0]
    how = "moved" if is_moved[first] else "scaled" if channels.scale[first] else "zero"
    figure = f"channels {channels.still[wrong, 0].tolist()}"
    return [Departure("pass_through", how, float(channels.scale[first]), 1.0, figures=(figure,))]
