"""Checks of arguments, shared by rope_jax and rope_torch: of types, shapes and names of dtypes.

Each error says what was got, what is expected, and the next step.
"""

from typing import Any, cast

import numpy as np

from .spec import Arithmetic, RopeSpec
from .values import whole

Shape = tuple[Any, ...]  # of ints; of symbols too, under jax.export
NO_NUMBERS = "float8_e8m0fnu", "float4_e2m1fn_x2"  # powers of two without a sign; two in one byte


def check_spec(function: str, spec: object) -> None:
    """Raise TypeError if something else stands in the place of the spec."""
    if not isinstance(spec, RopeSpec):
        raise TypeError(
            f"{function}: got {_kind(spec)} as the spec, expected a RopeSpec. It is the first "
            "argument: cos_sin(spec, positions), rotate(spec, x, cos, sin)."
        )


def check_arithmetic(function: str, arithmetic: object) -> None:
    """Raise TypeError where something else stands in the place of the arithmetic."""
    if not isinstance(arithmetic, Arithmetic):
        raise TypeError(
            f"{function}: got {_kind(arithmetic)} as the arithmetic, expected an Arithmetic. Pass "
            'Arithmetic(angles="float32"), or leave it out.'
        )


def check_cache(function: str, cache: object, kind: type) -> None:
    """Raise TypeError where something else stands in the place of the cache."""
    if not isinstance(cache, kind):
        raise TypeError(
            f"{function}: got {_kind(cache)} as the cache, expected a RopeCache of this branch. "
            "Make one with init_cache."
        )


def check_arrays(function: str, kinds: type | tuple[type, ...], **arguments: Any) -> None:
    """Raise TypeError for an argument that is no array of numbers of one of `kinds`."""
    for name, value in arguments.items():
        got: str = _kind(value)
        dtype = np.dtype(cast(Any, value).dtype if isinstance(value, np.ndarray) else np.float32)
        if dtype.kind in "OSUMm":
            raise TypeError(f"{function}: got {name} of {dtype}, expected numbers. Cast it.")
        if not isinstance(value, kinds):
            raise TypeError(
                f"{function}: got {got} as {name}, expected an array of the framework that "
                "computes (positions may be NumPy's). Make one of it."
            )


def check_positions(
    spec: RopeSpec, shape: Shape, dtype: str, is_integer: bool, real: tuple[str, ...] = ("float32",)
) -> None:
    """Raise TypeError for positions of another dtype, ValueError for another shape.

    The shape is `(..., S)`, and `(..., S, A)` for a spec with A > 1 axes. The dtype is an integer
    one, or one of `real` where the spec has real coordinates.
    """
    if not is_integer and spec.real and dtype not in real:
        raise TypeError(
            f"positions: got {dtype}, expected integers or {' or '.join(real)}. A coordinate of 16 "
            "bits is rounded by 1 / 2048 of itself or more, which turns fast pairs at random: "
            "compute it in float32. For float64 coordinates call rope_spec.cos_sin, in NumPy."
        )
    if not is_integer and not spec.real:
        raise TypeError(
            f"positions: got {dtype}, expected integers. If they are whole numbers, cast them to "
            "int32."
        )
    axes = spec.pairs.axes
    if not shape:
        raise ValueError(
            f"positions: got shape {shape}, expected (..., S{'' if axes == 1 else f', {axes}'}). "
            "Give a single position an axis of length 1."
        )
    if axes > 1 and (len(shape) < 2 or shape[-1] != axes):
        raise ValueError(
            f"positions: got shape {shape}, expected (..., S, {axes}): this spec has {axes} axes. "
            "Put the coordinates last; for text repeat one position on every axis."
        )


def check_int32(smallest: int, largest: int, name: str = "positions") -> None:
    """Raise ValueError for positions, known on the host, that an int32 does not hold."""
    if smallest < -(2**31) or largest >= 2**31:
        raise ValueError(
            f"{name}: got {smallest} to {largest}, expected numbers that int32 holds. Count from a "
            "later start."
        )


