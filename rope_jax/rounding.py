"""What keeps a rounding under XLA, whose compilers leave some of them out."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

UNSIGNED = {2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint64}  # by the number of bytes


def rounded(product: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same number, in a form that XLA cannot fuse with the addition that follows.

    XLA's CPU compiler contracts `a * b + c * d` to a fused multiply-add, which rounds once less
    than PyTorch does and changes a quarter of the float32 results. The minimum with the second
    largest bit pattern changes no number: only the NaN whose bits are all ones becomes another NaN.
    """
    bits = lax.bitcast_convert_type(product, UNSIGNED[product.dtype.itemsize])
    largest = jnp.array(jnp.iinfo(bits.dtype).max - 1, bits.dtype)
    return lax.bitcast_convert_type(lax.min(bits, largest), product.dtype)


def bits_of(x: Float[Array, "..."]) -> Array:
    """bfloat16 as uint16, whose slices XLA's CPU compiler wraps in no casts; other arrays as they are."""
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def widened(x: Array, dtype: jnp.dtype) -> Array:
    """Numbers, or the bits of bfloat16 numbers, in a dtype that holds them exactly."""
    if x.dtype == jnp.uint16:
        return lax.bitcast_convert_type(x.astype(jnp.uint32) << 16, dtype)
    return x.astype(dtype)


def rounded_to_bfloat16(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """float32 numbers rounded to bfloat16 ones, which XLA cannot drop as it does with two casts."""
    return lax.bitcast_convert_type(_nearest_bfloat16(x) & jnp.uint32(0xFFFF0000), jnp.float32)


def narrowed_to_bfloat16(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The cast from float32 to bfloat16, in fewer operations."""
    return lax.bitcast_convert_type((_nearest_bfloat16(x) >> 16).astype(jnp.uint16), jnp.bfloat16)


def _nearest_bfloat16(x: Float[Array, "..."]) -> Array:
    """Bits of float32 whose upper half is the nearest bfloat16, ties to even."""
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    return lax.select(x == x, bits + ((bits >> 16 & 1) + 0x7FFF), bits)
