"""The rotation as a JAX primitive, whose derivative is the rotation by the negative angle.

It is a primitive because the derivative needs the same rounding of each product. `custom_vjp` has
no forward mode, and the derivative of `keep_rounding` itself would be zero.
"""

from collections.abc import Sequence
from functools import partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import PartitionSpec, reshard
from jaxtyping import Array

from rope_spec import RotateIn
from rope_spec.channels import Channels

from . import tpu, xla_cpu
from .rotation import Heads, PerPair, join, rotate_pairs, split
from .rounding import compute_dtype

rotate_p = Primitive("rope_rotate")


def rotate_differentiably(
    x: Heads, cos: PerPair, sin: PerPair, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """The rotation, with its derivative, sharded as x is.

    The channels of a pair may be on different devices. If a mesh with explicit axes shards them,
    they are gathered first. With automatic axes XLA may add partial results instead, which turns -0
    into 0.
    """
    sharding = jax.typeof(x).sharding
    y = _bind(*map(_gathered, (x, cos, sin)), channels=channels, rotate_in=rotate_in)
    return reshard(y, sharding) if any(sharding.spec[-1:]) else y


def _gathered(t: Array) -> Array:
    """t with its last axis replicated."""
    sharding = jax.typeof(t).sharding
    if not any(sharding.spec[-1:]):
        return t
    return reshard(t, sharding.update(spec=PartitionSpec(*sharding.spec[:-1], None)))


def _bind(x: Heads, cos: PerPair, sin: PerPair, **params: Any) -> Heads:
    """The primitive, whose operands are made to vary over the same axes under `shard_map`."""
    varying = [_varying_axes(t) for t in (x, cos, sin)]
    missing = (tuple(frozenset().union(*varying) - axes) for axes in varying)
    operands = map(partial(lax.pcast, to="varying"), (x, cos, sin), missing)
    return rotate_p.bind(*operands, **params)


def _varying_axes(t: Array) -> frozenset[str]:
    """The axes of a mesh over which t varies under `shard_map`."""
    kind = jax.typeof(t)
    before_0_10 = not hasattr(kind, "manual_axis_type")
    return kind.vma if before_0_10 else kind.manual_axis_type.varying


@rotate_p.def_abstract_eval
def _abstract(x: Any, cos: Any, sin: Any, **params: Any) -> Any:
    return x.update(weak_type=False)


def _jvp(
    primals: Sequence[Array], tangents: Sequence[Array | ad.Zero], **params: Any
) -> tuple[Array, Array]:
    """The primitive for tangents of x, plain operations for those of cos and sin."""
    (x, cos, sin), (dx, dcos, dsin) = primals, tangents
    rotated = partial(rotate_p.bind, **params)
    terms = []
    if not isinstance(dx, ad.Zero):
        terms.append(rotated(dx, cos, sin))
    if not (isinstance(dcos, ad.Zero) and isinstance(dsin, ad.Zero)):
        tangents = ad.instantiate_zeros(dcos), ad.instantiate_zeros(dsin)
        terms.append(_jvp_of_tables(x, *tangents, **params))
    return rotated(x, cos, sin), reduce(add, terms)


def _jvp_of_tables(
    x: Heads, dcos: PerPair, dsin: PerPair, *, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """The rotation of x by tangents of cos and sin, in operations that have derivatives."""
    rotated, dtype = channels.rotated(dcos.shape[-1]), compute_dtype(x.dtype, rotate_in)
    a, b = split(x[..., rotated], channels.read_blocks)
    a, b, dcos, dsin = (t.astype(dtype) for t in (a, b, dcos, dsin))
    dy = join(a * dcos - b * dsin, b * dcos + a * dsin, channels.write_blocks).astype(x.dtype)
    return jnp.pad(dy, [(0, 0)] * (x.ndim - 1) + [(rotated.start, x.shape[-1] - rotated.stop)])


def _transpose(
    ct: Heads,
    x: ad.UndefinedPrimal,
    cos: PerPair,
    sin: PerPair,
    *,
    channels: Channels,
    rotate_in: RotateIn,
) -> tuple[Heads, None, None]:
    """Rotation by the negative angle, from the written layout back to the one that was read."""
    dx = rotate_p.bind(ct, cos, -sin, channels=channels.inverse, rotate_in=rotate_in)
    return dx, None, None


def _batch(
    operands: Sequence[Array], axes: Sequence[int | None], **params: Any
) -> tuple[Array, int]:
    """Put the mapped axis in front. Without one, x is repeated, and cos and sin broadcast."""
    size = next(x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None)
    front = [
        x[None] if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(operands, axes, strict=True)
    ]
    x = jnp.broadcast_to(front[0], (size, *front[0].shape[1:]))
    return rotate_p.bind(x, *front[1:], **params), 0


rotate_p.def_impl(rotate_pairs)
ad.primitive_jvps[rotate_p] = _jvp
ad.primitive_transposes[rotate_p] = _transpose
batching.primitive_batchers[rotate_p] = _batch
mlir.register_lowering(rotate_p, mlir.lower_fun(rotate_pairs, multiple_results=False))
for platform, form in {"cpu": xla_cpu, "tpu": tpu}.items():
    lowering = mlir.lower_fun(form.rotate_pairs, multiple_results=False)
    mlir.register_lowering(rotate_p, lowering, platform=platform)
