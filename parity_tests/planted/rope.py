"""What a program takes for its rotary embedding, right or wrong, anew from the papers."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Ladder:
    """Frequencies `theta ** -exponent_k`, for a rule; `number` is the dtype of every step."""

    theta: float
    exponents: Array
    dim: int
    length: int
    number: type

    @property
    def plain(self) -> Array:
        return 1 / self.number(self.theta) ** self.exponents


Rule = Callable[[Ladder], Array]


def plain(ladder: Ladder) -> Array:
    return ladder.plain


def standard(k: Array, dim: int) -> Array:
    """RoFormer, arXiv:2104.09864: theta to the power -2 k / d."""
    return 2 * k / dim


@dataclass(frozen=True)
class Rope:
    """P pairs of channels from `start` on, each turned by a coordinate times a frequency.

    Attributes:
        head_dim: channels of a head.
        pairs: P.
        theta: base of the frequencies.
        dim: denominator of the exponent.
        rule: frequencies for long contexts.
        exponent: of theta, from the index of a frequency and `dim`.
        index: which frequency a pair has; (): pair k has frequency k.
        axis: which coordinate moves a pair; (): there is one.
        read, write: "half", "interleaved", or "half_per_axis": halves of a block for each axis.
        start: first rotated channel.
        factor: of cos and sin.
        sign: of the angle.
        offset: added to each position.
        exchanged: cos stands for sin, and the reverse.
        finish: what becomes of the frequencies at last.
        follows_length: the rule depends on the length of the call.
    """

    head_dim: int
    pairs: int
    theta: float
    dim: int
    rule: Rule = plain
    exponent: Callable[[Array, int], Array] = standard
    index: tuple[int, ...] = ()
    axis: tuple[int, ...] = ()
    read: str = "half"
    write: str = "half"
    start: int = 0
    factor: float = 1.0
    sign: int = 1
    offset: int = 0
    exchanged: bool = False
    finish: Callable[[Array], Array] = np.asarray
    follows_length: bool = False

    def frequencies(self, length: int, number: type = np.float64) -> Array:
        """Radians per position of each pair, (P,), for a call of `length`."""
        k = np.array(self.index or range(self.pairs), number)
        exponents = self.exponent(k, number(self.dim)).astype(number)
        ladder = Ladder(self.theta, exponents, self.dim, length, number)
        return self.finish(self.rule(ladder).astype(number))

    def channels(self, layout: str) -> Array:
        """The two channels of each pair, (2, P)."""
        blocks = {"half": 1, "interleaved": self.pairs, "half_per_axis": self.coordinates}[layout]
        places = np.arange(2 * self.pairs).reshape(blocks, 2, -1)
        return self.start + np.moveaxis(places, 1, 0).reshape(2, -1)

    @property
    def coordinates(self) -> int:
        return max(self.axis, default=0) + 1


def yarn_factor(factor: float, mscale: float = 1.0) -> float:
    """YaRN, arXiv:2309.00071, equation 22, with DeepSeek's `mscale`."""
    return 0.1 * mscale * math.log(factor) + 1


def longrope_factor(stretch: float, original: int) -> float:
    """LongRoPE, arXiv:2402.13753, as Phi-3 has it."""
    return math.sqrt(1 + math.log(stretch) / math.log(original))
