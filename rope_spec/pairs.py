"""Which coordinate of a position moves each pair of channels, and how fast.

M-RoPE, axial vision and video ropes are just that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .values import whole

MOST_CHANNELS = 2**16  # of a head; more would only fill the memory


@dataclass(frozen=True)
class Pairs:
    """For each pair of channels: the coordinate that moves it, and its rung on the frequency ladder.

    Rung k of the ladder is `theta ** (-2 k / ladder_dim)`, for k from 0 to `ceil(ladder_dim / 2) - 1`.

    Attributes:
        axis: which of the A coordinates of a position moves pair j, length P.
        rung: which rung of the ladder pair j has, length P.
        ladder_dim: the denominator of the exponent.
    """

    axis: tuple[int, ...]
    rung: tuple[int, ...]
    ladder_dim: int

    def __post_init__(self):
        if not (isinstance(self.axis, tuple) and isinstance(self.rung, tuple)):
            raise TypeError(
                f"Pairs: got axis={self.axis!r} and rung={self.rung!r}, expected tuples, which can "
                "be hashed. Call tuple()."
            )
        if not self.axis or len(self.axis) != len(self.rung):
            raise ValueError(
                f"Pairs: got {len(self.axis)} axes and {len(self.rung)} rungs, expected as many of "
                "the one as of the other, and at least one. Give one axis and one rung for each "
                "pair."
            )
        for name in ("axis", "rung"):
            numbers = tuple(whole(f"Pairs.{name}", value) for value in getattr(self, name))
            object.__setattr__(self, name, numbers)
        object.__setattr__(self, "ladder_dim", whole("Pairs.ladder_dim", self.ladder_dim, least=1))
        self._check_numbers()

    def _check_numbers(self) -> None:
        if max(self.rung) >= self.rungs:
            raise ValueError(
                f"Pairs: got rungs {min(self.rung)} to {max(self.rung)}, expected 0 to "
                f"{self.rungs - 1} for ladder_dim={self.ladder_dim}. Give a wider ladder, or lower "
                "rungs."
            )
        if set(self.axis) != set(range(self.axes)):
            raise ValueError(
                f"Pairs: got axes {sorted(set(self.axis))}, expected each of 0 to A - 1 to move "
                "some pair. Number them so."
            )

    def __len__(self) -> int:
        return len(self.axis)

    @property
    def axes(self) -> int:
        """A, the number of coordinates of a position."""
        return max(self.axis) + 1

    def coordinates(self, positions: Any) -> Any:
        """The coordinate of each pair, in any framework.

        `(..., S) -> (..., S, 1)`, and for A > 1 `(..., S, A) -> (..., S, P)`.
        """
        return positions[..., None] if self.axes == 1 else positions[..., np.array(self.axis)]

    @property
    def rungs(self) -> int:
        """The length of the ladder."""
        return math.ceil(self.ladder_dim / 2)

    @classmethod
    def single(cls, *, rotary_dim: int) -> Pairs:
        """One coordinate for all pairs of `rotary_dim` channels, twice as many as pairs.

        An odd `rotary_dim` rounds the pairs up and keeps the denominator, as transformers does.
        """
        rotary_dim = whole("Pairs.single: rotary_dim", rotary_dim, least=1, most=MOST_CHANNELS)
        return cls._shared([0] * math.ceil(rotary_dim / 2), rotary_dim)

    @classmethod
    def sections(cls, sections: tuple[int, ...]) -> Pairs:
        """One ladder in consecutive sections of pairs, one for each axis.

        Source: M-RoPE of Qwen2-VL, arXiv:2409.12191.
        """
        return cls._shared([axis for axis, length in enumerate(sections) for _ in range(length)])

    @classmethod
    def strided(cls, sections: tuple[int, ...], pairs: int | None = None) -> Pairs:
        """Axes take turns: pair j belongs to axis j mod A while j < A times its section, else to 0.

        Source: Qwen3-VL in transformers.

        Args:
            sections: how many pairs each axis has.
            pairs: P, where the sections need not sum to it: axis 0 has the rest, as in transformers.
        """
        axes = len(sections)
        turns = [
            j % axes if j < axes * sections[j % axes] else 0
            for j in range(sum(sections) if pairs is None else pairs)
        ]
        if pairs is None and tuple(turns.count(axis) for axis in range(axes)) != tuple(sections):
            raise ValueError(
                f"Pairs.strided: got sections {sections}, expected the first of {axes} to be the "
                "longest. Build Pairs itself."
            )
        return cls._shared(turns)

    @classmethod
    def spatial_first(cls, sections: tuple[int, int, int]) -> Pairs:
        """Sections h, w, t: height (axis 1) and width (axis 2) alternate, time (axis 0) has the rest.

        Source: Ernie-4.5-VL in transformers.
        """
        height, width, time = sections
        if height != width:
            raise ValueError(
                f"Pairs.spatial_first: got sections {sections}, expected as many for height as for "
                "width. Build Pairs itself."
            )
        return cls._shared([1, 2] * height + [0] * time)

    @classmethod
    def alternating(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """One ladder; axes take turns, pair by pair (NeoMME)."""
        _block(rotary_dim, axes)
        return cls._shared([j % axes for j in range(rotary_dim // 2)])

    @classmethod
    def axial(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """A ladder of its own for each axis, one block of pairs after the other: vision towers.

        Source: arXiv:2104.09864, in two dimensions.
        """
        rungs = _block(rotary_dim, axes)
        return cls(
            tuple(a for a in range(axes) for _ in range(rungs)),
            tuple(range(rungs)) * axes,
            rotary_dim // axes,
        )

    @classmethod
    def axial_shared(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """One ladder dealt out: axis a has rungs a, a + A, ..., one block after the other.

        Source: Pixtral, arXiv:2410.07073.
        """
        rungs = _block(rotary_dim, axes)
        blocks = [(axis, axis + axes * k) for axis in range(axes) for k in range(rungs)]
        return cls(tuple(axis for axis, _ in blocks), tuple(rung for _, rung in blocks), rotary_dim)

    @classmethod
    def axial_alternating(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """Every rung once for each axis, which take turns: Kimi's vision tower."""
        rungs = _block(rotary_dim, axes)
        return cls(
            tuple(range(axes)) * rungs,
            tuple(k for k in range(rungs) for _ in range(axes)),
            rotary_dim // axes,
        )

    @classmethod
    def _shared(cls, axis: list[int], ladder_dim: int | None = None) -> Pairs:
        return cls(tuple(axis), tuple(range(len(axis))), ladder_dim or 2 * len(axis))


def _block(rotary_dim: int, axes: int) -> int:
    """The pairs of each axis."""
    rotary_dim = whole("Pairs: rotary_dim", rotary_dim, most=MOST_CHANNELS)
    if whole("Pairs: axes", axes) < 1 or rotary_dim < 1 or rotary_dim % (2 * axes):
        raise ValueError(
            f"Pairs: got rotary_dim={rotary_dim} for {axes} axes, expected a multiple of "
            f"{2 * axes}. Round it."
        )
    return rotary_dim // (2 * axes)
