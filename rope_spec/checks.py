"""Checks that both branches make of their arguments, from shapes and names alone; each error says the next step."""

from .spec import RopeSpec

Shape = tuple[int, ...]


def check_positions(spec: RopeSpec, shape: Shape, dtype: str, is_integer: bool) -> None:
    """Raise TypeError for positions that are no integers, ValueError for a shape without the A coordinates last."""
    if not is_integer and not (spec.real and dtype.startswith("float")):
        raise TypeError(
            f"positions: got {dtype}, expected integers. Cast them to int32 where they are whole numbers."
        )
    axes, last = spec.pairs.axes, "" if spec.pairs.axes == 1 else f", {spec.pairs.axes}"
    if not shape or axes > 1 and (len(shape) < 2 or shape[-1] != axes):
        raise ValueError(
            f"positions: got shape {shape}, expected (..., S{last}): this spec has {axes} axes. Give a single position an axis "
            "of length 1, and put the coordinates last; for text repeat one position on every axis."
        )


def check_int32(smallest: int, largest: int) -> None:
    """Raise ValueError for positions, known on the host, that an int32 does not hold."""
    if smallest < -(2**31) or largest >= 2**31:
        raise ValueError(
            f"positions: got {smallest} to {largest}, expected int32. JAX has no wider integers unless jax_enable_x64 is set, "
            "and would wrap them silently."
        )


def check_length(dtype: str, is_integer: bool) -> None:
    """Raise TypeError for a current length in an array that is not of integers."""
    if not is_integer:
        raise TypeError(
            f"seq_len: got {dtype}, expected integers: one length, or one for each row of the batch."
        )


def check_rotation(
    spec: RopeSpec,
    x: Shape,
    dtype: str,
    is_floating: bool,
    cos: Shape,
    sin: Shape,
    heads_axis: int | None,
) -> None:
    """Raise TypeError for an x that is not floating, ValueError for shapes of x, cos and sin that do not fit together."""
    if not is_floating:
        raise TypeError(f"rotate: got x of dtype {dtype}, expected a floating dtype.")
    if not x or x[-1] != spec.head_dim:
        raise ValueError(
            f"rotate: got x of shape {x}, expected its last dimension to be head_dim={spec.head_dim}. Hand over the array "
            "that is rotated, for MLA the part of width qk_rope_head_dim."
        )
    if cos != sin or not cos or cos[-1] != len(spec.pairs):
        raise ValueError(
            f"rotate: got cos of shape {cos} and sin of shape {sin}, expected both (..., S, {len(spec.pairs)}), one column "
            "for each pair. Take them from cos_sin; of a full-width table take the first half."
        )
    _check_heads_axis(x, cos, heads_axis)


def check_full_width(x: Shape, cos: Shape) -> None:
    """Raise ValueError for a table that has not a column for each channel of x, or does not fit where the heads are."""
    if cos[-1] != x[-1]:
        raise ValueError(
            f"apply_rotary_pos_emb: got cos of width {cos[-1]} for x of width {x[-1]}, expected a column for each channel, "
            "both halves alike. A table with a column for each pair is for rotate."
        )
    if len(cos) > len(x) or any(c not in (1, n) for c, n in zip(cos[::-1], x[::-1], strict=False)):
        raise ValueError(
            f"apply_rotary_pos_emb: got x of shape {x}, and cos of shape {cos} with an axis for the heads, expected it to "
            "broadcast. Name where the heads are: unsqueeze_dim=1 for (B, N, S, H), 2 for (B, S, N, H)."
        )


def check_rerotation(spec: RopeSpec, to_spec: RopeSpec) -> None:
    """Raise ValueError where keys of one spec cannot become keys of the other by one rotation with an exact phase."""
    same = [(s.head_dim, s.pairs.axis, s.start, s.written) for s in (spec, to_spec)]
    if same[0] != same[1] or spec.real or to_spec.real:
        raise ValueError(
            f"rerotate: got {spec} and to_spec={to_spec}, expected the same channels and axes, and integer positions. For "
            "another layout, unrotate and rotate."
        )


def _check_heads_axis(x: Shape, cos: Shape, heads_axis: int | None) -> None:
    is_axis = heads_axis is None or -len(x) <= heads_axis <= -2
    positions = tuple(size for axis, size in enumerate(x[:-1], -len(x)) if axis != heads_axis)
    sizes = list(zip(cos[-2::-1], positions[::-1], strict=False))
    if not is_axis or len(sizes) < len(cos) - 1 or any(c not in (1, p) for c, p in sizes):
        raise ValueError(
            f"rotate: got x of shape {x} with heads_axis={heads_axis}, hence positions of shape {positions}, but cos is for "
            f"{cos[:-1]}. Name the axis of x that holds the heads: -2 for (B, S, N, H), -3 for (B, N, S, H), None for none."
        )
