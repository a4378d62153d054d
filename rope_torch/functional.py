"""RoPE as functions: `cos_sin` once for each step, `rotate` for q and k in each layer."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, Integer, Real
from torch import Tensor

from rope_spec import Angles, Arithmetic, RopeSpec
from rope_spec.channels import HALVES
from rope_spec.checks import (
    check_arithmetic,
    check_arrays,
    check_dtypes,
    check_floating,
    check_full_tables,
    check_full_width,
    check_ids,
    check_length,
    check_positions,
    check_rotation,
    check_spec,
    check_wide,
)

from .autodiff import rotate_differentiably
from .coordinates import cos_sin_at
from .phase import constants, frequencies_at, phase_cos_sin, phase_of

EXACT = Arithmetic()
Positions = Real[Tensor | np.ndarray, "..."]  # (..., S), or (..., S, A) for A > 1 axes
PerPair = Float[Tensor, "*rows P"]  # cos or sin: (..., S), then a column for each pair
Table = tuple[Float32[Tensor, "*rows P"], Float32[Tensor, "*rows P"]]  # cos and sin
PerChannel = Float[Tensor, "*rows H"]  # cos or sin, a column for each channel
Heads = Float[Tensor, "*tokens H"]  # queries or keys: the tokens are (..., S), and maybe heads
Length = int | np.integer | Integer[Tensor | np.ndarray, "..."] | None  # one, or one for each row


def cos_sin(
    spec: RopeSpec, positions: Positions, *, seq_len: Length = None, arithmetic: Arithmetic = EXACT
) -> Table:
    """`attention_factor * (cos, sin)(position[axis_j] * inv_freq_j)` for each pair j.

    Args:
        spec: the rotary embedding.
        positions: integers within int32, negative ones too, of PyTorch or NumPy: `(..., S)`, or
            `(..., S, A)` for A > 1 axes. A spec with `real` also takes float32 coordinates, and
            differentiates by them.
        seq_len: the current length, which `DynamicNTK` and `LongRope` need: a Python int, or a
            tensor that holds one length or one for each row of the batch (`rope_torch.phase` says
            what that costs).
        arithmetic: exact angles, or float32 ones as transformers has them.

    Returns:
        cos and sin, float32 `(..., S, P)`, on the device of the positions.

    Raises:
        TypeError: positions of a dtype that is not taken, or `seq_len` is missing.
        ValueError: positions lack the last dimension of A coordinates.

    Example:
        >>> cos, sin = cos_sin(RopeSpec(head_dim=4), torch.arange(3)[None])
        >>> tuple(cos.shape), round(float(cos[0, 1, 0]), 6)
        ((1, 3, 2), 0.540302)
    """
    positions = checked("cos_sin", spec, positions)
    check_arithmetic("cos_sin", arithmetic)
    if spec.depends_on_length and isinstance(seq_len, (Tensor, np.ndarray)):
        check_arrays("cos_sin", (Tensor, np.ndarray), seq_len=seq_len)
        length = torch.as_tensor(seq_len, device=positions.device)
        dtype, rows = name_of(length.dtype), tuple(positions.shape)
        check_length(spec, tuple(length.shape), rows, dtype, "int" in dtype)
        return _table(spec, positions, length.long(), arithmetic.angles)
    return _table(spec, positions, spec.effective_length(seq_len), arithmetic.angles)


def _table(
    spec: RopeSpec,
    positions: Real[Tensor, "..."],
    seq_len: int | Int64[Tensor, "..."] | None,
    angles: Angles,
) -> Table:
    coordinates = spec.pairs.coordinates(positions)
    if angles == "exact" and positions.is_floating_point():
        return cos_sin_at(spec, coordinates)
    turns, inv_freq = frequencies_at(spec, seq_len, positions.device)
    factor = constants(spec, None).attention_factor
    if angles == "exact":
        return phase_cos_sin(phase_of(coordinates, turns), factor)
    angle = coordinates.float() * inv_freq
    return angle.cos() * factor, angle.sin() * factor


def checked(function: str, spec: RopeSpec, positions: Positions) -> Real[Tensor, "..."]:
    """The positions as a tensor.

    Raises:
        TypeError: the spec or the positions are something else.
        ValueError: positions whose shape does not fit the spec.
    """
    check_spec(function, spec)
    check_arrays(function, (Tensor, np.ndarray), positions=positions)
    positions = torch.as_tensor(positions)
    dtype = name_of(positions.dtype)
    check_positions(spec, tuple(positions.shape), dtype, "int" in dtype)
    return positions


def name_of(dtype: object) -> str:
    """The name of a dtype as NumPy and JAX have it."""
    return str(dtype).removeprefix("torch.")


def rotate(
    spec: RopeSpec,
    x: Heads,
    cos: PerPair,
    sin: PerPair,
    *,
    heads_axis: int | None = -3,
    arithmetic: Arithmetic = EXACT,
) -> Heads:
    """Rotate each pair of channels: `y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin`.

    Args:
        spec: which channels are a pair.
        x: queries or keys, `(B, N, S, H)`.
        cos: `(..., S, P)` from `cos_sin`, a row for each token of x; the batch may broadcast.
        sin: the same.
        heads_axis: the axis of x that holds the heads: -3 for `(B, N, S, H)`, -2 for
            `(B, S, N, H)`, None for x without heads.
        arithmetic: whether to round once at the end or, as most models in transformers do, at each
            step.

    Returns:
        The rotated x, in its shape and dtype. Its derivative is the rotation by the negative angle.
        Results beyond the range of float8_e4m3fn become 448, as in casts of PyTorch; in JAX NaN.

    Raises:
        TypeError: x, cos or sin is not of a floating dtype, x is float64 and cos or sin is not, or
            x has 8 bits and is to be rotated in them.
        ValueError: x is not head_dim wide, or its other dimensions do not fit those of cos.

    Example:
        >>> spec, q = RopeSpec(head_dim=4), torch.ones(1, 2, 3, 4, dtype=torch.bfloat16)
        >>> y = rotate(spec, q, *cos_sin(spec, torch.arange(3)[None]))
        >>> tuple(y.shape), str(y.dtype)
        ((1, 2, 3, 4), 'torch.bfloat16')
    """
    check_spec("rotate", spec)
    check_arrays("rotate", Tensor, x=x, cos=cos, sin=sin)
    check_arithmetic("rotate", arithmetic)
    check_dtypes(*(name_of(t.dtype) for t in (x, cos, sin)))
    if arithmetic.rotate_in == "input":
        check_wide("rotate", x=name_of(x.dtype))
    shapes = (tuple(t.shape) for t in (x, cos, sin))
    axis = check_rotation(spec, *shapes, heads_axis=heads_axis)
    if axis is not None and -axis <= cos.ndim:  # else the heads stand left of all axes of cos
        cos, sin = cos.unsqueeze(axis), sin.unsqueeze(axis)
    return rotate_differentiably(
        x, cos, sin if spec.sign == 1 else -sin, spec.channels, arithmetic.rotate_in
    )


def apply_rotary_pos_emb(
    q: Float[Tensor, "*q H"],
    k: Float[Tensor, "*k H"],
    cos: PerChannel,
    sin: PerChannel,
    position_ids: Integer[Tensor, "..."] | None = None,
    unsqueeze_dim: int = 1,
) -> tuple[Float[Tensor, "*q H"], Float[Tensor, "*k H"]]:
    """The function of transformers: `q * cos + rotate_half(q) * sin`, for q and for k.

    Args:
        q: queries, `(B, N, S, H)` with `unsqueeze_dim=1`, `(B, S, N, H)` with 2.
        k: keys, the same, of as many or of fewer heads.
        cos: `(B, S, H)` or `(S, H)`, whose second half repeats the first (not checked); with
            `position_ids` a table `(L, H)` to gather from.
        sin: the same.
        position_ids: rows of the table, `(B, S)`, or None. A row that is not in the table raises
            IndexError on a CPU, and so does a negative one.
        unsqueeze_dim: the axis of q that holds the heads.

    Returns:
        The rotated q and k, in the dtype that the operands promote to.
    """
    arrays, name = {"q": q, "k": k, "cos": cos, "sin": sin}, "apply_rotary_pos_emb"
    check_arrays(name, Tensor, **arrays)
    dtypes = {key: name_of(t.dtype) for key, t in arrays.items()}
    check_floating(name, **dtypes)
    check_wide(name, **dtypes)
    tables, gathers = (tuple(cos.shape), tuple(sin.shape)), position_ids is not None
    for x in (q, k):
        check_full_tables(tuple(x.shape), *tables, gathers, unsqueeze_dim)
    if position_ids is not None:
        check_ids(position_ids, Tensor, name_of(getattr(position_ids, "dtype", "")))
        position_ids = position_ids.long()  # torch.embedding takes no narrower integers
        cos, sin = (torch.embedding(table, position_ids) for table in (cos, sin))
    cos, sin = (
        (t[None] if t.ndim + 1 < q.ndim else t).unsqueeze(unsqueeze_dim) for t in (cos, sin)
    )
    return _rotate_halves(q, cos, sin), _rotate_halves(k, cos, sin)


def _rotate_halves(
    x: Float[Tensor, "*tokens H"], cos: Float[Tensor, "... H"], sin: Float[Tensor, "... H"]
) -> Float[Tensor, "*tokens H"]:
    check_full_width(tuple(x.shape), tuple(cos.shape))
    pairs = x.shape[-1] // 2
    dtype = torch.promote_types(x.dtype, cos.dtype)
    return rotate_differentiably(x.to(dtype), cos[..., :pairs], sin[..., :pairs], HALVES, "input")
