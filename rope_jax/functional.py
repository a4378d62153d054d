"""RoPE as functions: `cos_sin` once for each step, `rotate` for q and k in each layer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Integer, Real

from rope_spec import Angles, Arithmetic, RopeSpec, RotateIn, inverse_frequencies
from rope_spec.channels import HALVES
from rope_spec.checks import (
    check_arithmetic,
    check_arrays,
    check_dtypes,
    check_floating,
    check_full_tables,
    check_full_width,
    check_ids,
    check_int32,
    check_length,
    check_positions,
    check_rotation,
    check_spec,
    check_wide,
)

from .autodiff import rotate_differentiably
from .coordinates import cos_sin_at
from .phase import frequencies_at, phase_cos_sin, phase_of

EXACT = Arithmetic()
Positions = Real[Array | np.ndarray, "..."]  # (..., S), or (..., S, A) for A > 1 axes
PerPair = Float[Array | np.ndarray, "*rows P"]  # cos or sin: (..., S), then a column for each pair
Table = tuple[Float32[Array, "*rows P"], Float32[Array, "*rows P"]]  # cos and sin
PerChannel = Float[Array | np.ndarray, "*rows H"]  # cos or sin, a column for each channel
Heads = Float[Array, "*tokens H"]  # queries or keys: the tokens are (..., S), and maybe heads
Length = int | np.integer | Integer[Array | np.ndarray, "..."] | None  # one, or one for each row


def cos_sin(
    spec: RopeSpec, positions: Positions, *, seq_len: Length = None, arithmetic: Arithmetic = EXACT
) -> Table:
    """`attention_factor * (cos, sin)(position[axis_j] * inv_freq_j)` for each pair j.

    Args:
        spec: the rotary embedding; static under `jit`.
        positions: integers within int32, negative ones too: `(..., S)`, or `(..., S, A)` for A > 1
            axes. A spec with `real` also takes float32 coordinates, and differentiates by them.
        seq_len: the current length, which `DynamicNTK` and `LongRope` need: a Python int, or an
            array, traced or not, that holds one length or one for each row of the batch
            (`rope_jax.phase` says what that costs).
        arithmetic: exact angles, or float32 ones as transformers has them.

    Returns:
        cos and sin, float32 `(..., S, P)`.

    Raises:
        TypeError: positions of a dtype that is not taken, or `seq_len` is missing.
        ValueError: positions lack the last dimension of A coordinates, or int64 ones of NumPy do
            not fit in int32.

    Example:
        >>> cos, sin = cos_sin(RopeSpec(head_dim=4), jnp.arange(3)[None])
        >>> tuple(cos.shape), round(float(cos[0, 1, 0]), 6)
        ((1, 3, 2), 0.540302)
    """
    check_both("cos_sin", spec, positions)
    check_arithmetic("cos_sin", arithmetic)
    with jax.numpy_rank_promotion("allow"):  # the caller may have forbidden it for its own code
        if spec.depends_on_length and isinstance(seq_len, (jax.Array, np.ndarray)):
            check_arrays("cos_sin", (jax.Array, np.ndarray), seq_len=seq_len)
            _check_fits("seq_len", seq_len)
            length = jnp.asarray(seq_len)
            is_integer = jnp.issubdtype(length.dtype, jnp.integer)
            check_length(spec, length.shape, np.shape(positions), length.dtype.name, is_integer)
            length = length.astype(jnp.int32) if length.dtype.itemsize < 4 else length
            return _cos_sin_traced(spec, jnp.asarray(positions), length, arithmetic.angles)
        length = spec.effective_length(seq_len)
        return _cos_sin(spec, jnp.asarray(positions), length, arithmetic.angles)


def check_both(function: str, spec: RopeSpec, positions: Positions) -> None:
    """Raise TypeError or ValueError for a spec and positions that do not fit together."""
    check_spec(function, spec)
    check_arrays(function, (jax.Array, np.ndarray), positions=positions)
    dtype = jnp.result_type(positions)
    name, is_integer = positions.dtype.name, jnp.issubdtype(dtype, jnp.integer)
    check_positions(spec, np.shape(positions), name, is_integer)
    _check_fits("positions", positions)


def _check_fits(name: str, numbers: Array | np.ndarray) -> None:
    """Raise ValueError for integers of NumPy that JAX would wrap in silence."""
    if not isinstance(numbers, np.ndarray) or not numbers.size or numbers.dtype.kind not in "iu":
        return
    if jnp.result_type(numbers).itemsize < numbers.dtype.itemsize:
        check_int32(int(numbers.min()), int(numbers.max()), name)


def _table(
    spec: RopeSpec,
    positions: Real[Array, "..."],
    seq_len: int | Integer[Array, "..."] | None,
    angles: Angles,
) -> Table:
    coordinates = spec.pairs.coordinates(positions)
    if angles == "exact" and jnp.issubdtype(positions.dtype, jnp.floating):
        return cos_sin_at(spec, coordinates)
    turns, inv_freq = frequencies_at(spec, seq_len)
    factor = inverse_frequencies(spec).attention_factor
    if angles == "exact":
        return phase_cos_sin(phase_of(coordinates, turns), factor)
    angle = coordinates.astype(jnp.float32) * inv_freq
    return jnp.cos(angle) * np.float32(factor), jnp.sin(angle) * np.float32(factor)


_cos_sin = jax.jit(_table, static_argnames=("spec", "seq_len", "angles"))
_cos_sin_traced = jax.jit(_table, static_argnames=("spec", "angles"))  # at a traced seq_len


def rotate(
    spec: RopeSpec,
    x: Float[Array | np.ndarray, "*tokens H"],
    cos: PerPair,
    sin: PerPair,
    *,
    heads_axis: int | None = -2,
    arithmetic: Arithmetic = EXACT,
) -> Heads:
    """Rotate each pair of channels: `y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin`.

    Args:
        spec: which channels are a pair; static under `jit`.
        x: queries or keys, `(B, S, N, H)`.
        cos: `(..., S, P)` from `cos_sin`, a row for each token of x; the batch may broadcast.
        sin: the same.
        heads_axis: the axis of x that holds the heads: -2 for `(B, S, N, H)`, -3 for
            `(B, N, S, H)`, None for x without heads.
        arithmetic: whether to round once at the end or, as most models in transformers do, at each
            step.

    Returns:
        The rotated x, in its shape and dtype. Its derivative is the rotation by the negative angle.

    Raises:
        TypeError: x, cos or sin is not of a floating dtype, or x is float64 and cos or sin is not.
        ValueError: x is not head_dim wide, or its other dimensions do not fit those of cos.

    Example:
        >>> spec, q = RopeSpec(head_dim=4), jnp.ones((1, 3, 2, 4), jnp.bfloat16)
        >>> y = rotate(spec, q, *cos_sin(spec, jnp.arange(3)[None]))
        >>> tuple(y.shape), str(y.dtype)
        ((1, 3, 2, 4), 'bfloat16')
    """
    check_spec("rotate", spec)
    check_arrays("rotate", (jax.Array, np.ndarray), x=x, cos=cos, sin=sin)
    check_arithmetic("rotate", arithmetic)
    check_dtypes(x.dtype.name, cos.dtype.name, sin.dtype.name)
    axis = check_rotation(spec, x.shape, cos.shape, sin.shape, heads_axis)
    return _rotate(x, cos, sin, spec, axis, arithmetic.rotate_in)


@partial(jax.jit, static_argnums=(3, 4, 5))
def _rotate(
    x: Heads,
    cos: PerPair,
    sin: PerPair,
    spec: RopeSpec,
    heads_axis: int | None,
    rotate_in: RotateIn,
) -> Heads:
    missing = tuple(range(x.ndim - (heads_axis is not None) - cos.ndim))
    cos, sin = jnp.expand_dims(cos, missing), jnp.expand_dims(sin, missing)
    if heads_axis is not None:
        cos, sin = jnp.expand_dims(cos, heads_axis), jnp.expand_dims(sin, heads_axis)
    return rotate_differentiably(x, cos, sin if spec.sign == 1 else -sin, spec.channels, rotate_in)


def apply_rotary_pos_emb(
    q: Float[Array | np.ndarray, "*q H"],
    k: Float[Array | np.ndarray, "*k H"],
    cos: PerChannel,
    sin: PerChannel,
    position_ids: Integer[Array | np.ndarray, "..."] | None = None,
    unsqueeze_dim: int = 1,
) -> tuple[Float[Array, "*q H"], Float[Array, "*k H"]]:
    """The function of transformers: `q * cos + rotate_half(q) * sin`, for q and for k.

    Args:
        q: queries, `(B, N, S, H)` with `unsqueeze_dim=1`, `(B, S, N, H)` with 2.
        k: keys, the same, of as many or of fewer heads.
        cos: `(B, S, H)` or `(S, H)`, whose second half repeats the first (not checked); with
            `position_ids` a table `(L, H)` to gather from.
        sin: the same.
        position_ids: rows of the table, `(B, S)`, or None. A row that is not in the table gives
            NaN, and so does a negative one: JAX would take another row silently.
        unsqueeze_dim: the axis of q that holds the heads, 1 by default as in transformers; `rotate`
            by default has the order of Flax.

    Returns:
        The rotated q and k, in the dtype that the operands promote to.
    """
    arrays, name = {"q": q, "k": k, "cos": cos, "sin": sin}, "apply_rotary_pos_emb"
    check_arrays(name, (jax.Array, np.ndarray), **arrays)
    dtypes = {key: t.dtype.name for key, t in arrays.items()}
    check_floating(name, **dtypes)
    check_wide(name, **dtypes)
    for x in (q, k):
        check_full_tables(x.shape, cos.shape, sin.shape, position_ids is not None, unsqueeze_dim)
    if position_ids is not None:
        check_ids(position_ids, (jax.Array, np.ndarray), str(getattr(position_ids, "dtype", "")))
        rows = {"mode": "fill", "fill_value": jnp.nan, "wrap_negative_indices": False}
        cos, sin = (jnp.asarray(t).at[position_ids].get(**rows) for t in (cos, sin))
    cos, sin = (
        jnp.expand_dims(t[None] if t.ndim + 1 < q.ndim else t, unsqueeze_dim) for t in (cos, sin)
    )
    return _rotate_halves(q, cos, sin), _rotate_halves(k, cos, sin)


@jax.jit
def _rotate_halves(
    x: Float[Array, "*tokens H"], cos: Float[Array, "... H"], sin: Float[Array, "... H"]
) -> Float[Array, "*tokens H"]:
    check_full_width(x.shape, cos.shape)
    pairs, missing = x.shape[-1] // 2, tuple(range(x.ndim - cos.ndim))
    cos, sin = jnp.expand_dims(cos, missing), jnp.expand_dims(sin, missing)
    with jax.numpy_dtype_promotion("standard"):  # it promotes, as the lesson's function does
        dtype = jnp.promote_types(x.dtype, cos.dtype)
    return rotate_differentiably(
        x.astype(dtype), cos[..., :pairs], sin[..., :pairs], HALVES, "input"
    )
