"""What a rotary embedding is: one frozen value, checked when it is built.

Letters used in every shape of this project: B batch, S sequence, N heads, H head_dim, P pairs, A axes, L table length.
"""

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Literal, get_args

from .pairs import Pairs
from .rules import LEAST, MOST, DynamicNTK, Explicit, LongRope, Rule, Yarn, is_positive

Layout = Literal["half", "interleaved", "half_per_axis"]
Angles = Literal["exact", "float32"]
RotateIn = Literal["float32", "input"]


def one_of(name: str, value: object, allowed: object) -> None:
    """Raise ValueError unless `value` is one of the choices of the Literal `allowed`."""
    choices = get_args(allowed)
    if value not in choices:
        raise ValueError(
            f"{name}: got {value!r}, expected one of {', '.join(map(repr, choices))}. Name one of them."
        )


@dataclass(frozen=True)
class Channels:
    """Where the two channels of each pair lie: what a rotation needs to know beside cos and sin.

    A pair lies across axis -2 of `(..., blocks, 2, P // blocks)`.

    Attributes:
        start: the first rotated channel.
        read: the number of blocks in x.
        write: the number of blocks in the result.
    """

    start: int = 0
    read: int = 1
    write: int = 1

    @property
    def inverse(self) -> "Channels":
        """From where the channels were written to where they were read."""
        return Channels(self.start, self.write, self.read)

    def rotated(self, pairs: int) -> slice:
        """The channels that are rotated; the others stay."""
        return slice(self.start, self.start + 2 * pairs)


HALVES = Channels()


