"""Lines over logarithmic axes, as points of SVG polylines in a box of 100 by 50."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

FLOOR = 2.0**-30  # an error of zero is drawn here


Line = tuple[str, np.ndarray, np.ndarray]  # name, x, y
Scale = Callable[[np.ndarray], np.ndarray]
Ticks = list[tuple[float, str]]


class Chart(NamedTuple):
    """A drawing of some lines over logarithmic axes, in a box of 100 by 50."""

    title: str
    x_ticks: Ticks
    y_ticks: Ticks
    lines: list[tuple[str, str]]  # name, and points of an SVG polyline


def chart(
    title: str, lines: list[Line], scale: Scale, ticks: Callable[[np.ndarray], Ticks]
) -> Chart:
    """Lines `(name, x, y)` over `scale(x)` and the logarithm of y.

    `ticks(x)` names the ticks.
    """
    longest = float(max(scale(x).max() for _, x, _ in lines)) or 1.0
    exponents = range(-9, 1)
    y_of = lambda y: (
        48 - 46 * (np.log10(np.maximum(y, FLOOR)) - exponents[0]) / (exponents[-1] - exponents[0])
    )
    drawn = []
    for name, x, y in lines:
        order = np.argsort(x, kind="stable")
        points = zip(98 * scale(x)[order] / longest + 1, y_of(y)[order], strict=True)
        drawn.append((name, " ".join(f"{a:.2f},{b:.2f}" for a, b in points)))
    x_ticks = [
        (1 + 98 * float(scale(np.array(value))) / longest, text)
        for value, text in ticks(lines[0][1])
    ]
    return Chart(title, x_ticks, [(float(y_of(10.0**e)), f"1e{e}") for e in exponents[::2]], drawn)


def position_ticks(x: np.ndarray) -> Ticks:
    """Powers of 16, for a logarithmic axis."""
    return [(float(2**n), f"{2**n:,}") for n in (0, 4, 8, 12, 16, 20) if 2**n <= x.max()]


def pair_ticks(x: np.ndarray) -> Ticks:
    """Five pairs."""
    return [(float(n), str(n)) for n in np.linspace(0, x.max(), 5).astype(int)]
