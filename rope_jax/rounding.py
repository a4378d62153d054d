"""In which dtype a rotation is computed, and what keeps the roundings that XLA would leave out."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from rope_spec import RotateIn

Rounding = Callable[[Array], Array]
UNSIGNED = {2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint64}  # by the number of bytes


def inside(dtype: jnp.dtype, rotate_in: RotateIn) -> jnp.dtype:
    """The dtype of the arithmetic."""
    return dtype if rotate_in == "input" or dtype.itemsize > 4 else jnp.dtype(jnp.float32)


def rounded(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same numbers, in a form that holds XLA to the rounding that made them.

    XLA's CPU compiler contracts `a * b + c * d` to a fused multiply-add, which rounds once less
    than PyTorch does and changes a quarter of the float32 results; all its compilers drop a cast to
    16 bits together with the cast back. Neither happens across a minimum of the bits. The minimum
    with the second largest pattern changes no number: only the NaN whose bits are all ones becomes
    another NaN. Its derivative would be zero. Numbers of 8 bits have no NaN to spare: they stay.
    """
    if x.dtype.itemsize not in UNSIGNED:
        return x
    bits = lax.bitcast_convert_type(x, UNSIGNED[x.dtype.itemsize])
    second_largest = jnp.array(jnp.iinfo(bits.dtype).max - 1, bits.dtype)
    return lax.bitcast_convert_type(lax.min(bits, second_largest), x.dtype)


def cast(x: Float[Array, "..."], dtype: jnp.dtype) -> Float[Array, "..."]:
    """`x.astype(dtype)`, in a form that keeps the rounding of 16-bit numbers, before or after."""
    if x.dtype.itemsize == 2:
        return rounded(x).astype(dtype)
    return rounded(x.astype(dtype)) if dtype.itemsize == 2 else x.astype(dtype)


def arithmetic_of(dtype: jnp.dtype, rotate_in: RotateIn) -> tuple[jnp.dtype, Rounding]:
    """The dtype that XLA's CPU compiler is to compute in, and what is done to each product.

    bfloat16 is computed in float32, rounded by its bits: that takes fewer operations than casts. Every
    product is rounded, of float16 too: processors that multiply float16 themselves contract it as well.
    """
    if dtype == jnp.bfloat16:
        return jnp.dtype(jnp.float32), rounded_to_bfloat16 if rotate_in == "input" else rounded
    return inside(dtype, rotate_in), rounded


def bits_of(x: Float[Array, "..."]) -> Array:
    """bfloat16 as uint16, since XLA's CPU compiler wraps its slices in casts; else x itself."""
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def widened(x: Array, dtype: jnp.dtype) -> Float[Array, "..."]:
    """Numbers, or the bits of bfloat16 numbers, in a dtype that holds them exactly."""
    if x.dtype == jnp.uint16:
        return lax.bitcast_convert_type(x.astype(jnp.uint32) << 16, dtype)
    return x.astype(dtype)


def narrowed(x: Float[Array, "..."], dtype: jnp.dtype) -> Float[Array, "..."]:
    """`x.astype(dtype)`, in fewer operations where it goes from float32 to bfloat16."""
    if dtype != jnp.bfloat16:
        return x.astype(dtype)
    return lax.bitcast_convert_type((_nearest_bfloat16(x) >> 16).astype(jnp.uint16), dtype)


def rounded_to_bfloat16(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """float32 numbers rounded to those that bfloat16 holds."""
    return lax.bitcast_convert_type(_nearest_bfloat16(x) & jnp.uint32(0xFFFF0000), x.dtype)


def _nearest_bfloat16(x: Float[Array, "..."]) -> Array:
    """Bits of float32 whose upper half is the nearest bfloat16, ties to even."""
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    return lax.select(x == x, bits + ((bits >> 16 & 1) + 0x7FFF), bits)
