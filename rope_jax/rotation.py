"""The rotation as a JAX primitive: bilinear in x and (cos, sin), with the same bits eager, jitted and in PyTorch.

A primitive, because its derivative has to be the rotation by the negative angle, computed with the same guard: `custom_vjp`
has no forward mode, and differentiating through the guard would give zero.
"""

import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from rope_spec import RotateIn

rotate_p = Primitive("rope_rotate")
Slice = Float[Array, "*batch 2*pairs"]  # the rotated channels of x
Half = Float[Array, "*#batch pairs"]  # cos or sin, broadcast against the pairs of x


def uncontracted(product: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same number, in a form that XLA cannot fuse with the addition that follows.

    XLA's CPU compiler contracts `a * b + c * d` to a fused multiply-add, which rounds once less than PyTorch does and
    changes a quarter of the float32 results. The minimum with the second largest bit pattern changes no number: only the NaN
    whose bits are all ones becomes another NaN.
    """
    bits = lax.bitcast_convert_type(product, {4: jnp.uint32, 8: jnp.uint64}[product.dtype.itemsize])
    return lax.bitcast_convert_type(lax.min(bits, jnp.array(jnp.iinfo(bits.dtype).max - 1, bits.dtype)), product.dtype)


def rotate_pairs(x: Slice, cos: Half, sin: Half, *, read: int, write: int, rotate_in: RotateIn, guard: bool = True) -> Slice:
    """`y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin`, where a pair lies across axis -2 of `(..., blocks, 2, m)`."""
    dtype = x.dtype if rotate_in == "input" or x.dtype.itemsize > 4 else jnp.dtype(jnp.float32)
    keep = uncontracted if guard and dtype.itemsize >= 4 else lambda product: product
    a, b = _split(_widened(x, dtype) if guard else x.astype(dtype), read)
    cos, sin = cos.astype(dtype), sin.astype(dtype)
    y = jnp.stack([_join(keep(a * cos) - keep(b * sin), write), _join(keep(b * cos) + keep(a * sin), write)], axis=-2)
    return y.astype(x.dtype).reshape(x.shape)


def _widened(x: Slice, dtype: jnp.dtype) -> Slice:
    """`x.astype(dtype)`; bfloat16 through its bits, as XLA would else drop a rounding to it together with this cast."""
    if x.dtype != jnp.bfloat16 or dtype != jnp.float32:
        return x.astype(dtype)
    bits = lax.bitcast_convert_type(x, jnp.uint16).astype(jnp.uint32) << 16
    return lax.bitcast_convert_type(bits, jnp.float32)


def _split(x: Array, blocks: int) -> tuple[Array, Array]:
    """The two channels of each pair, `(..., P)` each."""
    *batch, width = x.shape
    x = x.reshape(*batch, blocks, 2, width // (2 * blocks))
    return x[..., 0, :].reshape(*batch, width // 2), x[..., 1, :].reshape(*batch, width // 2)


def _join(y: Array, blocks: int) -> Array:
    return y.reshape(*y.shape[:-1], blocks, y.shape[-1] // blocks)


@rotate_p.def_abstract_eval
def _abstract(x, cos, sin, **params):
    return x.update(weak_type=False)


def _jvp(primals, tangents, **params):
    """Linear in x by the primitive; in cos and sin, should anyone learn them, by plain operations."""
    (x, cos, sin), (dx, dcos, dsin) = primals, tangents
    terms = []
    if not isinstance(dx, ad.Zero):
        terms.append(rotate_p.bind(dx, cos, sin, **params))
    if not (isinstance(dcos, ad.Zero) and isinstance(dsin, ad.Zero)):
        terms.append(rotate_pairs(x, ad.instantiate_zeros(dcos), ad.instantiate_zeros(dsin), guard=False, **params))
    return rotate_p.bind(x, cos, sin, **params), sum(terms[1:], terms[0])


def _transpose(ct, x, cos, sin, *, read, write, rotate_in):
    """Rotation by the negative angle, from the written layout back to the one that was read."""
    return rotate_p.bind(ct, cos, -sin, read=write, write=read, rotate_in=rotate_in), None, None


def _batch(operands, axes, **params):
    """The mapped axis in front; cos and sin broadcast over it where they have none, x is repeated."""
    size = next(x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None)
    front = [x[None] if axis is None else jnp.moveaxis(x, axis, 0) for x, axis in zip(operands, axes, strict=True)]
    x = jnp.broadcast_to(front[0], (size, *front[0].shape[1:]))
    return rotate_p.bind(x, *front[1:], **params), 0


rotate_p.def_impl(rotate_pairs)
ad.primitive_jvps[rotate_p] = _jvp
ad.primitive_transposes[rotate_p] = _transpose
batching.primitive_batchers[rotate_p] = _batch
mlir.register_lowering(rotate_p, mlir.lower_fun(rotate_pairs, multiple_results=False))
