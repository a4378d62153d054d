"""The roads in JAX: ours, and the forms that models are written in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from unittest.mock import patch

import jax
import jax.numpy as jnp
from jax import Array, lax

import rope_jax
from rope_parity.measure import DTYPES
from rope_spec import Arithmetic, RopeSpec, RotateIn, inverse_frequencies

from .shapes import DECODE, LAYOUTS, MLA, VISION, Shape, prefill
from .timing import RULER, SWEEP, Job

Rotate = Callable[[Array, Array, Array], Array]  # x, and cos and sin with an axis for the heads


def concatenate(x: Array, cos: Array, sin: Array) -> Array:
    """transformers' formula in x.dtype: `x cos + concatenate(-b, a) sin` with full-width tables."""
    cos, sin = (jnp.concatenate([table, table], axis=-1).astype(x.dtype) for table in (cos, sin))
    a, b = jnp.split(x, 2, axis=-1)
    return x * cos + jnp.concatenate([-b, a], axis=-1) * sin


def split_and_concatenate(x: Array, cos: Array, sin: Array) -> Array:
    """As Gemma and MaxText have it: both halves in float32, concatenated."""
    a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1).astype(x.dtype)


def stack_interleaved(x: Array, cos: Array, sin: Array) -> Array:
    """Every other channel, stacked."""
    a, b = x[..., ::2].astype(jnp.float32), x[..., 1::2].astype(jnp.float32)
    return (
        jnp.stack([a * cos - b * sin, b * cos + a * sin], axis=-1).reshape(x.shape).astype(x.dtype)
    )


def as_complex(x: Array, cos: Array, sin: Array) -> Array:
    """As Llama's first code had it: a product of complex numbers."""
    pairs = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, 2)
    y = lax.complex(pairs[..., 0], pairs[..., 1]) * lax.complex(cos, sin)
    return jnp.stack([y.real, y.imag], axis=-1).reshape(x.shape).astype(x.dtype)


PEERS: dict[str, dict[str, Rotate]] = {
    "half": {"concatenate": concatenate, "split and concatenate": split_and_concatenate},
    "interleaved": {"stack": stack_interleaved, "complex": as_complex},
}


def rotation(
    shape: Shape,
    dtype: str,
    order: str = "BSNH",
    rotate_in: RotateIn = "float32",
    phase: str = "forward",
) -> Job:
    """From given cos and sin to q and k."""

    def roads() -> dict[str, Callable[[], object]]:
        q, k = map(jnp.asarray, shape.arrays(DTYPES[dtype], order, 0))
        axis = order.index("N") - 4
        cos, sin = (
            jnp.expand_dims(t, axis) for t in rope_jax.cos_sin(shape.spec, shape.positions())
        )
        spec = shape.spec
        ours = lambda x, cos, sin: rope_jax.rotate(
            spec, x, cos, sin, heads_axis=None, arithmetic=Arithmetic("exact", rotate_in)
        )
        forms = {"rope_jax": ours} | PEERS.get(shape.layout, {})
        if phase == "backward":
            forms = {name: _backward(form) for name, form in forms.items()} | {
                "rope_jax, forward": ours
            }
        ruler = {RULER: lambda x, cos, sin: x + 1}
        both = {
            name: lambda q, k, c, s, f=f: (f(q, c, s), f(k, c, s))
            for name, f in (ruler | forms).items()
        }
        calls = {name: _timed(f, q, k, cos, sin) for name, f in both.items()}
        return (
            {SWEEP: _sweep(q, k)}
            | calls
            | {"rope_jax without its guard": _unguarded(both["rope_jax"], q, k, cos, sin)}
        )

    return Job(shape.name, order, shape.layout, dtype, rotate_in, phase, "jax", roads)


