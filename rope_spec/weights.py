"""Projection weights from one channel layout to another: a permutation of the rows of q and k, exact and reversible.

A checkpoint whose rotation reads interleaved channels (GGUF, Meta's own, DeepSeek's) serves a model that reads halves when the
channels of each head of q and k are put into that order, and the other way round: attention takes products of q and k, which
do not see an order that both have. Biases and the scales of a norm of q and k are permuted alike.
"""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from .spec import Layout, RopeSpec
from .values import check_choice

Weight = TypeVar("Weight", bound=Any)


def channel_order(spec: RopeSpec, to: Layout) -> np.ndarray:
    """int64 `(H,)`: which channel of `spec.read` stands at each channel of the layout `to`."""
    check_choice("to", to, Layout)
    replace(spec, read=to)  # checks that these pairs can be laid out so
    order = np.arange(spec.head_dim)
    order[_channels(spec, to)] = _channels(spec, spec.read)
    return order


def convert_projection(spec: RopeSpec, weight: Weight, to: Layout, *, axis: int = 0) -> Weight:
    """A weight, bias or scale of q or k, for a rotation that reads `to` instead of `spec.read`.

    Args:
        weight: an array of NumPy, PyTorch or JAX, N H long at `axis`, for any number of heads N: `(N H, D)` in PyTorch,
            `(D, N H)` with axis -1 in Flax; a bias `(N H,)`; the scale of a norm `(H,)`, or `(N H,)`.
        spec: the rotary embedding that the weight was made for.
        to: the layout that is wanted; back again is `convert_projection(..., replace(spec, read=to), spec.read)`.
        axis: the axis of the channels.

    Raises:
        ValueError: the axis is no multiple of head_dim.

    Example:
        >>> from rope_spec import Pairs
        >>> spec = RopeSpec(head_dim=6, theta=10000.0, pairs=Pairs.single(rotary_dim=6), read="interleaved")
        >>> convert_projection(spec, np.arange(6), "half").tolist()
        [0, 2, 4, 1, 3, 5]
    """
    if weight.shape[axis] % spec.head_dim:
        raise ValueError(
            f"convert_projection: got {weight.shape[axis]} channels at axis {axis} of {weight.shape}, expected a multiple of "
            f"head_dim={spec.head_dim}. Name the axis of the channels, or take a fused weight to convert_fused_projection."
        )
    heads = np.arange(0, weight.shape[axis], spec.head_dim)[:, None]
    return _taken(weight, (heads + channel_order(spec, to)).ravel(), axis)


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
    """The same for q, k and v in one weight: q and k are permuted, v stays.

    Args:
        weight: (N + 2 K) H long at `axis`, for N heads and K heads of keys and values.
        spec: the rotary embedding that the weight was made for.
        to: the layout that is wanted.
        heads: N.
        kv_heads: K.
        grouped: whether each group has its N / K queries, its key and its value side by side (GPT-NeoX, Falcon), instead of
            all queries first, then all keys, then all values (Phi-3).
        axis: the axis of the channels.

    Raises:
        ValueError: the axis has another length.
    """
    groups = kv_heads if grouped else 1
    if weight.shape[axis] != (heads + 2 * kv_heads) * spec.head_dim or heads % groups:
        raise ValueError(
            f"convert_fused_projection: got {weight.shape[axis]} channels at axis {axis} of {weight.shape}, expected "
            f"({heads} + 2 * {kv_heads}) * head_dim={spec.head_dim}. Give the numbers of heads of queries and of keys."
        )
    index = np.arange(weight.shape[axis]).reshape(groups, -1, spec.head_dim)
    rotated = (heads + kv_heads) // groups
    index[:, :rotated] = index[:, :rotated, channel_order(spec, to)]
    return _taken(weight, index.ravel(), axis)


def _taken(weight: Weight, index: np.ndarray, axis: int) -> Weight:
    """The entries at an axis, by the array's own indexing."""
    after = (slice(None),) * (weight.ndim - 1 - axis % weight.ndim)
    return weight[(..., index, *after)]


def _channels(spec: RopeSpec, layout: Layout) -> np.ndarray:
    """`(2, P)`: the two channels of each pair."""
    channels = spec.start + np.arange(spec.rotary_dim).reshape(spec.blocks(layout), 2, -1)
    return channels.swapaxes(0, 1).reshape(2, -1)
