"""Convert projections of q and k between channel layouts, by a permutation of their channels.

A checkpoint whose rotation reads interleaved channels (GGUF, Meta's own, DeepSeek's) serves a model
that reads halves once the channels of each head of q and k are in that order, and the other way
round. Attention takes products of q and k, which do not change when both are permuted alike. Biases
of q and k, and the scales of their norms, are permuted in the same way.
"""

from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Int64

from .checks import check_spec
from .spec import Layout, RopeSpec
from .values import check_choice, flag, whole

Weight = TypeVar("Weight", bound=Any)  # an array of NumPy, PyTorch or JAX


def channel_order(spec: RopeSpec, to: Layout) -> Int64[np.ndarray, " H"]:
    """For each channel of the layout `to`, the channel of `spec.read` that belongs there."""
    check_spec("channel_order", spec)
    check_choice("to", to, Layout)
    replace(spec, read=to)  # raises ValueError if these pairs do not fit the layout
    order = np.arange(spec.head_dim)
    order[_channels(spec, to)] = _channels(spec, spec.read)
    return order


def convert_projection(spec: RopeSpec, weight: Weight, to: Layout, *, axis: int = 0) -> Weight:
    """Permute a weight, bias or norm scale of q or k from the layout `spec.read` to `to`.

    Args:
        spec: the rotary embedding that the weight was made for.
        weight: an array of NumPy, PyTorch or JAX, N H long at `axis`, for any number of heads N:
            `(N H, D)` in PyTorch, `(D, N H)` with axis -1 in Flax; a bias `(N H,)`; the scale of a
            norm, `(H,)` or `(N H,)`.
        to: the layout that is wanted. The way back is
            `convert_projection(replace(spec, read=to), weight, spec.read)`.
        axis: the axis of the channels.

    Raises:
        ValueError: the length of the axis is not a multiple of head_dim.

    Example:
        >>> spec = RopeSpec(head_dim=6, read="interleaved")
        >>> convert_projection(spec, np.arange(6), "half").tolist()
        [0, 2, 4, 1, 3, 5]
    """
    check_spec("convert_projection", spec)
    axis = _axis("convert_projection", weight, axis)
    if weight.shape[axis] % spec.head_dim:
        raise ValueError(
            f"convert_projection: got {weight.shape[axis]} channels at axis {axis} of "
            f"{weight.shape}, expected a multiple of head_dim={spec.head_dim}. Name the axis of "
            "the channels, or take a fused weight to convert_fused_projection."
        )
    length: int = weight.shape[axis]
    heads = np.arange(0, length, spec.head_dim)[:, None]
    return _take(weight, (heads + channel_order(spec, to)).ravel(), axis)


def convert_fused_projection(
    spec: RopeSpec,
    weight: Weight,
    to: Layout,
    *,
    heads: int,
    kv_heads: int,
    grouped: bool = False,
    axis: int = 0,
) -> Weight:
    """`convert_projection` for q, k and v in one weight: q and k are permuted, v stays.

    Args:
        spec: the rotary embedding that the weight was made for.
        weight: (N + 2 K) H long at `axis`, for N heads of queries and K heads of keys and values.
        to: the layout that is wanted.
        heads: N.
        kv_heads: K.
        grouped: False: all queries come first, then all keys, then all values (Phi-3). True: each
            group has its N / K queries, its key and its value side by side (GPT-NeoX, Falcon).
        axis: the axis of the channels.

    Raises:
        ValueError: the axis is not (N + 2 K) H long, or K does not divide N in groups.
    """
    check_spec("convert_fused_projection", spec)
    axis = _axis("convert_fused_projection", weight, axis)
    heads = whole("convert_fused_projection: heads", heads, least=1)
    kv_heads = whole("convert_fused_projection: kv_heads", kv_heads, least=1)
    groups = kv_heads if flag("convert_fused_projection: grouped", grouped) else 1
    if weight.shape[axis] != (heads + 2 * kv_heads) * spec.head_dim or heads % groups:
        raise ValueError(
            f"convert_fused_projection: got {weight.shape[axis]} channels at axis {axis} of "
            f"{weight.shape}, expected ({heads} + 2 * {kv_heads}) * head_dim={spec.head_dim}. Give "
            "the numbers of heads of queries and of keys."
        )
    length: int = weight.shape[axis]
    index = np.arange(length).reshape(groups, -1, spec.head_dim)
    rotated = (heads + kv_heads) // groups
    index[:, :rotated] = index[:, :rotated, channel_order(spec, to)]
    return _take(weight, index.ravel(), axis)


def _axis(function: str, weight: Any, axis: object) -> int:
    """The axis as an int; TypeError for a weight that is no array, ValueError for no axis of it."""
    shape: Any = getattr(weight, "shape", None)
    if not isinstance(shape, tuple) or shape == ():
        raise TypeError(
            f"{function}: got {type(weight).__name__} as the weight, expected an array of NumPy, "
            "PyTorch or JAX, with one or more axes. Make one of it."
        )
    rank = len(cast(tuple[int, ...], shape))
    if not -rank <= (found := whole(f"{function}: axis", axis, least=-(2**31))) < rank:
        raise ValueError(
            f"{function}: got axis {found} for a weight of shape {weight.shape}, expected one of "
            "its axes. Name that of the channels."
        )
    return found


def _take(weight: Weight, index: Int64[np.ndarray, " C"], axis: int) -> Weight:
    """`weight[..., index, :, :]`: the three frameworks have no other spelling of it in common."""
    after = (slice(None),) * (weight.ndim - 1 - axis % weight.ndim)
    return weight[(..., index, *after)]


def _channels(spec: RopeSpec, layout: Layout) -> Int64[np.ndarray, "2 P"]:
    """The two channels of each pair."""
    channels = spec.start + np.arange(spec.rotary_dim).reshape(spec.blocks(layout), 2, -1)
    return channels.swapaxes(0, 1).reshape(2, -1)