def check_length(
    spec: RopeSpec, length: Shape, positions: Shape, dtype: str, is_integer: bool
) -> None:
    """Raise unless the current length, an array, fits the positions.

    Raises:
        TypeError: it does not hold integers.
        ValueError: it is neither one length nor one for each row of the positions.
    """
    if not is_integer:
        raise TypeError(
            f"seq_len: got {dtype}, expected integers: one length, or one for each row of the "
            "batch. Cast it to int32."
        )
    rows = positions[: -1 if spec.pairs.axes == 1 else -2]
    if not _broadcast(length, rows):
        raise ValueError(
            f"seq_len: got shape {length} for positions of shape {positions}, expected () or "
            f"{rows}: one length, or one for each row of the batch. Drop the other axes."
        )


def check_dtypes(x: str, cos: str, sin: str) -> None:
    """Raise TypeError for dtypes, given by name, that a rotation is not computed in."""
    check_floating("rotate", x=x, cos=cos, sin=sin)
    if x == "float64" and (cos, sin) != ("float64", "float64"):
        raise TypeError(
            f"rotate: got x of dtype float64 with cos of {cos} and sin of {sin}, expected all in "
            "float64: the result is as accurate as cos and sin. Cast x to float32, or give cos and "
            "sin in float64."
        )


def check_floating(function: str, **dtypes: str) -> None:
    """Raise TypeError for an argument whose dtype, given by name, is no floating one."""
    for name, dtype in dtypes.items():
        if not dtype.startswith(("float", "bfloat")) or dtype in NO_NUMBERS:
            raise TypeError(
                f"{function}: got {name} of dtype {dtype}, expected a floating dtype. Cast it."
            )


def check_wide(function: str, **dtypes: str) -> None:
    """Raise TypeError for numbers of 8 bits or fewer where they would have to be added."""
    for name, dtype in dtypes.items():
        if dtype.startswith(("float8", "float4")):
            raise TypeError(
                f"{function}: got {name} of dtype {dtype}, expected 16 bits or more: so few bits "
                "are neither added nor promoted to another dtype. Cast it, or call rotate, which "
                "computes in float32 unless rotate_in='input'."
            )


def check_rotation(
    spec: RopeSpec, x: Shape, cos: Shape, sin: Shape, heads_axis: object
) -> int | None:
    """The axis of the heads, counted from the end; None if x has none.

    Raises:
        TypeError: `heads_axis` is not a whole number.
        ValueError: shapes of x, cos and sin that do not fit together.
    """
    if not x or x[-1] != spec.head_dim:
        raise ValueError(
            f"rotate: got x of shape {x}, expected its last dimension to be head_dim="
            f"{spec.head_dim}. Pass only the part that is rotated: in MLA that of width "
            "qk_rope_head_dim."
        )
    if cos != sin or not cos or cos[-1] != len(spec.pairs):
        raise ValueError(
            f"rotate: got cos of shape {cos} and sin of shape {sin}, expected both (..., S, "
            f"{len(spec.pairs)}), one column for each pair. Take them from cos_sin; of a "
            "full-width table take the first half."
        )
    axis = _axis_from_the_end(x, heads_axis)
    _check_rows(x, cos, axis)
    return axis


def _axis_from_the_end(x: Shape, heads_axis: object) -> int | None:
    if heads_axis is None:
        return None
    axis = whole("rotate: heads_axis", heads_axis, least=-(2**31))
    axis = axis - len(x) if axis >= 0 else axis
    if not -len(x) <= axis <= -2:
        raise ValueError(
            f"rotate: got heads_axis={heads_axis} for x of shape {x}, expected an axis before that "
            "of the channels. Name the axis of the heads: -2 for (B, S, N, H), -3 for "
            "(B, N, S, H), None for none."
        )
    return axis


