"""One small frozen dataclass for each rule that scales the frequency ladder; `frequencies.py` has their formulas."""

from dataclasses import dataclass, fields

LEAST, MOST = 1e-30, 1e30  # what float32 and its square root hold, far beyond any model


def is_positive(number: float) -> bool:
    """Whether a number is above 0 and of a size that float32 can be computed with."""
    return LEAST <= number <= MOST


def _positive(rule: object, *names: str) -> None:
    """Raise ValueError unless the named fields of `rule` are finite numbers above 0 (None is left to the rule)."""
    for name in names:
        value = getattr(rule, name)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not is_positive(number):
                raise ValueError(
                    f"{type(rule).__name__}.{name}: got {number!r}, expected a finite number above 0, from {LEAST} to "
                    f"{MOST}. Correct the value."
                )


@dataclass(frozen=True)
class Linear:
    """Position interpolation: every frequency is divided by `factor`. Source: arXiv:2306.15595."""

    factor: float

    def __post_init__(self):
        _positive(self, "factor")


@dataclass(frozen=True)
class DynamicNTK:
    """theta grows with the current length once that is beyond `max_position_embeddings`. Source: u/emozilla, 2023."""

    factor: float
    max_position_embeddings: int

    def __post_init__(self):
        _positive(self, "factor", "max_position_embeddings")


@dataclass(frozen=True)
class Yarn:
    """Interpolates low frequencies, keeps high ones, with a ramp between. Source: arXiv:2309.00071.

    Attributes:
        factor: how far the context is stretched.
        original_max_position_embeddings: the context length of pretraining.
        beta_fast: rotations within that length above which a frequency is kept.
        beta_slow: rotations below which it is divided by `factor`.
        mscale: DeepSeek's numerator of the attention factor.
        mscale_all_dim: DeepSeek's denominator of it, and what scales the softmax where `scales_softmax`.
        attention_factor: overrides the factor that the rule derives.
        truncate: whether the ends of the ramp are rounded to whole rungs (gpt-oss does not).
        scales_softmax: whether the model multiplies its attention scale by the square of mscale (DeepSeek-V3 does).
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

    def __post_init__(self):
        _positive(
            self,
            "factor",
            "original_max_position_embeddings",
            "beta_fast",
            "beta_slow",
            "attention_factor",
        )
        for name in ("mscale", "mscale_all_dim"):
            if not abs(getattr(self, name) or 0) <= MOST:
                raise ValueError(
                    f"Yarn.{name}: got {getattr(self, name)!r}, expected at most {MOST}. Correct it."
                )
        if self.beta_fast < self.beta_slow:
            raise ValueError(
                f"Yarn: got beta_fast={self.beta_fast} below beta_slow={self.beta_slow}, expected the reverse. Exchange them."
            )


@dataclass(frozen=True)
class LongRope:
    """One divisor for each rung, from one of two sets, by the current length. Source: arXiv:2402.13753.

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

    def __post_init__(self):
        _positive(self, *(field.name for field in fields(self)))
        if self.original_max_position_embeddings < 2:
            raise ValueError(
                "LongRope.original_max_position_embeddings: got less than 2, expected a context length. Correct it."
            )


@dataclass(frozen=True)
class Llama3:
    """Long wavelengths are stretched by `factor`, short ones kept, smooth between. Source: Llama 3.1, arXiv:2407.21783.

    Where `low_freq_factor` is `high_freq_factor` there is nothing between, as in Llama-4-Scout.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    def __post_init__(self):
        _positive(self, *(field.name for field in fields(self)))
        if self.low_freq_factor > self.high_freq_factor:
            low, high = self.low_freq_factor, self.high_freq_factor
            raise ValueError(
                f"Llama3: got low_freq_factor={low} and high_freq_factor={high}, expected the first not above the second. "
                "Exchange them."
            )


@dataclass(frozen=True)
class Proportional:
    """The first `rotated` rungs of the whole head's ladder, divided by `factor`; the others stand still (Gemma 4)."""

    rotated: int
    factor: float = 1.0

    def __post_init__(self):
        _positive(self, "factor")
        if self.rotated < 0:
            raise ValueError(
                f"Proportional.rotated: got {self.rotated!r}, expected a number of rungs, 0 or more. Correct it."
            )


@dataclass(frozen=True)
class Explicit:
    """The ladder itself, in radians per position, for frequencies that no formula gives; theta is then unused."""

    inv_freq: tuple[float, ...]
    attention_factor: float = 1.0

    def __post_init__(self):
        _positive(self, "attention_factor")
        if not all(abs(value) <= MOST for value in self.inv_freq):
            raise ValueError(
                f"Explicit.inv_freq: got a number that is not finite, or beyond {MOST}, expected radians per position. "
                "Correct it."
            )


Rule = Linear | DynamicNTK | Yarn | LongRope | Llama3 | Proportional | Explicit
