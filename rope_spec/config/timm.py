"""From the arguments of timm's `create_rope_embed` to the spec: EVA, DINOv3 and the rope ViTs."""

from dataclasses import replace
from typing import Literal, get_args

from ..pairs import MAX_CHANNELS, Pairs
from ..rules import Explicit
from ..spec import RopeSpec
from ..values import flag, of_kind, positive, whole

Described = Literal["cat", "dinov3", "mrope"]


def spec_from_timm(
    rope_type: Described = "cat",
    *,
    dim: int,
    num_heads: int,
    temperature: float | None = None,
    rotate_half: bool | None = None,
    in_pixels: bool = True,
    max_res: int = 224,
    linear_bands: bool = False,
    min_period: float | None = None,
    max_period: float | None = None,
    mrope_section: tuple[int, int, int] = (8, 12, 12),
) -> RopeSpec:
    """The rotary embedding of a vision transformer of timm, for coordinates (row, column).

    The arguments have timm's names and defaults; those that move the grid (`ref_feat_shape`,
    `grid_offset`, ...) are no part of a spec. EVA passes `in_pixels=False`. Coordinates are those
    of timm's grid: from -1 to 1 with pixels, `centred_coordinates` for `dinov3`, and (0, row,
    column) for `mrope`.

    Raises:
        ValueError: `mixed`, whose frequencies are learned, unknown types, and numbers out of range.
        TypeError: an argument of the wrong kind.
    """
    of_kind("rope_type", rope_type, str, "'cat', 'dinov3' or 'mrope'")
    if rope_type not in get_args(Described):
        raise ValueError(
            f"spec_from_timm: got rope_type={rope_type!r}, expected 'cat', 'dinov3' or 'mrope'. "
            "The angles of 'mixed' are sums over axes with learned frequencies: use timm's class."
        )
    head_dim = whole("dim", dim, least=1) // whole("num_heads", num_heads, least=1)
    is_half = rope_type != "cat" if rotate_half is None else flag("rotate_half", rotate_half)
    default = 100.0 if rope_type == "dinov3" else 10000.0
    plain = RopeSpec(
        head_dim=whole("dim // num_heads", head_dim, least=1, most=MAX_CHANNELS),
        theta=default if temperature is None else temperature,
        read="half" if is_half else "interleaved",
    )
    if rope_type == "mrope":
        return _mrope(plain, mrope_section)
    plain = replace(plain, pairs=Pairs.axial(rotary_dim=head_dim), real=True)
    if rope_type == "dinov3":
        return replace(plain, rule=_of_periods(head_dim // 4, min_period, max_period), unit="turn")
    if not flag("in_pixels", in_pixels):
        return plain
    most = whole("max_res", max_res, least=1)
    rule = Explicit(_half_turns(head_dim // 4, most, flag("linear_bands", linear_bands)))
    return replace(plain, rule=rule, unit="turn")


def _mrope(plain: RopeSpec, sections: tuple[int, int, int]) -> RopeSpec:
    pairs = Pairs.strided(sections, plain.head_dim // 2)
    if plain.read != "half" or plain.head_dim % 2 or len(sections) != 3 or pairs.axes != 3:
        raise ValueError(
            f"spec_from_timm: got mrope for heads of {plain.head_dim} channels read as "
            f"{plain.read!r}, with sections {sections}, expected 6 channels or more, an even "
            "number, rotate_half=True and 3 sections that use all axes. Correct them."
        )
    return replace(plain, pairs=pairs)


def _half_turns(count: int, most: int, is_linear: bool) -> tuple[float, ...]:
    """Bands from 1 to `most / 2` half turns, in equal steps or in equal ratios."""
    if is_linear:
        return tuple((1 + (most / 2 - 1) * step) / 2 for step in _steps(count))
    return tuple((most / 2) ** step / 2 for step in _steps(count))


def _of_periods(count: int, least: float | None, most: float | None) -> Explicit | None:
    """Frequencies of periods in equal ratios; None where temperature gives them."""
    if least is None or most is None:
        return None
    least, most = positive("min_period", least), positive("max_period", most)
    return Explicit(tuple(1 / (least * (most / least) ** step) for step in _steps(count)))


def _steps(count: int) -> list[float]:
    """Equal steps from 0 to 1."""
    return [k / max(count - 1, 1) for k in range(count)]
