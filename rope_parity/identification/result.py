"""What was found about a function: departures by name, and the values that stand for the whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from rope_spec import RopeSpec

Name = Literal[
    "layout_read",
    "layout_write",
    "rotated_width",
    "start",
    "theta",
    "exponent",
    "rule_missing",
    "rule_parameter",
    "frequencies",
    "attention_factor",
    "sign",
    "cos_sin_exchanged",
    "position_offset",
    "positions_rounded",
    "frequencies_rounded",
    "angles_rounded",
    "table_rounded",
    "products_rounded",
    "table_ends",
    "axes",
    "length_rule",
    "state",
    "not_linear",
    "neighbour",
    "batch_row",
    "heads",
    "dtype",
    "pass_through",
    "not_a_rotation",
    "unexplained",
]
NAMES: tuple[str, ...] = get_args(Name)


class NotMeasured(RuntimeError):
    """The function could not be measured; the message says why, and what to do."""


@dataclass(frozen=True)
class Departure:
    """One way in which a function is not what it should be.

    Attributes:
        name: one of `NAMES`.
        how: a word that says more, such as `bfloat16` or `clamped`.
        found: what the function has.
        expected: what the description has, where there is one.
        pairs: the first and the last pair that it shows in, or None for all.
        position: the first tested position where it shows, or None for all.
        count: in how many pairs.
        size: how large the error is, as a share of the length of a pair.
        figures: calls and numbers that show it, one a line.
    """

    name: str
    how: str = ""
    found: Any = None
    expected: Any = None
    pairs: tuple[int, int] | None = None
    position: int | None = None
    count: int | None = None
    size: float | None = None
    figures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"Departure: got {self.name!r}, expected one of {', '.join(NAMES)}.")


@dataclass(frozen=True)
class Measured:
    """How the function computes, as far as its output shows it.

    Attributes:
        dtype: of x.
        angles: `exact`, `float32`, `bfloat16` or `float16`.
        angle_error: the largest error of an angle, in radians.
        position: where that is.
    """

    dtype: str
    angles: str
    angle_error: float
    position: int


@dataclass(frozen=True)
class Evidence:
    """The numbers behind the result. P pairs, A axes.

    Attributes:
        inv_freq: radians per position, modulo a turn, (P, A); modulo 256 turns where coordinates
            are real.
        uncertainty: of each inv_freq, (P, A).
        channels: for each pair the channels a, b that it reads and the channels that it writes, (P,
            4).
        attention_factor: the length of the image of a unit vector.
        positions: how many different positions were measured, and the largest.
        lengths: the current lengths that were tried.
        calls: how often the function was called.
        not_tested: what could not be tested, and why.
    """

    inv_freq: np.ndarray
    uncertainty: np.ndarray
    channels: np.ndarray
    attention_factor: float
    positions: tuple[int, int]
    lengths: tuple[int, ...]
    calls: int
    not_tested: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identification:
    """What a function is.

    Attributes:
        spec: the description that was found, or None where no `RopeSpec` describes it.
        arithmetic: how it computes.
        departures: what is not as in a plain rotary embedding.
        evidence: the numbers.
    """

    spec: RopeSpec | None
    arithmetic: Measured
    departures: tuple[Departure, ...]
    evidence: Evidence = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the departures."""
        return tuple(departure.name for departure in self.departures)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values = asdict(self)
        for key in ("inv_freq", "uncertainty", "channels"):
            values["evidence"][key] = values["evidence"][key].tolist()
        return values