def from_positions(shape: Shape, dtype: str) -> Job:
    """From positions to q and k in one jit; our tables of 131072 rows are arguments, peers compute
    cos and sin beside x.
    """

    def roads() -> dict[str, Callable[[], object]]:
        spec, positions = shape.spec, jnp.asarray(shape.positions())
        q, k = map(jnp.asarray, shape.arrays(DTYPES[dtype], "BSNH", 0))
        found = {SWEEP: _sweep(q, k), RULER: _timed(lambda q, k: (q + 1, k + 1), q, k)}

        def ours(cache, p, q, k):
            table = rope_jax.lookup(cache, p)
            return tuple(rope_jax.rotate(spec, x, *table) for x in (q, k))

        for strategy in ("fixed", "split_table", "table_free"):
            cache = rope_jax.init_cache(spec, strategy, 131_072)
            found[f"rope_jax, {strategy}"] = _timed(ours, cache, positions, q, k)

        def peer(p, q, k, form):
            cos, sin = (jnp.expand_dims(table, -2) for table in _float32_cos_sin(spec, p))
            return form(q, cos, sin), form(k, cos, sin)

        for name, form in PEERS.get(shape.layout.split(",")[0], {}).items():
            found[f"cos and sin in the loop, {name}"] = _timed(
                partial(peer, form=form), positions, q, k
            )
        return found | _flax(shape, dtype)

    return Job(shape.name, "BSNH", shape.layout, dtype, "float32", "from positions", "jax", roads)


def _flax(shape: Shape, dtype: str) -> dict[str, Callable[[], object]]:
    """`flax.nnx.RoPE`, for `(B, N, S, H)`, where this flax has one and the rotation is the one that
    it knows.
    """
    from flax import nnx

    if not hasattr(nnx, "RoPE") or shape.layout != "half" or shape.batch > 1:
        return {}
    rope = nnx.RoPE(shape.spec.theta)  # pyright: ignore[reportAttributeAccessIssue]
    positions = jnp.asarray(shape.positions()[0])
    q, k = map(jnp.asarray, shape.arrays(DTYPES[dtype], "BNSH", 0))
    return {"flax.nnx.RoPE": _timed(lambda p, q, k: (rope(q, p), rope(k, p)), positions, q, k)}


def _float32_cos_sin(spec: RopeSpec, positions: Array) -> tuple[Array, Array]:
    angle = (
        spec.pairs.coordinates(positions).astype(jnp.float32)
        * inverse_frequencies(spec).inv_freq_float32
    )
    return jnp.cos(angle), jnp.sin(angle)


def _backward(form: Rotate) -> Rotate:
    """The gradient with respect to x, for x itself as the cotangent."""
    return lambda x, cos, sin: jax.vjp(lambda x: form(x, cos, sin), x)[1](x)[0]


def _timed(f: Callable[..., object], *arguments: object) -> Callable[[], object]:
    with jax.numpy_dtype_promotion("standard"):  # peers promote
        compiled = jax.jit(f).lower(*arguments).compile()
    return lambda: jax.block_until_ready(compiled(*arguments))


def _sweep(q: Array, k: Array) -> Callable[[], None]:
    other, in_place = (
        jnp.zeros(2 * (q.size + k.size), jnp.float32),
        jax.jit(lambda x: x + 1, donate_argnums=0),
    )

    def call() -> None:
        nonlocal other
        other = jax.block_until_ready(in_place(other))

    return call


def _unguarded(f: Callable[..., object], *arguments: object) -> Callable[[], object]:
    """What a compiler makes of the same form when it may contract products and sums: other bits."""
    jax.clear_caches()
    with patch("rope_jax.rounding.keep_rounding", lambda product: product):
        timed = _timed(f, *arguments)
    jax.clear_caches()
    return timed


def jobs() -> Iterator[Job]:
    """Every job of this framework."""
    for order in ("BSNH", "BNSH"):
        for layout in LAYOUTS:
            for dtype in DTYPES:
                yield rotation(prefill(2048, layout), dtype, order)
    for layout in LAYOUTS:
        for dtype in DTYPES:
            yield rotation(prefill(2048, layout), dtype, phase="backward")
    for dtype in ("bfloat16", "float16"):
        yield rotation(prefill(2048), dtype, rotate_in="input")
    for shape in (prefill(2048), prefill(8192), DECODE, MLA, VISION):
        for dtype in DTYPES:
            yield from_positions(shape, dtype)
