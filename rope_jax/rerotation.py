"""Rotated keys of a cache: moved to other positions or other frequencies, or turned back."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from rope_spec import RopeSpec, inverse_frequencies
from rope_spec.checks import check_moved, check_rerotation

from .functional import Heads, Positions, check_both, rotate
from .phase import phase_cos_sin, phase_of, split_words


def rerotate(
    spec: RopeSpec,
    x: Float[Array | np.ndarray, "*tokens H"],
    from_positions: Positions,
    to_positions: Positions,
    *,
    to_spec: RopeSpec | None = None,
    seq_len: int | None = None,
    to_seq_len: int | None = None,
    heads_axis: int | None = -2,
) -> Heads:
    """Move rotated keys to other positions, frequencies, or both, without the unrotated keys.

    That is one rotation with one rounding, as the difference of the two phases is exact. With
    `to_spec` keys go from one theta or rule to another (an NTK base); with `to_seq_len` over the
    switch of LongRoPE or along dynamic NTK.

    Args:
        spec: the rotary embedding that the keys were rotated by.
        x: keys as `rotate` returned them, `(B, S, N, H)`.
        from_positions: the positions of the keys, `(..., S)` or `(..., S, A)`.
        to_positions: the positions that they are moved to, the same.
        to_spec: the rotary embedding that they are moved to, of the same pairs and layout; None:
            `spec`.
        seq_len: the length whose frequencies they were rotated by, which `DynamicNTK` and
            `LongRope` need.
        to_seq_len: the length whose frequencies they are moved to; None: `seq_len`.
        heads_axis: the axis of x that holds the heads.

    Returns:
        The keys, in their shape and dtype.

    Raises:
        TypeError: positions are not integers, or a spec is something else.
        ValueError: the two specs rotate other channels, or a spec has real positions.
    """
    to_spec = spec if to_spec is None else to_spec
    to_seq_len = seq_len if to_seq_len is None else to_seq_len
    check_rerotation("rerotate", spec, to_spec)
    before = _phase("rerotate", spec, from_positions, seq_len)
    after = _phase("rerotate", to_spec, to_positions, to_seq_len)
    check_moved(before.shape, after.shape)
    factor = _factor(to_spec, to_seq_len) / _factor(spec, seq_len)
    return rotate(
        spec.after_rotation, x, *phase_cos_sin(after - before, factor), heads_axis=heads_axis
    )


def unrotate(
    spec: RopeSpec,
    x: Float[Array | np.ndarray, "*tokens H"],
    positions: Positions,
    *,
    seq_len: int | None = None,
    heads_axis: int | None = -2,
) -> Heads:
    """The inverse of `rotate`: keys as they were before it, in the layout that it read.

    Args:
        spec: the rotary embedding that the keys were rotated by.
        x: keys as `rotate` returned them, `(B, S, N, H)`.
        positions: the positions of the keys, `(..., S)` or `(..., S, A)`.
        seq_len: the length whose frequencies they were rotated by, which `DynamicNTK` and
            `LongRope` need.
        heads_axis: the axis of x that holds the heads.

    Returns:
        The keys, in their shape and dtype.

    Raises:
        TypeError: positions are not integers, or the spec is something else.
        ValueError: the spec has real positions.
    """
    check_rerotation("unrotate", spec, spec)
    back = replace(spec.after_rotation, write=spec.read)
    table = phase_cos_sin(-_phase("unrotate", spec, positions, seq_len), 1 / _factor(spec, seq_len))
    return rotate(back, x, *table, heads_axis=heads_axis)


def _phase(
    function: str, spec: RopeSpec, positions: Positions, seq_len: int | None
) -> Int32[Array, "*rows P"]:
    check_both(function, spec, positions)
    turns = inverse_frequencies(spec, spec.effective_length(seq_len)).turns
    with jax.numpy_rank_promotion("allow"):
        coordinates = spec.pairs.coordinates(jnp.asarray(positions))
        return spec.sign * phase_of(coordinates, split_words(turns))


def _factor(spec: RopeSpec, seq_len: int | None) -> float:
    return inverse_frequencies(spec, spec.effective_length(seq_len)).attention_factor
