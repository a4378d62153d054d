"""From the configuration of a transformer of diffusers to its spec: `_class_name` says which."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from ..pairs import Pairs
from ..rules import Explicit, PerAxis
from ..spec import RopeSpec
from .keys import Keys
from .towers import Config, read_config

CLASS = "_class_name"
ROPE_KEY = "rope|rotary|yarn|ntk|axes|theta"
BESIDE = {"rope_max_seq_len", "axes_lens"}  # lengths of tables


class Axes(NamedTuple):
    """Where a class keeps the channels of each axis and the base, with its own defaults."""

    key: str
    widths: tuple[int, ...]
    theta: float = 10000.0
    theta_key: str | None = None
    width: str = "attention_head_dim"  # of a head: a key, or `a/b`
    default: int = 128


AXES = {
    "FluxTransformer2DModel": Axes("axes_dims_rope", (16, 56, 56)),
    "Flux2Transformer2DModel": Axes("axes_dims_rope", (32,) * 4, 2000.0, "rope_theta"),
    "HiDreamImageTransformer2DModel": Axes("axes_dims_rope", (32, 32)),
    "HunyuanVideoTransformer3DModel": Axes("rope_axes_dim", (16, 56, 56), 256.0, "rope_theta"),
    "Lumina2Transformer2DModel": Axes(
        "axes_dim_rope", (32, 32, 32), width="hidden_size/num_attention_heads", default=96
    ),
    "QwenImageTransformer2DModel": Axes("axes_dims_rope", (16, 56, 56)),
    "ZImageTransformer2DModel": Axes(
        "axes_dims", (32, 48, 48), 256.0, "rope_theta", width="dim/n_heads"
    ),
}
REFUSED = {
    "MochiTransformer3DModel": "its angles are sums over axes, with learned frequencies",
    "LTX2VideoTransformer3DModel": "each of its heads has frequencies of its own",
}


def is_of_diffusers(config: Config) -> bool:
    """Whether a configuration names a class of diffusers."""
    values = read_config(config)
    return CLASS in values and "model_type" not in values


def spec_of(config: Config, ignore: Collection[str] = ()) -> RopeSpec:
    """The rotary embedding of the transformer.

    Raises:
        ValueError: a class that is not described, a value that does not fit, or a key about rotary
            embeddings that nothing reads.
        TypeError: a value of the wrong kind.
    """
    keys = Keys(read_config(config), "config")
    name = keys.need(CLASS, str, "it says which transformer of diffusers this is")
    if name in REFUSED:
        raise ValueError(
            f"{CLASS}: got {name!r}, expected a rotation by one coordinate for each pair, the same "
            f"in every head: {REFUSED[name]}. Use its own class."
        )
    if name not in AXES and name not in OTHERS:
        raise ValueError(
            f"{CLASS}: got {name!r}, expected one of {', '.join(sorted({*AXES, *OTHERS}))}. Build "
            "the RopeSpec itself, with Pairs.widths."
        )
    spec = OTHERS[name](keys) if name in OTHERS else _of_axes(keys, AXES[name])
    _check_unread(keys, ignore)
    return spec


def _of_axes(keys: Keys, axes: Axes) -> RopeSpec:
    found = keys.numbers(axes.key, "widths") if keys.get(axes.key, list) else axes.widths
    widths = tuple(int(width) for width in found)
    head_dim = keys.amount(axes.width, int) or axes.default
    if sum(widths) != head_dim or widths != tuple(found):
        raise ValueError(
            f"config: got {axes.key}={list(found)} for heads of {head_dim} channels, expected as "
            "many channels in all. Correct one of them."
        )
    theta = keys.get(axes.theta_key, float, axes.theta)
    return RopeSpec(head_dim=head_dim, theta=theta, pairs=Pairs.widths(widths), read="interleaved")


def _wan(keys: Keys) -> RopeSpec:
    head_dim = keys.get("attention_head_dim", int, 128)
    return RopeSpec(head_dim=head_dim, pairs=_thirds(head_dim), read="interleaved")


def _cogvideox(keys: Keys) -> RopeSpec:
    """Version 1.0 has coordinates on the grid of the size it was trained at, 1.5 counts."""
    if not keys.get("use_rotary_positional_embeddings", bool, False):
        raise ValueError(
            "config: got use_rotary_positional_embeddings=False, expected true: this model adds "
            "its positions. Give the config of a larger CogVideoX."
        )
    head_dim = keys.get("attention_head_dim", int, 64)
    pairs = Pairs.widths((head_dim // 4, head_dim // 8 * 3, head_dim // 8 * 3))
    real = keys.get("patch_size_t", int) is None
    return RopeSpec(head_dim=head_dim, pairs=pairs, read="interleaved", real=real)


def _cosmos(keys: Keys) -> RopeSpec:
    """Time is `frame / fps * 24` in a video. The base of an axis grows with its `rope_scale`."""
    head_dim = keys.get("attention_head_dim", int, 128)
    scales = (2.0, 1.0, 1.0)
    if keys.get("rope_scale", list) is not None:
        scales = keys.numbers("rope_scale", "one for each axis")
    pairs = _thirds(head_dim)
    widths = [2 * pairs.axis.count(axis) for axis in range(3)]
    bases = zip(scales, widths, strict=True)
    rule = PerAxis(tuple(10000.0 * scale ** (d / (d - 2)) for scale, d in bases))
    return RopeSpec(head_dim=head_dim, pairs=pairs, rule=rule, real=True)


def _ltx(keys: Keys) -> RopeSpec:
    """Quarter turns that rise from 1 to theta, for coordinates from -1 to 1.

    It rotates all heads as one array, `num_attention_heads * attention_head_dim` wide, of which the
    first channels stay where the width is no multiple of 6.
    """
    heads = keys.get("num_attention_heads", int, 32)
    width = heads * keys.get("attention_head_dim", int, 64)
    count = width // 6
    quarters = tuple(10000.0 ** (k / (count - 1)) / 4 for k in range(count))
    pairs = Pairs.axial_alternating(rotary_dim=6 * count, axes=3)
    return RopeSpec(
        head_dim=width,
        pairs=pairs,
        rule=Explicit(quarters),
        read="interleaved",
        start=width % 6,
        real=True,
        unit="turn",
    )


def _kandinsky(keys: Keys) -> RopeSpec:
    """The divisors of its axes are arguments of its call: `PerAxis`."""
    given = keys.numbers("axes_dims", "widths") if keys.get("axes_dims", list) else (16, 24, 24)
    widths = tuple(map(int, given))
    return RopeSpec(head_dim=sum(widths), pairs=Pairs.widths(widths), read="interleaved")


OTHERS: Mapping[str, Callable[[Keys], RopeSpec]] = {
    "CogVideoXTransformer3DModel": _cogvideox,
    "CosmosTransformer3DModel": _cosmos,
    "Kandinsky5Transformer3DModel": _kandinsky,
    "LTXVideoTransformer3DModel": _ltx,
    "WanTransformer3DModel": _wan,
}


def _thirds(head_dim: int) -> Pairs:
    """Rows and columns have a third each, rounded down to an even number; time has the rest."""
    third = 2 * (head_dim // 6)
    return Pairs.widths((head_dim - 2 * third, third, third))


def _check_unread(keys: Keys, ignore: Collection[str]) -> None:
    """Raise ValueError for a rope-like key that nothing read."""
    known = keys.used | BESIDE | set(ignore)
    values: Mapping[str, Any] = keys.values
    left = [key for key in values if key not in known and re.search(ROPE_KEY, str(key))]
    left = [key for key in left if values[key] not in (None, False)]
    if left:
        raise ValueError(
            f"config: got {', '.join(map(repr, left))}, which nothing here reads, expected keys "
            "that are read or known to change nothing. If you know that of it, pass "
            f"ignore=({', '.join(map(repr, left))},)."
        )
