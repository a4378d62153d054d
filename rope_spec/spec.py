"""What a rotary embedding is: one frozen value, checked when it is built.

Letters used in every shape of this project: B batch, S sequence, N heads, H head_dim, P pairs,
A axes, L table length.
"""

from dataclasses import dataclass, replace
from typing import Literal, cast

from .channels import Channels
from .pairs import Pairs
from .rules import DynamicNTK, Explicit, Llama3, LongRope, PerAxis, Rule, Yarn
from .values import check_choice, convert_fields, flag, of_kind, positive, whole

Layout = Literal["half", "interleaved", "half_per_axis"]
Angles = Literal["exact", "float32"]
RotateIn = Literal["float32", "input"]
Unit = Literal["radian", "turn"]


@dataclass(frozen=True, kw_only=True)
class RopeSpec:
    """A rotary position embedding.

    Each pair j of channels is rotated by the angle `position[axis_j] * inv_freq_j`.

    Attributes:
        head_dim: H, the width of the array that is handed to `rotate`; in MLA `qk_rope_head_dim`.
        theta: the base of the frequencies, `rope_theta` in a config.json.
        pairs: axis and frequency of each pair; by default `Pairs.single(rotary_dim=head_dim)`: one
            coordinate, and all channels are rotated. `dataclasses.replace` keeps the pairs: with a
            new head_dim give new ones.
        rule: how the frequencies are scaled for long contexts, or None.
        read: where pair j lies in x. `half`: channels j and P + j; `interleaved`: 2j and 2j + 1;
            `half_per_axis`: halves within the block of each axis.
        write: where pair j goes in the result; None: where it was read. DeepSeek reads interleaved
            channels and writes halves.
        start: the first of the 2 P channels that are rotated; the others stay.
        sign: -1 rotates by the negative angle (NanoChat).
        real: whether positions may be real-valued coordinates, float32 (DINOv3).
        unit: of the frequencies: `radian` or `turn` per position (DINOv3, LTX-Video, and
            `in_pixels` of timm).

    Example:
        >>> RopeSpec(head_dim=128).rotary_dim
        128
        >>> part = RopeSpec(head_dim=80, theta=500000.0, pairs=Pairs.single(rotary_dim=32))
        >>> part.rotary_dim, part.depends_on_length
        (32, False)
    """

    head_dim: int
    theta: float = 10000.0
    pairs: Pairs = cast(Pairs, None)  # __post_init__ puts Pairs in its place
    rule: Rule | None = None
    read: Layout = "half"
    write: Layout | None = None
    start: int = 0
    sign: int = 1
    real: bool = False
    unit: Unit = "radian"

    def __post_init__(self) -> None:
        convert_fields(self, whole, "head_dim", least=1)
        convert_fields(self, positive, "theta")
        convert_fields(self, whole, "start")
        convert_fields(self, whole, "sign", least=-1, most=1)
        pairs = cast(Pairs | None, self.pairs)
        self._set("pairs", Pairs.single(rotary_dim=self.head_dim) if pairs is None else pairs)
        self._check_kinds()
        check_choice("RopeSpec.read", self.read, Layout)
        check_choice("RopeSpec.write", self.written, Layout)
        check_choice("RopeSpec.unit", self.unit, Unit)
        self._set("write", None if self.write == self.read else self.write)
        self._check_channels()
        self._check_blocks()
        self._check_rule()
        self._check_rule_of_coordinates()

    @property
    def rotary_dim(self) -> int:
        """2 P, the number of channels that are rotated."""
        return 2 * len(self.pairs)

    @property
    def written(self) -> Layout:
        """The layout of the result."""
        return self.read if self.write is None else self.write

    @property
    def channels(self) -> Channels:
        """Where the channels of each pair lie."""
        return Channels(self.start, self.blocks(self.read), self.blocks(self.written))

    @property
    def after_rotation(self) -> "RopeSpec":
        """The spec for x that this one has rotated: positive angles, its layout on both sides."""
        return replace(self, read=self.written, write=None, sign=1)

    def blocks(self, layout: Layout) -> int:
        """The number of blocks of a layout; see `rope_spec.channels`."""
        return {"half": 1, "interleaved": len(self.pairs), "half_per_axis": self.pairs.axes}[layout]

    @property
    def original_length(self) -> int | None:
        """The original context of a rule that depends on the length (DynamicNTK, LongRope)."""
        match self.rule:
            case DynamicNTK(max_position_embeddings=original):
                return original
            case LongRope(original_max_position_embeddings=original):
                return original
            case _:
                return None

    @property
    def depends_on_length(self) -> bool:
        """Whether the frequencies change with the current length."""
        return self.original_length is not None

    def effective_length(self, seq_len: object) -> int | None:
        """The length for `inverse_frequencies`: None within the original context.

        LongRoPE has only two sets of frequencies, so that all longer lengths give the same one.

        Raises:
            TypeError: the frequencies depend on the length, and `seq_len` is not a whole number.
        """
        original = self.original_length
        if original is None or (length := self._length(seq_len)) <= original:
            return None
        return original + 1 if isinstance(self.rule, LongRope) else length

    def _length(self, seq_len: object) -> int:
        if seq_len is None:
            raise TypeError(
                f"seq_len: got None for a spec with {type(self.rule).__name__}, expected the "
                "current length of the sequence: its frequencies depend on that. Pass seq_len=."
            )
        return whole("seq_len", seq_len, least=1)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # as the dataclass is frozen

    def _check_kinds(self) -> None:
        of_kind("RopeSpec.pairs", self.pairs, Pairs, "Pairs, as Pairs.single(rotary_dim=64)")
        of_kind(
            "RopeSpec.rule",
            self.rule,
            Rule | None,
            "a rule, as Linear(4.0), or None (spec_from_config reads what stands in a config.json)",
        )
        convert_fields(self, flag, "real")
        if self.sign == 0:
            raise ValueError("RopeSpec.sign: got 0, expected 1 or -1. Leave it out for 1.")

    def _check_channels(self) -> None:
        if self.start + self.rotary_dim > self.head_dim:
            raise ValueError(
                f"RopeSpec: got {len(self.pairs)} pairs, which are {self.rotary_dim} channels, "
                f"from channel {self.start} on, expected them within head_dim={self.head_dim}. "
                "Give fewer pairs, or the full width of the array as head_dim."
            )

    def _check_blocks(self) -> None:
        is_sorted = self.pairs.axis == tuple(sorted(self.pairs.axis))
        has_blocks = is_sorted and len(self.pairs) % self.pairs.axes == 0
        if "half_per_axis" in (self.read, self.write) and not has_blocks:
            raise ValueError(
                f"RopeSpec: got layout half_per_axis with axes {self.pairs.axis}, expected one "
                "block of equal length for each axis. Use Pairs.axial, or the layout 'half'."
            )

    def _check_rule(self) -> None:
        count, each = self.pairs.num_frequencies, "frequencies"
        match self.rule:
            case LongRope(short_factor=short, long_factor=long) if (
                not len(short) == len(long) == count
            ):
                got = f"{len(short)} short and {len(long)} long factors"
            case Explicit(inv_freq=inv_freq) if len(inv_freq) != count:
                got = f"{len(inv_freq)} inverse frequencies"
            case PerAxis(theta=theta, divisor=divisor) if (
                not len(theta) == len(divisor) == self.pairs.axes
            ):
                got, count, each = (
                    f"{len(theta)} bases and {len(divisor)} divisors",
                    self.pairs.axes,
                    "axes",
                )
            case Yarn() if self.theta == 1:
                raise ValueError(
                    "Yarn: got theta=1.0, expected another: the ramp divides by its logarithm. "
                    "Correct it."
                )
            case DynamicNTK() if self.pairs.frequency_dim <= 2:
                raise ValueError(
                    f"DynamicNTK: got frequency_dim={self.pairs.frequency_dim}, expected more than "
                    "2: the exponent of theta is d / (d - 2). Rotate more channels."
                )
            case _:
                return
        raise ValueError(
            f"{type(self.rule).__name__}: got {got}, expected one for each of the {count} {each}. "
            "Give that many."
        )

    def _check_rule_of_coordinates(self) -> None:
        """Raise ValueError for a rule about tokens in a spec of turns or of real coordinates."""
        if isinstance(self.rule, DynamicNTK | LongRope | Llama3 | Yarn) and (
            self.real or self.unit == "turn"
        ):
            raise ValueError(
                f"RopeSpec: got {type(self.rule).__name__} with real={self.real} and unit="
                f"{self.unit!r}, expected a spec for tokens that are counted: the rule compares "
                "wavelengths with a context. Give the frequencies as Explicit."
            )


@dataclass(frozen=True)
class Arithmetic:
    """How a rotation is computed; `RopeSpec` says which rotation it is.

    Attributes:
        angles: `exact` takes the phase from integers, with the same bits in every framework;
            `float32` follows the order of operations of transformers.
        rotate_in: `float32` computes in float32 and casts the result once; `input` casts cos and
            sin to the dtype of x and rounds each product and each sum to it, as most models in
            transformers do.
    """

    angles: Angles = "exact"
    rotate_in: RotateIn = "float32"

    def __post_init__(self) -> None:
        check_choice("Arithmetic.angles", self.angles, Angles)
        check_choice("Arithmetic.rotate_in", self.rotate_in, RotateIn)
