"""Checks on eight devices of a CPU, each for a process of its own: `test_sharding` runs them."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import product
from pathlib import Path

os.environ |= {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

import rope_jax
import rope_spec
from parity_tests.same import same_bytes
from rope_parity.constructed import LAYOUTS
from rope_spec import Pairs, RopeSpec, Strategy

AUTO, EXPLICIT = AxisType.Auto, AxisType.Explicit
AXIS_TYPES = {"auto": (AUTO, AUTO), "explicit": (EXPLICIT, EXPLICIT), "mixed": (EXPLICIT, AUTO)}
STRATEGIES: tuple[Strategy, ...] = ("lazy", "doubling", "fixed", "split_table", "table_free")
BATCH, SEQUENCE, HEADS, BOTH = P("x"), P(None, "x"), P(None, None, "x"), P("x", "y")
COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective", "reduce-scatter")
SPEC, MROPE = (
    RopeSpec(head_dim=64),
    RopeSpec(head_dim=64, pairs=Pairs.sections(mrope_section=(8, 12, 12))),
)
POSITIONS = np.arange(128, dtype=np.int32).reshape(8, 16)
TOKENS = np.arange(16, dtype=np.int32)[None]
MROPE_POSITIONS = np.stack([POSITIONS, POSITIONS[::-1], POSITIONS[:, ::-1]], axis=-1)

Case = tuple[RopeSpec, np.ndarray, Strategy, P]


def meshes() -> Iterator[Mesh]:
    for axis_types in AXIS_TYPES.values():
        yield jax.make_mesh((4, 2), ("x", "y"), axis_types=axis_types)


def contexts(mesh: Mesh) -> Iterator[AbstractContextManager[object]]:
    """No mesh that is named, and both ways to name one."""
    yield from (nullcontext(), mesh, jax.set_mesh(mesh))


def put(array: np.ndarray, mesh: Mesh, axes: P) -> jax.Array:
    return jax.device_put(array, NamedSharding(mesh, P(*axes[: array.ndim])))


def cache_of(spec: RopeSpec, strategy: Strategy, length: int = 128) -> rope_jax.RopeCache:
    return rope_jax.init_cache(spec, strategy, 0 if strategy == "table_free" else length)


def heads(rng: np.random.Generator, width: int = 64) -> np.ndarray:
    """Numbers of which some are 0 and -0."""
    x = rng.standard_normal((8, 16, 4, width)).astype(np.float32)
    return np.where(rng.random(x.shape) < 0.2, np.copysign(np.float32(0), x), x)


def sharded_as(array: jax.Array, mesh: Mesh, axes: P) -> bool:
    return array.sharding.is_equivalent_to(NamedSharding(mesh, axes), array.ndim)


def lookup() -> None:
    """Positions with any sharding, in any context, eager and jitted; `with mesh:` is deprecated."""
    jitted = jax.jit(rope_jax.lookup)
    cases: list[Case] = []
    for strategy in STRATEGIES:
        cases.append((SPEC, POSITIONS, strategy, BOTH))
        cases.append((MROPE, MROPE_POSITIONS, strategy, BOTH))
    for axes in (P(), BATCH, SEQUENCE):
        cases.append((SPEC, POSITIONS, "fixed", axes))
    for spec, positions, strategy, axes in cases:
        cache = cache_of(spec, strategy)
        expected = rope_jax.lookup(cache, positions)
        for mesh, look in product(meshes(), (rope_jax.lookup, jitted)):
            for context in contexts(mesh):
                with context:
                    table = look(cache, put(positions, mesh, axes))
                assert same_bytes(table, expected) and sharded_as(table[0], mesh, axes)


def growth() -> None:
    """A table that was made and has grown where a mesh is set, used there and elsewhere."""
    expected = rope_jax.cos_sin(SPEC, POSITIONS)
    for mesh, strategy in product(meshes(), ("lazy", "doubling")):
        with jax.set_mesh(mesh):
            cache = rope_jax.grow_cache(cache_of(SPEC, strategy, 3), 128)
            assert same_bytes(rope_jax.lookup(cache, put(POSITIONS, mesh, BOTH)), expected)
        assert same_bytes(rope_jax.lookup(cache, put(POSITIONS, mesh, BOTH)), expected)


def rotation() -> None:
    """Over batch, sequence and heads no device waits for another; the bytes are those of one."""
    rng = np.random.default_rng(0)
    cases: list[tuple[RopeSpec, Strategy]] = [(SPEC, strategy) for strategy in STRATEGIES]
    for name in ("interleaved", "de-interleave", "three quarters"):
        cases.append((LAYOUTS[name], "table_free"))
    for spec, strategy in cases:
        x, cache = heads(rng, spec.head_dim), cache_of(spec, strategy)
        step = lambda cache, x, p, spec=spec: rope_jax.rotate(spec, x, *rope_jax.lookup(cache, p))
        expected = step(cache, x, POSITIONS)
        for mesh, axes in product(meshes(), (BATCH, SEQUENCE, HEADS, BOTH, P("x", None, "y"))):
            operands = cache, put(x, mesh, axes), put(POSITIONS, mesh, axes)
            program = jax.jit(step).lower(*operands).compile()
            assert not [word for word in COLLECTIVES if word in str(program.as_text())]
            y = program(*operands)
            assert same_bytes(y, expected) and sharded_as(y, mesh, axes)


rotate = jax.jit(rope_jax.rotate, static_argnums=0)


@partial(jax.jit, static_argnums=0)
@partial(jax.grad, argnums=1)
def gradient(spec: RopeSpec, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    return (rotate(spec, x, cos, sin) ** 2).sum()


def channels() -> None:
    """On an explicit mesh x, cos and sin may be sharded over channels too, as the result is."""
    rng, axes = np.random.default_rng(0), P("x", None, None, "y")
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=AXIS_TYPES["explicit"])
    layouts = ("half", "interleaved", "de-interleave")
    for name, of_table in product(layouts, (BATCH, P("x", None, "y"))):
        spec = LAYOUTS[name]
        x, table = heads(rng, spec.head_dim), rope_jax.cos_sin(spec, POSITIONS)
        operands = put(x, mesh, axes), *(put(np.asarray(t), mesh, of_table) for t in table)
        y = rotate(spec, *operands)
        assert same_bytes(y, rotate(spec, x, *table)) and sharded_as(y, mesh, axes)
        assert "all-gather" in str(rotate.lower(spec, *operands).compile().as_text())
        with jax.set_mesh(mesh):
            assert same_bytes(gradient(spec, *operands), gradient(spec, x, *table))


def shard_map() -> None:
    """A table that is handed over, closed over, or made inside."""
    x = heads(np.random.default_rng(0))
    rotated = lambda cache, x, p: rope_jax.rotate(SPEC, x, *rope_jax.lookup(cache, p))
    for mesh, strategy in product(meshes(), STRATEGIES):
        cache, made = cache_of(SPEC, strategy), partial(cache_of, SPEC, strategy)
        for step in (
            rotated,
            lambda _, x, p, cache=cache: rotated(cache, x, p),
            lambda _, x, p, made=made: rotated(made(), x, p),
        ):
            mapped = jax.shard_map(step, mesh=mesh, in_specs=(P(), BOTH, BOTH), out_specs=BOTH)
            y = jax.jit(mapped)(cache, put(x, mesh, BOTH), put(POSITIONS, mesh, BOTH))
            assert same_bytes(y, rotated(cache, x, POSITIONS))


def shared() -> None:
    """Under `shard_map`, the gradient of x that all devices share is the sum over their tables."""
    rng = np.random.default_rng(0)
    x = heads(rng)[:2]
    cos, sin = rng.integers(-4, 5, (2, 8, 16, 32)).astype(np.float32)  # whose sums are exact
    loss = lambda x, cos, sin: rope_jax.rotate(SPEC, x, cos, sin).sum()
    right = jax.grad(lambda x: loss(jnp.tile(x, (4, 1, 1, 1)), cos, sin))(x)
    for mesh in meshes():
        each = jax.shard_map(jax.grad(loss), mesh=mesh, in_specs=(P(), BATCH, BATCH), out_specs=P())
        tables = (put(t, mesh, BATCH) for t in (cos, sin))
        assert np.array_equal(jax.jit(each)(put(x, mesh, P()), *tables), right)


def page() -> None:
    """The examples of docs/context_parallel.md; the tokens in order are those of one device."""
    text = (Path(__file__).parent.parent / "docs" / "context_parallel.md").read_text()
    q = heads(np.random.default_rng(0))[:1]
    names = vars(rope_spec) | {"jax": jax, "np": np, "rope_jax": rope_jax, "spec": SPEC, "q": q}
    names |= {"NamedSharding": NamedSharding, "PartitionSpec": P}
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(example, names)
    assert same_bytes(names["in_order"], rope_jax.rotate(SPEC, q, *rope_jax.cos_sin(SPEC, TOKENS)))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
