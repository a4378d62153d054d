"""One small frozen dataclass for each rule that scales the frequencies.

Their formulas are in `frequencies.py`.
"""

from dataclasses import dataclass

from .values import convert_fields, convert_tuples, flag, number, positive, whole


@dataclass(frozen=True)
class Linear:
    """Position interpolation: every frequency is divided by `factor`. Source: arXiv:2306.15595."""

    factor: float

    def __post_init__(self) -> None:
        convert_fields(self, positive, "factor")


@dataclass(frozen=True)
class PerAxis:
    """A base and a divisor for each axis: `theta_a ** (-2 k / frequency_dim) / divisor_a`.

    The theta of the spec is unused. Source: Cosmos (bases) and Kandinsky 5 (divisors) in diffusers.

    Attributes:
        theta: a base for each axis.
        divisor: what the frequencies of each axis are divided by; by default 1.
    """

    theta: tuple[float, ...]
    divisor: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        convert_tuples(self, positive, "theta", "divisor")
        object.__setattr__(self, "divisor", self.divisor or (1.0,) * len(self.theta))


@dataclass(frozen=True)
class DynamicNTK:
    """theta grows with the current length, if this is beyond `max_position_embeddings`.

    Source: u/emozilla on r/LocalLLaMA, 2023; transformers, `modeling_rope_utils.py`.
    """

    factor: float
    max_position_embeddings: int

    def __post_init__(self) -> None:
        convert_fields(self, positive, "factor")
        convert_fields(self, whole, "max_position_embeddings", least=1)


@dataclass(frozen=True)
class Yarn:
    """Low frequencies are divided by `factor`, high ones are kept, and a ramp blends those between.

    Source: arXiv:2309.00071.

    Attributes:
        factor: how far the context is stretched.
        original_max_position_embeddings: the context length of pretraining.
        beta_fast: a frequency with more turns within that length is kept.
        beta_slow: a frequency with fewer turns is divided by `factor`.
        mscale: DeepSeek's numerator of the attention factor.
        mscale_all_dim: DeepSeek's denominator of the attention factor.
        attention_factor: overrides the factor that the rule derives.
        truncate: whether the ends of the ramp are rounded to whole indices (gpt-oss does not).
        scales_softmax: whether attention also multiplies its scale by the square of
            `0.1 mscale_all_dim ln(factor) + 1`, as DeepSeek-V3 does.
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
        convert_fields(self, positive, "factor", "beta_fast", "beta_slow", "attention_factor")
        convert_fields(self, whole, "original_max_position_embeddings", least=1)
        convert_fields(self, number, "mscale", "mscale_all_dim")
        convert_fields(self, flag, "truncate", "scales_softmax")
        if self.beta_fast < self.beta_slow:
            raise ValueError(
                f"Yarn: got beta_fast={self.beta_fast} below beta_slow={self.beta_slow}, expected "
                "the reverse. Swap them."
            )


@dataclass(frozen=True)
class LongRope:
    """Each frequency has a short and a long divisor; the current length decides which one counts.

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
        convert_tuples(self, positive, "short_factor", "long_factor")
        convert_fields(self, positive, "factor", "attention_factor")
        convert_fields(self, whole, "original_max_position_embeddings", least=2)


@dataclass(frozen=True)
class Llama3:
    """Long wavelengths are stretched by `factor`, short ones kept, and those between are blended.

    Source: Llama 3.1, arXiv:2407.21783.

    Attributes:
        factor: how far the long wavelengths are stretched.
        low_freq_factor: wavelengths above L0 / low_freq_factor are long.
        high_freq_factor: wavelengths below L0 / high_freq_factor are short. Where both are equal,
            as in Llama-4-Scout, there are none between.
        original_max_position_embeddings: L0, the context length of pretraining.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        convert_fields(self, positive, "factor", "low_freq_factor", "high_freq_factor")
        convert_fields(self, whole, "original_max_position_embeddings", least=1)
        low, high = self.low_freq_factor, self.high_freq_factor
        if low > high:
            raise ValueError(
                f"Llama3: got low_freq_factor={low} and high_freq_factor={high}, expected the "
                "first not above the second. Swap them."
            )


@dataclass(frozen=True)
class Proportional:
    """The first frequencies of the whole head are divided by `factor`, the others are 0.

    Source: Gemma 4 in transformers.

    Attributes:
        rotated: how many pairs have a frequency that is not 0.
        factor: what these frequencies are divided by.
    """

    rotated: int
    factor: float = 1.0

    def __post_init__(self) -> None:
        convert_fields(self, positive, "factor")
        convert_fields(self, whole, "rotated")


@dataclass(frozen=True)
class Explicit:
    """The inverse frequencies themselves, in the unit of the spec; theta is unused."""

    inv_freq: tuple[float, ...]
    attention_factor: float = 1.0

    def __post_init__(self) -> None:
        convert_fields(self, positive, "attention_factor")
        convert_tuples(self, number, "inv_freq")


Rule = Linear | PerAxis | DynamicNTK | Yarn | LongRope | Llama3 | Proportional | Explicit
