"""The rotation as a JAX primitive: bilinear in x and (cos, sin), with the same bits eager, jitted and in PyTorch.

A primitive, because its derivative has to be the rotation by the negative angle, computed with the same guard: `custom_vjp`
has no forward mode, and differentiating through the guard would give zero.
"""

from contextlib import nullcontext
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from rope_spec import RotateIn

rotate_p = Primitive("rope_rotate")
Heads = Float[Array, "*batch head_dim"]
Half = Float[Array, "*#batch pairs"]  # cos or sin, broadcast against the pairs of x


def uncontracted(product: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same number, in a form that XLA cannot fuse with the addition that follows.

    XLA's CPU compiler contracts `a * b + c * d` to a fused multiply-add, which rounds once less than PyTorch does and
    changes a quarter of the float32 results. The minimum with the second largest bit pattern changes no number: only the NaN
    whose bits are all ones becomes another NaN.
    """
    bits = lax.bitcast_convert_type(product, {4: jnp.uint32, 8: jnp.uint64}[product.dtype.itemsize])
    return lax.bitcast_convert_type(lax.min(bits, jnp.array(jnp.iinfo(bits.dtype).max - 1, bits.dtype)), product.dtype)


def rotate_pairs(
    x: Heads,
    cos: Half,
    sin: Half,
    *,
    start: int,
    read: int,
    write: int,
    rotate_in: RotateIn,
    guard: bool = True,
    alone: bool = False,
) -> Heads:
    """`y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin` for the pairs from channel `start` on; the other channels stay.

    A pair lies across axis -2 of `(..., blocks, 2, m)`, where `read` and `write` are the numbers of blocks. The arithmetic is
    one function whose result has that shape, with the reshapes outside: XLA's CPU compiler turns it into one loop over memory.
    `alone` keeps it so, where XLA would else merge it with what comes before and after into loops that compute an index for
    each element, or cos and sin anew for each head: 2 to 20 times slower.
    """
    *batch, head_dim = x.shape
    width, end = 2 * cos.shape[-1], start + 2 * cos.shape[-1]
    options = {"read": read, "write": write, "rotate_in": rotate_in, "guard": guard, "alone": alone}
    if head_dim % width or start % width:
        rotated = rotate_pairs(x[..., start:end], cos, sin, start=0, **options)
        return jnp.concatenate([x[..., :start], rotated, x[..., end:]], axis=-1)
    if head_dim > width:  # slices of the same width, of which one is rotated
        batch, cos, sin = [*batch, head_dim // width], jnp.expand_dims(cos, -2), jnp.expand_dims(sin, -2)
    chosen = start // width if head_dim > width else None
    with set_xla_metadata(inlineable="false") if alone else nullcontext():
        y = _rotate(x.reshape(*batch, *_paired(width, read)), cos, sin, tuple(batch), chosen, read, write, rotate_in, guard)
    return y.reshape(x.shape)


def _paired(width: int, blocks: int, two: int = 2) -> list[int]:
    """`(blocks, 2, m)`, without blocks or m where it is 1: XLA copies arrays that have such axes."""
    m = width // (2 * blocks)
    return [*[blocks] * (blocks > 1), two, *[m] * (m > 1)]


@partial(jax.jit, static_argnums=(3, 4, 5, 6, 7, 8))
def _rotate(x, cos, sin, batch, chosen, read, write, rotate_in, guard):
    """Both results for each channel, then a choice by index, as a concatenation would read x twice. lax only, no nested jit."""
    dtype = x.dtype if rotate_in == "input" or x.dtype.itemsize > 4 else jnp.dtype(jnp.float32)
    keep = uncontracted if guard and dtype.itemsize >= 4 else lambda product: product
    width = 2 * cos.shape[-1]
    written = (*batch, *_paired(width, write))

    def spread(half: Array, ndim: int) -> Array:
        """What a pair has in common, or one of its channels, in both places of the result."""
        return jnp.broadcast_to(half.reshape(*half.shape[:ndim], *_paired(width, write, 1)), written)

    axis = len(batch) + (read > 1)
    bits = lax.bitcast_convert_type(x, jnp.uint16) if guard and x.dtype == jnp.bfloat16 else x
    a, b = (spread(_widened(lax.index_in_dim(bits, i, axis, keepdims=False), dtype), len(batch)) for i in (0, 1))
    cos, sin = (spread(table.astype(dtype), table.ndim - 1) for table in (cos, sin))
    first = lax.broadcasted_iota(jnp.int32, written, len(batch) + (write > 1)) == 0
    y = lax.select(first, keep(a * cos) - keep(b * sin), keep(b * cos) + keep(a * sin))
    if chosen is not None:
        is_chosen = lax.broadcasted_iota(jnp.int32, written, len(batch) - 1) == chosen
        y = lax.select(is_chosen, y, _widened(bits, dtype).reshape(written))
    return y.astype(x.dtype)


def _widened(x: Array, dtype: jnp.dtype) -> Array:
    """`x.astype(dtype)`; of bfloat16 we have the bits.

    XLA would drop a rounding to bfloat16 before the rotation together with this cast, and wraps each slice in two casts.
    """
    if x.dtype != jnp.uint16:
        return x.astype(dtype)
    return lax.bitcast_convert_type(x if dtype == jnp.bfloat16 else x.astype(jnp.uint32) << 16, dtype)


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
        dcos, dsin = ad.instantiate_zeros(dcos), ad.instantiate_zeros(dsin)
        start, end = params["start"], params["start"] + 2 * cos.shape[-1]
        dy = rotate_pairs(x[..., start:end], dcos, dsin, guard=False, **params | {"start": 0})
        terms.append(jnp.pad(dy, [(0, 0)] * (x.ndim - 1) + [(start, x.shape[-1] - end)]))
    return rotate_p.bind(x, cos, sin, **params), sum(terms[1:], terms[0])


def _transpose(ct, x, cos, sin, *, start, read, write, rotate_in):
    """Rotation by the negative angle, from the written layout back to the one that was read."""
    return rotate_p.bind(ct, cos, -sin, start=start, read=write, write=read, rotate_in=rotate_in), None, None


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
mlir.register_lowering(rotate_p, mlir.lower_fun(partial(rotate_pairs, alone=True), multiple_results=False), platform="cpu")
