"""The dtype that a rotation is computed in, and ways to make XLA keep every rounding."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32, UInt16, UInt32

from rope_spec import RotateIn

Rounding = Callable[[Array], Array]
UNSIGNED = {2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint64}  # by the number of bytes


def compute_dtype(dtype: jnp.dtype, rotate_in: RotateIn) -> jnp.dtype:
    """The dtype in which a rotation of x of `dtype` is computed."""
    return dtype if rotate_in == "input" or dtype.itemsize > 4 else jnp.dtype(jnp.float32)


def keep_rounding(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x itself, in a way that makes XLA keep the rounding of the operation before.

    XLA's CPU compiler contracts `a * b + c * d` to a fused multiply-add, which rounds once less
    than PyTorch does and changes a quarter of the float32 results. All compilers of XLA drop a cast
    to 16 bits together with the cast back. Neither happens across a minimum of the bits. The
    minimum with the second largest pattern changes no number: only the NaN whose bits are all ones
    becomes another NaN. The derivative of this function would be zero. Numbers of 8 bits are
    returned as they are: some of their formats have a single NaN.
    """
    if x.dtype.itemsize not in UNSIGNED:
        return x
    bits = lax.bitcast_convert_type(x, UNSIGNED[x.dtype.itemsize])
    second_largest = jnp.array(jnp.iinfo(bits.dtype).max - 1, bits.dtype)
    return lax.bitcast_convert_type(lax.min(bits, second_largest), x.dtype)


def cast_exactly(x: Float[Array, "*shape"], dtype: jnp.dtype) -> Float[Array, "*shape"]:
    """`x.astype(dtype)`, in a way that keeps the rounding if either dtype has 16 bits."""
    if x.dtype.itemsize == 2:
        return keep_rounding(x).astype(dtype)
    return keep_rounding(x.astype(dtype)) if dtype.itemsize == 2 else x.astype(dtype)


def cpu_arithmetic(dtype: jnp.dtype, rotate_in: RotateIn) -> tuple[jnp.dtype, Rounding]:
    """The dtype for XLA's CPU compiler to compute in, and the function that rounds each product.

    bfloat16 is computed in float32 and rounded by its bits: fewer operations than casts. Products
    of float16 are rounded too, as some processors have fused multiply-adds of float16.
    """
    if dtype == jnp.bfloat16:
        round_product = rounded_to_bfloat16 if rotate_in == "input" else keep_rounding
        return jnp.dtype(jnp.float32), round_product
    return compute_dtype(dtype, rotate_in), keep_rounding


def to_bits(x: Float[Array, "*shape"]) -> Float[Array, "*shape"] | UInt16[Array, "*shape"]:
    """bfloat16 as uint16, since XLA's CPU compiler wraps its slices in casts; else x itself."""
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def from_bits(
    x: Float[Array, "*shape"] | UInt16[Array, "*shape"], dtype: jnp.dtype
) -> Float[Array, "*shape"]:
    """Numbers, or the bits of bfloat16 numbers, in a dtype that holds them exactly."""
    if x.dtype == jnp.uint16:
        return lax.bitcast_convert_type(x.astype(jnp.uint32) << 16, dtype)
    return x.astype(dtype)


def narrow(x: Float[Array, "*shape"], dtype: jnp.dtype) -> Float[Array, "*shape"]:
    """`x.astype(dtype)`, in fewer operations from float32 to bfloat16."""
    if dtype != jnp.bfloat16:
        return x.astype(dtype)
    return lax.bitcast_convert_type((_nearest_bfloat16(x) >> 16).astype(jnp.uint16), dtype)


def rounded_to_bfloat16(x: Float32[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """float32 numbers rounded to those that bfloat16 holds."""
    return lax.bitcast_convert_type(_nearest_bfloat16(x) & jnp.uint32(0xFFFF0000), x.dtype)


def _nearest_bfloat16(x: Float32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """Bits of float32 whose upper half is the nearest bfloat16, ties to even."""
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    return lax.select(x == x, bits + ((bits >> 16 & 1) + 0x7FFF), bits)
