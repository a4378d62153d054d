"""What `check_rope` answers: a verdict, its findings, and where the errors are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rope_spec import RopeSpec

from ..identification.result import Departure, Identification

FIRST = 16  # the last of the first positions


@dataclass(frozen=True)
class Finding:
    """A departure, and what to say about it."""

    departure: Departure
    text: str

    @property
    def name(self) -> str:
        return self.departure.name


@dataclass(frozen=True)
class Errors:
    """Where the errors are, as shares of the length of a pair.

    Attributes:
        positions: `(n,)`, the largest coordinate of each measured position.
        by_position: the largest error there, `(n,)`.
        allowed: what float arithmetic allows there, `(n,)`.
        by_pair: the largest error of each pair, everywhere and up to position `FIRST`, `(2, P)`;
            nothing where the pairs are not as many as described.
    """

    positions: np.ndarray
    by_position: np.ndarray
    allowed: np.ndarray
    by_pair: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """Whether a function is the rotary embedding that is described.

    Attributes:
        right: it is, at every position and length that was measured.
        findings: what is wrong, each with its text.
        spec: what is described.
        found: what the function is.
        angle_error: the largest error against exact arithmetic, as a share of the length of a pair.
        used: the largest share of what float arithmetic allows that is used; above 1 is wrong.
        expected_factor: the attention factor that is described.
        errors: where it shows.
        hidden: names of departures that could not be seen beside the findings.
    """

    right: bool
    findings: tuple[Finding, ...]
    spec: RopeSpec
    found: Identification
    angle_error: float
    used: float
    expected_factor: float
    errors: Errors = field(repr=False)
    hidden: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the findings."""
        return tuple(finding.name for finding in self.findings)

    @property
    def text(self) -> str:
        """The verdict in words, at most 80 columns wide."""
        from . import words

        return words.verdict(self)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        from . import words

        values = asdict(self) | {"found": self.found.as_dict(), "text": self.text}
        return words.plain(values)
