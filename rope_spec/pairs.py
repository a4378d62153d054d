"""Which coordinate of a position rotates each pair of channels, and how fast.

Text, M-RoPE, axial vision and video differ only in that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .values import convert_fields, convert_tuples, of_kind, whole

Positions = TypeVar("Positions", bound=Any)  # an array of any framework
MAX_CHANNELS = 2**16  # of one head: far beyond any model


@dataclass(frozen=True)
class Pairs:
    """For each pair of channels: the coordinate that rotates it, and the index of its frequency.

    Frequency k is `theta ** (-2 k / frequency_dim)`, for k from 0 to `ceil(frequency_dim / 2) - 1`.
    Axes of different widths share one `frequency_dim`, their least common multiple: see `widths`.

    Attributes:
        axis: for each of the P pairs, which of the A coordinates of a position rotates it.
        frequency_index: for each of the P pairs, the k of its frequency.
        frequency_dim: the denominator of the exponent.
    """

    axis: tuple[int, ...]
    frequency_index: tuple[int, ...]
    frequency_dim: int

    def __post_init__(self) -> None:
        convert_tuples(self, whole, "axis", "frequency_index")
        convert_fields(self, whole, "frequency_dim", least=1)
        if not self.axis or len(self.axis) != len(self.frequency_index):
            raise ValueError(
                f"Pairs: got {len(self.axis)} axes and {len(self.frequency_index)} frequency "
                "indices, expected as many of both, 1 or more. Give one of both for each pair."
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        if max(self.frequency_index) >= self.num_frequencies:
            raise ValueError(
                f"Pairs: got frequency indices {min(self.frequency_index)} to "
                f"{max(self.frequency_index)}, expected 0 to {self.num_frequencies - 1} for "
                f"frequency_dim={self.frequency_dim}. Give a larger one, or lower indices."
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

    def coordinates(self, positions: Positions) -> Positions:
        """The coordinate of each pair, for an array of any framework.

        `(..., S) -> (..., S, 1)`, and for A > 1 `(..., S, A) -> (..., S, P)`.
        """
        return positions[..., None] if self.axes == 1 else positions[..., np.array(self.axis)]

    @property
    def num_frequencies(self) -> int:
        """The number of frequencies that `frequency_dim` has; pairs may share or skip some."""
        return math.ceil(self.frequency_dim / 2)

    @classmethod
    def single(cls, *, rotary_dim: int) -> Pairs:
        """One coordinate for all pairs. `rotary_dim` counts channels: there are half as many pairs.

        An odd `rotary_dim` rounds the pairs up and keeps the denominator, as transformers does.
        """
        rotary_dim = whole("Pairs.single: rotary_dim", rotary_dim, least=1, most=MAX_CHANNELS)
        return cls._shared([0] * math.ceil(rotary_dim / 2), rotary_dim)

    @classmethod
    def sections(cls, *, mrope_section: tuple[int, ...]) -> Pairs:
        """M-RoPE: one list of frequencies, cut into one section of pairs for each axis.

        The first axis has the highest frequencies. Where each axis has high and low ones, as in
        Flux, the constructor is `widths`.

        Source: Qwen2-VL, arXiv:2409.12191.

        Args:
            mrope_section: how many pairs each axis has.
        """
        lengths = _lengths("Pairs.sections", mrope_section)
        return cls._shared([a for a, length in enumerate(lengths) for _ in range(length)])

    @classmethod
    def widths(cls, widths: tuple[int, ...]) -> Pairs:
        """Frequencies of its own for each axis, one block of channels after the other.

        `widths((16, 56, 56))` has the frequencies `theta ** (-2 k / 16)` for the first axis and
        `theta ** (-2 k / 56)` for the others. With a `frequency_dim` of 112, the least common
        multiple, these are every seventh frequency and every second one. A rule that counts
        frequencies (`Yarn`, `LongRope`, ...) counts those of 112.

        Source: `axes_dims_rope` of Flux and of most image and video models in diffusers.

        Args:
            widths: how many channels each axis has, an even number: twice its pairs.
        """
        widths = _lengths("Pairs.widths", widths)
        if any(width < 2 or width % 2 for width in widths):
            raise ValueError(
                f"Pairs.widths: got {widths}, expected an even number of channels for each axis, "
                "2 or more. Channels are twice the pairs."
            )
        frequency_dim = math.lcm(*widths)
        return cls(
            tuple(axis for axis, width in enumerate(widths) for _ in range(width // 2)),
            tuple(k * (frequency_dim // width) for width in widths for k in range(width // 2)),
            frequency_dim,
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
        sections = _lengths("Pairs.strided", sections)
        axes = len(sections)
        count = sum(sections) if pairs is None else whole("Pairs.strided", pairs, most=MAX_CHANNELS)
        axis = [j % axes if j < axes * sections[j % axes] else 0 for j in range(count)]
        if pairs is None and tuple(map(axis.count, range(axes))) != sections:
            raise ValueError(
                f"Pairs.strided: got sections {sections}, expected the first of {axes} to be the "
                f"longest: if they alternate, they get {tuple(map(axis.count, range(axes)))} "
                "pairs. If that is meant, as in timm, pass pairs=."
            )
        return cls._shared(axis)

    @classmethod
    def spatial_first(cls, sections: tuple[int, int, int]) -> Pairs:
        """Sections h, w, t: height (axis 1) and width (axis 2) alternate, then comes time (axis 0).

        Source: Ernie-4.5-VL in transformers.
        """
        height, *others = lengths = _lengths("Pairs.spatial_first", sections)
        if len(lengths) != 3 or height != others[0]:
            raise ValueError(
                f"Pairs.spatial_first: got sections {lengths}, expected as many for height as for "
                "width, then time. Call Pairs(axis, frequency_index, frequency_dim) instead."
            )
        time = others[1]
        return cls._shared([1, 2] * height + [0] * time)

    @classmethod
    def alternating(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """One list of frequencies; axes take turns, pair by pair (NeoMME)."""
        count, axes = _pairs_per_axis(rotary_dim, axes)
        return cls._shared([*range(axes)] * count)

    @classmethod
    def axial(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """Each axis has the frequencies of `rotary_dim / A` channels, and a block of pairs.

        So do most vision towers.

        Source: arXiv:2104.09864, in two dimensions.
        """
        count, axes = _pairs_per_axis(rotary_dim, axes)
        return cls(
            tuple(axis for axis in range(axes) for _ in range(count)),
            tuple(range(count)) * axes,
            2 * count,
        )

    @classmethod
    def axial_shared(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """The axes share one list of frequencies: axis a has a, a + A, ..., block by block.

        Source: Pixtral, arXiv:2410.07073.
        """
        count, axes = _pairs_per_axis(rotary_dim, axes)
        blocks = [(axis, axis + axes * k) for axis in range(axes) for k in range(count)]
        return cls(tuple(axis for axis, _ in blocks), tuple(k for _, k in blocks), 2 * len(blocks))

    @classmethod
    def axial_alternating(cls, *, rotary_dim: int, axes: int = 2) -> Pairs:
        """As `axial`, but the axes take turns, pair by pair: Kimi's vision tower."""
        count, axes = _pairs_per_axis(rotary_dim, axes)
        return cls(
            tuple(range(axes)) * count,
            tuple(k for k in range(count) for _ in range(axes)),
            2 * count,
        )

    @classmethod
    def _shared(cls, axis: list[int], frequency_dim: int | None = None) -> Pairs:
        return cls(tuple(axis), tuple(range(len(axis))), frequency_dim or 2 * len(axis))


def _lengths(name: str, lengths: object) -> tuple[int, ...]:
    """Whole numbers that are a length for each axis, all of them at most `MAX_CHANNELS`."""
    given = of_kind(name, lengths, tuple | list, "a length for each axis, as in (16, 24, 24)")
    numbers = tuple(whole(name, length, most=MAX_CHANNELS) for length in given)
    if not numbers or sum(numbers) > MAX_CHANNELS:
        raise ValueError(
            f"{name}: got {numbers[:8]}, {sum(numbers)} in all, expected one or more, at most "
            f"{MAX_CHANNELS} in all. Give one for each axis."
        )
    return numbers


def _pairs_per_axis(rotary_dim: int, axes: int) -> tuple[int, int]:
    """The pairs of each axis, and the number of axes."""
    rotary_dim = whole("Pairs: rotary_dim", rotary_dim, most=MAX_CHANNELS)
    axes = whole("Pairs: axes", axes, most=MAX_CHANNELS)
    if axes < 1 or rotary_dim < 1 or rotary_dim % (2 * axes):
        raise ValueError(
            f"Pairs: got rotary_dim={rotary_dim} for {axes} axes, expected a multiple of "
            f"{2 * axes}. Round it down."
        )
    return rotary_dim // (2 * axes), axes