def _check_rows(x: Shape, cos: Shape, heads_axis: int | None) -> None:
    """Raise ValueError unless cos has a row for each token; the batch may broadcast."""
    tokens = tuple(size for axis, size in enumerate(x[:-1], -len(x)) if axis != heads_axis)
    rows = cos[:-1]
    batch = zip(rows[-2::-1], tokens[-2::-1], strict=False)  # from the last axis before S on
    fits = len(rows) <= len(tokens) and rows[-1:] == tokens[-1:]
    if not fits or any(row not in (1, token) for row, token in batch):
        raise ValueError(
            f"rotate: got x of shape {x} with heads_axis={heads_axis}, hence tokens of shape "
            f"{tokens}, but cos for {rows}. Expected a row for each token. Name the axis of x that "
            "holds the heads: -2 for (B, S, N, H), -3 for (B, N, S, H), None for none; or take "
            "cos_sin at the positions of all tokens."
        )


def check_full_tables(x: Shape, cos: Shape, sin: Shape, ids: bool, heads_axis: object) -> None:
    """Raise for queries, keys and tables of `apply_rotary_pos_emb` that have too few axes."""
    axis = whole("apply_rotary_pos_emb: unsqueeze_dim", heads_axis, least=-(2**31))
    if cos != sin or len(cos) < 2 or ids and len(cos) != 2 or len(x) < 2:
        raise ValueError(
            f"apply_rotary_pos_emb: got x of shape {x}, cos of shape {cos} and sin of shape {sin}, "
            "expected (B, N, S, H), and both tables (B, S, H) or (S, H), with position_ids "
            "(L, H). Take both from one call."
        )
    if not -len(x) <= axis < len(x) - 1 or axis == -1:
        raise ValueError(
            f"apply_rotary_pos_emb: got unsqueeze_dim={axis} for x of shape {x}, expected the axis "
            "of its heads: 1 for (B, N, S, H), 2 for (B, S, N, H). Correct it."
        )


def check_ids(ids: object, kinds: type | tuple[type, ...], dtype: str) -> None:
    """Raise TypeError for `position_ids` that are not an array of integers."""
    check_arrays("apply_rotary_pos_emb", kinds, position_ids=ids)
    if "int" not in dtype:
        raise TypeError(
            f"apply_rotary_pos_emb: got position_ids of dtype {dtype}, expected integers. Cast "
            "them to int32."
        )


def check_full_width(x: Shape, cos: Shape) -> None:
    """Raise ValueError for a table that is not as wide as x, or does not broadcast to it."""
    if cos[-1] != x[-1]:
        raise ValueError(
            f"apply_rotary_pos_emb: got cos of width {cos[-1]} for x of width {x[-1]}, expected a "
            "column for each channel: the second half repeats the first. If the table has a column "
            "for each pair, call rotate."
        )
    if len(cos) > len(x) or any(c not in (1, n) for c, n in zip(cos[::-1], x[::-1], strict=False)):
        raise ValueError(
            f"apply_rotary_pos_emb: got x of shape {x}, and cos of shape {cos} with an axis for "
            "the heads, expected it to broadcast. Name where the heads are: unsqueeze_dim=1 for "
            "(B, N, S, H), 2 for (B, S, N, H)."
        )


def _broadcast(a: Shape, b: Shape) -> bool:
    """Whether two shapes broadcast to each other."""
    return all(1 in (m, n) or m == n for m, n in zip(a[::-1], b[::-1], strict=False))


def check_moved(before: Shape, after: Shape) -> None:
    """Raise ValueError unless the positions before and after a move broadcast."""
    if not _broadcast(before, after):
        raise ValueError(
            f"rerotate: got from_positions of shape {before} and to_positions of shape {after}, "
            "expected the same, or shapes that broadcast. Give each key an old and a new one."
        )


def check_rerotation(function: str, spec: RopeSpec, to_spec: RopeSpec) -> None:
    """Raise ValueError if no rotation turns keys of `spec` into keys of `to_spec`.

    Raises:
        TypeError: one of them is not a RopeSpec.
        ValueError: they rotate other channels, or by other coordinates, or by real ones.
    """
    check_spec(function, spec)
    check_spec(function, to_spec)
    same = [(s.head_dim, s.pairs.axis, s.start, s.written) for s in (spec, to_spec)]
    if same[0] != same[1] or spec.real or to_spec.real:
        raise ValueError(
            f"{function}: got keys of {spec}, to be those of {to_spec}, expected the same channels "
            "and axes, and integer positions. For another layout, unrotate and rotate."
        )


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