@dataclass(frozen=True, kw_only=True)
class RopeSpec:
    """A rotary position embedding: `angle_j = position[axis_j] * inv_freq_j`, then a rotation of each pair of channels.

    Attributes:
        head_dim: H, the width of the array that is handed to `rotate` (for MLA that is `qk_rope_head_dim`).
        theta: the base of the frequency ladder.
        pairs: axis and rung of each pair.
        rule: how the ladder is scaled for long contexts, or None.
        read: where pair j lies in x. `half`: channels j and P + j; `interleaved`: 2j and 2j + 1; `half_per_axis`:
            halves within the block of each axis.
        write: where pair j goes in the result; None: where it was read (DeepSeek reads interleaved and writes half).
        start: the first rotated channel; the 2 P channels from here on are rotated, the others pass through.
        sign: -1 rotates by the negative angle (NanoChat).
        real: positions are real-valued coordinates (DINOv3), whose angles are float32 products in every arithmetic.

    Example:
        >>> spec = RopeSpec(head_dim=128, theta=500000.0, pairs=Pairs.single(64))  # half of each head is rotated
        >>> spec.rotary_dim, spec.depends_on_length
        (64, False)
    """

    head_dim: int
    theta: float
    pairs: Pairs
    rule: Rule | None = None
    read: Layout = "half"
    write: Layout | None = None
    start: int = 0
    sign: int = 1
    real: bool = False

    def __post_init__(self):
        if not isinstance(self.head_dim, Integral) or not isinstance(self.rule, Rule | None):
            raise TypeError(
                f"RopeSpec: got head_dim={self.head_dim!r} and rule={self.rule!r}, expected a whole number, and a rule such as "
                "Linear(4.0), or None. What stands in a config.json is read by spec_from_config."
            )
        one_of("RopeSpec.read", self.read, Layout)
        one_of("RopeSpec.write", self.written, Layout)
        if not is_positive(self.theta):
            raise ValueError(
                f"RopeSpec.theta: got {self.theta!r}, expected a finite number above 0, from {LEAST} to {MOST}. Most models "
                "have 10000.0."
            )
        if self.sign not in (1, -1):
            raise ValueError(
                f"RopeSpec.sign: got {self.sign!r}, expected 1 or -1. Leave it out for 1."
            )
        if self.start < 0 or self.start + self.rotary_dim > self.head_dim:
            raise ValueError(
                f"RopeSpec: got {len(self.pairs)} pairs, which are {self.rotary_dim} channels, from channel {self.start} on, "
                f"expected them within head_dim={self.head_dim}. Give fewer pairs, or the full width of the array as head_dim."
            )
        self._check_blocks()
        self._check_rule()

    @property
    def rotary_dim(self) -> int:
        """2 P, the number of channels that are rotated."""
        return 2 * len(self.pairs)

    @property
    def written(self) -> Layout:
        """The layout of the result."""
        return self.write or self.read

    @property
    def channels(self) -> Channels:
        """Where the channels of each pair lie."""
        return Channels(self.start, self.blocks(self.read), self.blocks(self.written))

    @property
    def as_written(self) -> "RopeSpec":
        """A rotation, by the positive angle, of channels where this one has put them."""
        return replace(self, read=self.written, write=None, sign=1)

    def blocks(self, layout: Layout) -> int:
        """The number of blocks for which `(..., blocks, 2, P // blocks)` has a pair across axis -2."""
        return {"half": 1, "interleaved": len(self.pairs), "half_per_axis": self.pairs.axes}[layout]

    @property
    def depends_on_length(self) -> bool:
        """Whether the frequencies change with the current length."""
        return isinstance(self.rule, (DynamicNTK, LongRope))

    def effective_length(self, seq_len: int | None) -> int | None:
        """The length that decides the frequencies: None in the original context, one for all beyond it in LongRoPE."""
        match self.rule:
            case DynamicNTK(max_position_embeddings=original) if (
                seq_len is not None and seq_len > original
            ):
                return int(seq_len)
            case LongRope(original_max_position_embeddings=original) if (
                seq_len is not None and seq_len > original
            ):
                return original + 1
        return None

    def _check_blocks(self):
        per_axis = "half_per_axis" in (self.read, self.write)
        if (
            per_axis
            and self.pairs.axis != tuple(sorted(self.pairs.axis))
            or len(self.pairs) % self.pairs.axes * per_axis
        ):
            raise ValueError(
                f"RopeSpec: got layout half_per_axis with axes {self.pairs.axis}, expected one block of equal length for "
                "each axis. Use Pairs.axial, or the layout 'half'."
            )

    def _check_rule(self):
        rungs = self.pairs.rungs
        match self.rule:
            case LongRope(short_factor=short, long_factor=long) if (
                not len(short) == len(long) == rungs
            ):
                got = f"{len(short)} short and {len(long)} long factors"
            case Explicit(inv_freq=inv_freq) if len(inv_freq) != rungs:
                got = f"{len(inv_freq)} inverse frequencies"
            case Yarn() if self.theta == 1:
                raise ValueError(
                    "Yarn: got theta=1.0, expected another: the ramp divides by its logarithm. Correct it."
                )
            case DynamicNTK() if self.pairs.ladder_dim <= 2:
                raise ValueError(
                    "DynamicNTK: got a ladder_dim of 2 or less, expected more: its exponent is d / (d - 2). "
                    "Rotate more channels."
                )
            case _:
                return
        raise ValueError(
            f"{type(self.rule).__name__}: got {got}, expected one for each of the {rungs} rungs. Give that many."
        )


@dataclass(frozen=True)
class Arithmetic:
    """How a rotation is computed; what it is stands in `RopeSpec`.

    Attributes:
        angles: `exact` takes the phase from integers, with the same bits in every framework; `float32` follows the order
            of operations of transformers.
        rotate_in: `float32` computes inside in float32 and casts once; `input` casts cos and sin to the dtype of x
            and rounds each product and each sum to it, as most models in transformers do.
    """

    angles: Angles = "exact"
    rotate_in: RotateIn = "float32"

    def __post_init__(self):
        one_of("Arithmetic.angles", self.angles, Angles)
        one_of("Arithmetic.rotate_in", self.rotate_in, RotateIn)
