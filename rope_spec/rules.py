"""One small frozen dataclass for each rule that scales the frequency ladder.

Their formulas are in `frequencies.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from .values import flag, number, of_kind, positive, whole


def _convert(rule: object, convert: Callable[..., Any], *names: str, **options: int) -> None:
    """Check the named fields of `rule`, and set each to the number that `convert` makes of it.

    A field of many is converted number by number. None stays where the field may be None: the rule
    derives that number itself.
    """
    kinds = {field.name: field.type for field in fields(rule)}  # pyright: ignore[reportArgumentType]
    for name in names:
        label, value = f"{type(rule).__name__}.{name}", getattr(rule, name)
        if kinds[name] == tuple[float, ...]:
            numbers = of_kind(label, value, tuple, "a tuple of numbers")
            object.__setattr__(rule, name, tuple(convert(label, n, **options) for n in numbers))
        elif value is not None or kinds[name] != float | None:
            object.__setattr__(rule, name, convert(label, value, **options))


@dataclass(frozen=True)
class Linear:
    """Position interpolation: every frequency is divided by `factor`. Source: arXiv:2306.15595."""

    factor: float

    def __post_init__(self) -> None:
        _convert(self, positive, "factor")


@dataclass(frozen=True)
class PerAxis:
    """Every axis has a base and a divisor of its own: `theta_a ** (-2 k / ladder_dim) / divisor_a`.

    The theta of the spec is unused. Source: Cosmos (bases) and Kandinsky 5 (divisors) in diffusers.

    Attributes:
        theta: a base for each axis.
        divisor: what the frequencies of each axis are divided by; left out: 1 for each.
    """

    theta: tuple[float, ...]
    divisor: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "divisor", self.divisor or (1.0,) * len(self.theta))
        _convert(self, positive, "theta", "divisor")


@dataclass(frozen=True)
class DynamicNTK:
    """theta grows with the current length where this is beyond `max_position_embeddings`.

    Source: u/emozilla on r/LocalLLaMA, 2023; transformers, `modeling_rope_utils.py`.
    """

    factor: float
    max_position_embeddings: int

    def __post_init__(self) -> None:
        _convert(self, positive, "factor")
        _convert(self, whole, "max_position_embeddings", least=1)


@dataclass(frozen=True)
class Yarn:
    """Low frequencies are divided, high ones kept, those between blended. Source: arXiv:2309.00071.

    Attributes:
        factor: how far the context is stretched.
        original_max_position_embeddings: the context length of pretraining.
        beta_fast: a frequency with more turns within that length is kept.
        beta_slow: a frequency with fewer turns is divided by `factor`.
        mscale: DeepSeek's numerator of the attention factor.
        mscale_all_dim: DeepSeek's denominator of it, which scales the softmax, if `scales_softmax`.
        attention_factor: overrides the factor that the rule derives.
        truncate: whether the ends of the ramp are rounded to whole rungs (gpt-oss does not).
        scales_softmax: whether the model multiplies its attention scale by the square of mscale, as
            DeepSeek-V3 does.
    """

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float | None = None
    mscale_all_dim: float | None = None
    attention_factor: float | None = None
    truncate: bool = True
    scales_softmax: bool = False

    def __post_init__(self) -> None:
        _convert(self, positive, "factor", "beta_fast", "beta_slow", "attention_factor")
        _convert(self, whole, "original_max_position_embeddings", least=1)
        _convert(self, number, "mscale", "mscale_all_dim")
        _convert(self, flag, "truncate", "scales_softmax")
        if self.beta_fast < self.beta_slow:
            raise ValueError(
                f"Yarn: got beta_fast={self.beta_fast} below beta_slow={self.beta_slow}, expected "
                "the reverse. Exchange them."
            )


@dataclass(frozen=True)
class LongRope:
    """One divisor for each rung, from one of two sets, by the current length.

    Source: arXiv:2402.13753.

    Attributes:
        short_factor: divisors while the length is at most `original_max_position_embeddings`.
        long_factor: divisors beyond that.
        original_max_position_embeddings: the context length of pretraining.
        factor: how far the context is stretched; the attention factor follows from it.
        attention_factor: overrides the factor that the rule derives.
    """

    short_factor: tuple[float, ...]
    long_factor: tuple[float, ...]
    original_max_position_embeddings: int
    factor: float
    attention_factor: float | None = None

    def __post_init__(self) -> None:
        _convert(self, positive, "short_factor", "long_factor", "factor", "attention_factor")
        _convert(self, whole, "original_max_position_embeddings", least=2)


@dataclass(frozen=True)
class Llama3:
    """Long wavelengths are stretched by `factor`, short ones kept, those between blended.

    Where `low_freq_factor` equals `high_freq_factor`, as in Llama-4-Scout, none is between.

    Source: Llama 3.1, arXiv:2407.21783.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        _convert(self, positive, "factor", "low_freq_factor", "high_freq_factor")
        _convert(self, whole, "original_max_position_embeddings", least=1)
        low, high = self.low_freq_factor, self.high_freq_factor
        if low > high:
            raise ValueError(
                f"Llama3: got low_freq_factor={low} and high_freq_factor={high}, expected the "
                "first not above the second. Exchange them."
            )


@dataclass(frozen=True)
class Proportional:
    """The first `rotated` rungs of the whole head's ladder are divided by `factor`.

    The other frequencies are 0. Source: Gemma 4 in transformers.
    """

    rotated: int
    factor: float = 1.0

    def __post_init__(self) -> None:
        _convert(self, positive, "factor")
        _convert(self, whole, "rotated")


@dataclass(frozen=True)
class Explicit:
    """The inverse frequencies themselves, in the unit of the spec; theta is unused."""

    inv_freq: tuple[float, ...]
    attention_factor: float = 1.0

    def __post_init__(self) -> None:
        _convert(self, positive, "attention_factor")
        _convert(self, number, "inv_freq")


Rule = Linear | PerAxis | DynamicNTK | Yarn | LongRope | Llama3 | Proportional | Explicit
