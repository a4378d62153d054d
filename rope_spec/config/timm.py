"""From the arguments of timm's `create_rope_embed` to the spec: EVA, DINOv3 and the rope ViTs."""

import math
from dataclasses import replace

from ..pairs import Pairs
from ..rules import Explicit
from ..spec import Layout, RopeSpec


def spec_from_timm(
    rope_type: str = "cat",
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
        ValueError: `mixed`, whose frequencies are learned, and unknown types.
    """
    head_dim = dim // num_heads
    is_half = rope_type != "cat" if rotate_half is None else rotate_half
    read: Layout = "half" if is_half else "interleaved"
    plain = RopeSpec(
        head_dim=head_dim,
        theta=temperature or (100.0 if rope_type == "dinov3" else 10000.0),
        pairs=Pairs.axial(rotary_dim=head_dim),
        read=read,
        real=True,
    )
    match rope_type:
        case "cat" if in_pixels:
            rule = Explicit(_half_turns(head_dim // 4, max_res, linear_bands))
            return replace(plain, rule=rule, unit="turn")
        case "cat":
            return plain
        case "dinov3":
            rule = _of_periods(head_dim // 4, min_period, max_period)
            return replace(plain, rule=rule, unit="turn")
        case "mrope":
            pairs = Pairs.strided(mrope_section, head_dim // 2)
            return replace(plain, pairs=pairs, read="half", real=False)
        case _:
            pass
    raise ValueError(
        f"spec_from_timm: got rope_type={rope_type!r}, expected 'cat', 'dinov3' or 'mrope'. "
        "The angles of 'mixed' are sums over axes with learned frequencies: use timm's class."
    )


def _half_turns(count: int, max_res: int, is_linear: bool) -> tuple[float, ...]:
    """Bands from 1 to `max_res / 2` half turns, in equal steps or in equal ratios."""
    steps = [k / (count - 1) for k in range(count)]
    if is_linear:
        return tuple((1 + (max_res / 2 - 1) * step) / 2 for step in steps)
    return tuple(2.0 ** (math.log2(max_res / 2) * step) / 2 for step in steps)


def _of_periods(count: int, least: float | None, most: float | None) -> Explicit | None:
    """Frequencies of periods in equal ratios; None where temperature gives them."""
    if least is None or most is None:
        return None
    steps = [k / (count - 1) for k in range(count)]
    return Explicit(tuple(1 / (least * (most / least) ** step) for step in steps))
