"""Which coordinate of a position rotates each pair of channels, and how fast.

Text, M-RoPE, axial vision and video differ only in that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .values import convert_fields, convert_tuples, whole

MAX_CHANNELS = 2**16  # of one head: far beyond any model


@dataclass(frozen=True)
class Pairs:
    """For each pair of channels: the coordinate that rotates it, and its rung on the ladder.

    The ladder is the list of frequencies `theta ** (-2 k / ladder_dim)`, and a rung is an index k,
    from 0 to `ceil(ladder_dim / 2) - 1`. Every exponent is a fraction, so that ladders of several
    widths are rungs of one: see `widths`.

    Attributes:
        axis: for each of the P pairs, which of the A coordinates of a position rotates it.
        rung: for each of the P pairs, the index of its frequency on the ladder.
        ladder_dim: the denominator of the exponent.
    """

    axis: tuple[int, ...]
    rung: tuple[int, ...]
    ladder_dim: int

    def __post_init__(self) -> None:
        convert_tuples(self, whole, "axis", "rung")
        convert_fields(self, whole, "ladder_dim", least=1)
        if not self.axis or len(self.axis) != len(self.rung):
            raise ValueError(
                f"Pairs: got {len(self.axis)} axes and {len(self.rung)} rungs, expected the same "
                "number of both, 1 or more. Give one axis and one rung for each pair."
            )
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
                f"Pairs: got axes {sorted(set(self.axis))}, expected all of 0 to {self.axes - 1}. "
                "Renumber the axes."
            )

    def __len__(self) -> int:
        return len(self.axis)

    @property
    def axes(self) -> int:
        """A, the number of coordinates of a position."""
        return max(self.axis) + 1

    def coordinates(self, positions: Any) -> Any:
        """The coordinate of each pair, for an array of any framework.

        `(..., S) -> (..., S, 1)`, and for A > 1 `(..., S, A) -> (..., S, P)`.
        """
        return positions[..., None] if self.axes == 1 else positions[..., np.array(self.axis)]

    @property
    def rungs(self) -> int:
        """The length of the ladder."""
        return math.ceil(self.ladder_dim / 2)

    @classmethod
    def single(cls, *, rotary_dim: int) -> Pairs:
        """One coordinate for all pairs. `rotary_dim` counts channels: there are half as many pairs.

        An odd `rotary_dim` rounds the pairs up and keeps the denominator, as transformers does.
        """
        rotary_dim = whole("Pairs.single: rotary_dim", rotary_dim, least=1, most=MAX_CHANNELS)
        return cls._shared([0] * math.ceil(rotary_dim / 2), rotary_dim)

    @classmethod
    def sections(cls, *, mrope_section: tuple[int, ...]) -> Pairs:
        """M-RoPE: one ladder for all axes, cut into consecutive sections of pairs.

        The first axis has the highest frequencies. Where each axis has a ladder of its own, as in
        Flux, the constructor is `widths`.

        Source: Qwen2-VL, arXiv:2409.12191.

        Args:
            mrope_section: how many pairs each axis has.
        """
        return cls._shared([a for a, length in enumerate(mrope_section) for _ in range(length)])

    @classmethod
    def widths(cls, widths: tuple[int, ...]) -> Pairs:
        """A ladder of its own for each axis, one block of channels after the other.

        `widths((16, 56, 56))` has the frequencies `theta ** (-2 k / 16)` for the first axis and
        `theta ** (-2 k / 56)` for the others. On the ladder of 112, the least common multiple,
        these are every seventh rung and every second one. A rule that counts rungs (`Yarn`,
        `LongRope`, ...) counts those of that ladder.

        Source: `axes_dims_rope` of Flux and of most image and video models in diffusers.

        Args:
            widths: how many channels each axis has, an even number: twice its pairs.
        """
        if not widths or any(whole("Pairs.widths", width) < 2 or width % 2 for width in widths):
            raise ValueError(
                f"Pairs.widths: got {widths}, expected an even number of channels for each axis, "
                "2 or more. Channels are twice the pairs."
            )
        ladder_dim = math.lcm(*widths)
        return cls(
            tuple(axis for axis, width in enumerate(widths) for _ in range(width // 2)),
            tuple(k * (ladder_dim // width) for width in widths for k in range(width // 2)),
            ladder_dim,
        )

    @classmethod
    def strided(cls, sections: tuple[int, ...], pairs: int | None = None) -> Pairs:
        """M-RoPE with alternating axes: t, h, w, t, h, w, ...; the pairs that are left are time.

        Pair j has axis `a = j mod A` if `j < A * sections[a]`, else axis 0.

        Source: Qwen3-VL in transformers; timm's `RotaryEmbeddingMRope`.

        Args:
            sections: how many pairs each axis has.
            pairs: P. If it is given, the sections only say where each axis stops taking turns, as
                for timm's (8, 12, 12): the other pairs have axis 0.
        """
        axes = len(sections)
        turns = [
            j % axes if j < axes * sections[j % axes] else 0
            for j in range(sum(sections) if pairs is None else pairs)
        ]
        if pairs is None and tuple(turns.count(axis) for axis in range(axes)) != tuple(sections):
            raise ValueError(
                f"Pairs.strided: got sections {sections}, expected the first of {axes} to be the "
                f"longest. In turns they have {tuple(turns.count(axis) for axis in range(axes))} "
                "pairs, which you get if you pass the number of pairs, as timm does."
            )
        return cls._shared(turns)

    @classmethod
    def spatial_first(cls, sections: tuple[int, int, int]) -> Pairs:
        """Sections h, w, t: height (axis 1) and width (axis 2) alternate, then comes time (axis 0).

        Source: Ernie-4.5-VL in transformers.
        """
        height, width, time = sections
        if height != width:
            raise ValueError(
                f"Pairs.spatial_first: got sections {sections}, expected as many for height as for "
                "width. Call Pairs(axis, rung, ladder_dim) instead."
            )
        return cls._shared([1, 2] * height + [0] * time)

    @classmethod
    def alternating(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """One ladder; axes take turns, pair by pair (NeoMME)."""
        _pairs_per_axis(rotary_dim, axes)
        return cls._shared([j % axes for j in range(rotary_dim // 2)])

    @classmethod
    def axial(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """A ladder for each axis, of `rotary_dim / A` channels; one block of pairs after the other.

        Most vision towers have it.

        Source: arXiv:2104.09864, in two dimensions.
        """
        rungs = _pairs_per_axis(rotary_dim, axes)
        return cls(
            tuple(a for a in range(axes) for _ in range(rungs)),
            tuple(range(rungs)) * axes,
            rotary_dim // axes,
        )

    @classmethod
    def axial_shared(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """The axes share one ladder: axis a has the rungs a, a + A, ..., one block after the other.

        Source: Pixtral, arXiv:2410.07073.
        """
        rungs = _pairs_per_axis(rotary_dim, axes)
        blocks = [(axis, axis + axes * k) for axis in range(axes) for k in range(rungs)]
        return cls(tuple(axis for axis, _ in blocks), tuple(rung for _, rung in blocks), rotary_dim)

    @classmethod
    def axial_alternating(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """Every rung once for each axis, which take turns: Kimi's vision tower."""
        rungs = _pairs_per_axis(rotary_dim, axes)
        return cls(
            tuple(range(axes)) * rungs,
            tuple(k for k in range(rungs) for _ in range(axes)),
            rotary_dim // axes,
        )

    @classmethod
    def _shared(cls, axis: list[int], ladder_dim: int | None = None) -> Pairs:
        return cls(tuple(axis), tuple(range(len(axis))), ladder_dim or 2 * len(axis))


def _pairs_per_axis(rotary_dim: int, axes: int) -> int:
    rotary_dim = whole("Pairs: rotary_dim", rotary_dim, most=MAX_CHANNELS)
    if whole("Pairs: axes", axes) < 1 or rotary_dim < 1 or rotary_dim % (2 * axes):
        raise ValueError(
            f"Pairs: got rotary_dim={rotary_dim} for {axes} axes, expected a multiple of "
            f"{2 * axes}. Round it down."
        )
    return rotary_dim // (2 * axes)
