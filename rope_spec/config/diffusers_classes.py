"""The transformers of diffusers that are described: the spec of each, from its keys."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from ..pairs import Pairs
from ..rules import Explicit, PerAxis
from ..spec import RopeSpec
from ..values import positive, whole
from .keys import Keys, shown
from .widths import checked_head_width


class AxisKeys(NamedTuple):
    """The keys of the channels of each axis, of the width of a head, and of the base."""

    widths: str
    head_dim: str = "attention_head_dim"  # or `a/b`
    theta: str | None = None
    axes: int = 3


def _of_axes(at: AxisKeys, keys: Keys) -> RopeSpec:
    head_dim, pairs = _width(keys, at.head_dim), _of_widths(keys, at.widths, at.axes)
    if 2 * len(pairs) != head_dim:
        raise ValueError(
            f"config: got {at.widths}={keys.values[at.widths]} for heads of {head_dim} "
            "channels, expected as many channels in all. Correct one of them."
        )
    theta = 10000.0 if at.theta is None else keys.need(at.theta, float, "it is the base")
    return RopeSpec(head_dim=head_dim, theta=theta, pairs=pairs, read="interleaved")


def _of_widths(keys: Keys, key: str, count: int = 3) -> Pairs:
    """Pairs of a list of channels of each axis."""
    given = keys.numbers(key, "it has the channels of each axis")
    if len(given) != count or any(width != int(width) for width in given):
        raise ValueError(
            f"config: got {key}={shown(list(given))}, expected whole numbers for {count} axes, as "
            "the positions of this model have. Correct it."
        )
    return Pairs.widths(tuple(map(int, given)))


def _width(keys: Keys, path: str) -> int:
    """The width of a head, from a key or a quotient of two."""
    for key in path.split("/"):
        whole(f"config.{key}", keys.need(key, int, "it says how wide a head is"), least=1)
    return checked_head_width(keys, keys.computed(path, int) or 0)


def _thirds(head_dim: int) -> Pairs:
    """Rows and columns have a third each, rounded down to an even number; time has the rest."""
    third = 2 * (head_dim // 6)
    return Pairs.widths((head_dim - 2 * third, third, third))


def _wan(keys: Keys) -> RopeSpec:
    head_dim = _width(keys, "attention_head_dim")
    return RopeSpec(head_dim=head_dim, pairs=_thirds(head_dim), read="interleaved")


def _cogvideox(keys: Keys) -> RopeSpec:
    """Version 1.0 has coordinates on the grid of the size it was trained at, 1.5 counts."""
    if not keys.get("use_rotary_positional_embeddings", bool, False):
        raise ValueError(
            "config: got use_rotary_positional_embeddings=False, expected true: this model adds "
            "its positions. Give the config of a larger CogVideoX."
        )
    head_dim = _width(keys, "attention_head_dim")
    pairs = Pairs.widths((head_dim // 4, head_dim // 8 * 3, head_dim // 8 * 3))
    if 2 * len(pairs) != head_dim:
        raise ValueError(
            f"config: got attention_head_dim={head_dim}, expected a multiple of 16: time has a "
            "quarter of it, rows and columns three eighths each. Correct it."
        )
    real = keys.get("patch_size_t", int) is None
    return RopeSpec(head_dim=head_dim, pairs=pairs, read="interleaved", real=real)


def _cosmos(keys: Keys) -> RopeSpec:
    """Time is `frame / fps * 24` in a video. The base of an axis grows with its `rope_scale`."""
    head_dim, given = _width(keys, "attention_head_dim"), keys.numbers("rope_scale", "of each axis")
    pairs, scales = _thirds(head_dim), [positive("config.rope_scale", scale) for scale in given]
    widths = [2 * pairs.axis.count(axis) for axis in range(3)]
    if len(scales) != 3 or min(widths) == 2:
        raise ValueError(
            f"config: got rope_scale={shown(scales)} for axes of {widths} channels, expected 3 "
            "numbers, and 4 channels or more: the exponent is d / (d - 2). Correct it."
        )
    bases = (10000.0 * scale ** (d / (d - 2)) for scale, d in zip(scales, widths, strict=True))
    return RopeSpec(head_dim=head_dim, pairs=pairs, rule=PerAxis(tuple(bases)), real=True)


def _ltx(keys: Keys) -> RopeSpec:
    """Quarter turns that rise from 1 to theta, for coordinates from -1 to 1.

    It rotates all heads as one array, `num_attention_heads * attention_head_dim` wide, of which the
    first channels stay where the width is no multiple of 6.
    """
    heads = whole(
        "config.num_attention_heads",
        keys.need("num_attention_heads", int, "all of them rotate as one"),
    )
    width = checked_head_width(keys, heads * _width(keys, "attention_head_dim"))
    count = width // 6
    quarters = tuple(10000.0 ** (k / max(count - 1, 1)) / 4 for k in range(count))
    return RopeSpec(
        head_dim=width,
        pairs=Pairs.axial_alternating(rotary_dim=6 * count, axes=3),
        rule=Explicit(quarters),
        read="interleaved",
        start=width % 6,
        real=True,
        unit="turn",
    )


def _kandinsky(keys: Keys) -> RopeSpec:
    """The divisors of its axes are arguments of its call: `PerAxis`."""
    pairs = _of_widths(keys, "axes_dims")
    return RopeSpec(head_dim=2 * len(pairs), pairs=pairs, read="interleaved")


READERS: Mapping[str, Callable[[Keys], RopeSpec]] = {
    "CogVideoXTransformer3DModel": _cogvideox,
    "CosmosTransformer3DModel": _cosmos,
    "Flux2Transformer2DModel": partial(
        _of_axes, AxisKeys("axes_dims_rope", theta="rope_theta", axes=4)
    ),
    "FluxTransformer2DModel": partial(_of_axes, AxisKeys("axes_dims_rope")),
    "HiDreamImageTransformer2DModel": partial(_of_axes, AxisKeys("axes_dims_rope")),
    "HunyuanVideoTransformer3DModel": partial(
        _of_axes, AxisKeys("rope_axes_dim", theta="rope_theta")
    ),
    "Kandinsky5Transformer3DModel": _kandinsky,
    "LTXVideoTransformer3DModel": _ltx,
    "Lumina2Transformer2DModel": partial(
        _of_axes, AxisKeys("axes_dim_rope", "hidden_size/num_attention_heads")
    ),
    "QwenImageTransformer2DModel": partial(_of_axes, AxisKeys("axes_dims_rope")),
    "WanTransformer3DModel": _wan,
    "ZImageTransformer2DModel": partial(
        _of_axes, AxisKeys("axes_dims", "dim/n_heads", "rope_theta")
    ),
}
