"""What XLA's CPU compiler makes of a rotation: one loop over memory, in a call of its own. Times
are in `benchmarks`.
"""

import os
import re
import statistics
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch._inductor.utils import run_and_get_code

import rope_jax
import rope_torch
from benchmarks.jax_roads import concatenate
from parity_tests.same import same_bytes
from rope_parity.backends import array, tensor
from rope_parity.constructed import LAYOUTS
from rope_parity.measure import DTYPES, compare
from rope_spec import Arithmetic, RopeSpec

SPEC = LAYOUTS["half"]


def operations(text: str, computation: str) -> list[str]:
    """The kinds of operation of an HLO computation, without those that cost nothing."""
    body = re.search(rf"^{computation} .*?\{{$(.*?)^\}}", text, re.M | re.S)
    assert body
    return [
        kind
        for kind in re.findall(r"= \S+ ([\w-]+)\(", body[1])
        if kind not in ("parameter", "bitcast", "constant")
    ]


def compiled(spec, dtype, backward=False, rotate_in="float32"):
    x = jnp.zeros((1, 64, 4, spec.head_dim), dtype)
    cos = jnp.zeros((1, 64, len(spec.pairs)), jnp.float32)
    rotate = lambda x, c, s: rope_jax.rotate(
        spec, x, c, s, arithmetic=Arithmetic(rotate_in=rotate_in)
    )
    function = (
        (lambda x, c, s: jax.vjp(lambda x: rotate(x, c, s), x)[1](x)[0]) if backward else rotate
    )
    return jax.jit(function).lower(x, cos, cos).compile(), x.nbytes, cos.nbytes


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", LAYOUTS.values(), ids=LAYOUTS)
def test_one_loop_reads_and_writes_each_array_once(spec, dtype, backward):
    """A call of one fusion, no copies, no temporary arrays; a negative sine may be a fusion of its
    own, of the table's size.
    """
    program, x_bytes, table_bytes = compiled(spec, dtype, backward)
    text, small = program.as_text(), backward or spec.sign < 0
    assert operations(text, "ENTRY") in (["call"], ["fusion", "call"])[: 1 + small]
    name = re.search(r"call\(.*to_apply=(%[\w.]+)", text)
    assert name and operations(text, re.escape(name[1])) == ["fusion"]
    assert program.memory_analysis().temp_size_in_bytes <= small * table_bytes
    reads = (
        1 if spec.rotary_dim == spec.head_dim else 2
    )  # XLA counts x once more for the channels that stay
    expected = (reads + 1) * x_bytes + 2 * table_bytes + small * 2 * table_bytes
    assert program.cost_analysis()["bytes accessed"] <= expected


def test_cos_and_sin_are_computed_once_for_all_heads():
    """From positions to q and k: the integers of the phase are not repeated for each head."""
    q, k = jnp.zeros((1, 64, 32, 64), jnp.bfloat16), jnp.zeros((1, 64, 8, 64), jnp.bfloat16)

    def step(q, k, positions):
        table = rope_jax.cos_sin(SPEC, positions)
        return rope_jax.rotate(SPEC, q, *table), rope_jax.rotate(SPEC, k, *table)

    text = jax.jit(step).lower(q, k, jnp.zeros((1, 64), jnp.int32)).compile().as_text()
    assert text.count(" call(") == 2
    multiplications = re.findall(r"= (\S+) multiply\(", text)
    assert not [
        shape
        for shape in multiplications
        if shape.startswith("u32") and re.search(r"\[1,64,(32|8),", shape)
    ]


@pytest.mark.parametrize("strategy", ["fixed", "split_table", "table_free"])
def test_no_allocation_grows_with_the_capacity(strategy):
    """A decoding step reads rows of the table, whatever its length."""
    sizes = []
    for length in (4096, 2**20):
        cache = rope_jax.init_cache(SPEC, strategy, length)
        step = jax.jit(lambda cache, p, x: rope_jax.rotate(SPEC, x, *rope_jax.lookup(cache, p)))
        program = step.lower(
            cache, jnp.zeros((8, 1), jnp.int32), jnp.zeros((8, 1, 4, 64))
        ).compile()
        sizes.append(program.memory_analysis().temp_size_in_bytes)
    assert sizes[0] == sizes[1]


def test_of_x_nothing_is_kept_for_the_backward_pass():
    """What jax.vjp keeps is cos and sin."""
    x, cos = jnp.ones((2, 64, 4, 64), jnp.bfloat16), jnp.ones((2, 64, 32))
    pullback = jax.vjp(lambda x: rope_jax.rotate(SPEC, x, cos, cos), x)[1]
    kept = [leaf for leaf in jax.tree.leaves(pullback) if isinstance(leaf, jax.Array)]
    assert sum(leaf.nbytes for leaf in kept) <= 2 * cos.nbytes


def test_a_donated_x_costs_no_second_array():
    """Where x is donated, the program holds x, the tables and the result, and no more than that."""
    x, cos = jnp.zeros((2, 64, 4, 64)), jnp.zeros((2, 64, 32))
    donated = (
        jax.jit(lambda x, c, s: rope_jax.rotate(SPEC, x, c, s), donate_argnums=0)
        .lower(x, cos, cos)
        .compile()
    )
    sizes = donated.memory_analysis()
    assert (
        sizes.temp_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
        <= x.nbytes
    )


def test_the_concatenate_form_is_slower():
    """A coarse ratio, far from the measured ones (6 to 20), so that a rotation that is no longer
    one loop is noticed.
    """
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 2048, 32, 128)), jnp.bfloat16)
    spec = type(SPEC)(head_dim=128, theta=1e4, pairs=SPEC.pairs.single(rotary_dim=128))
    cos, sin = rope_jax.cos_sin(spec, jnp.arange(2048)[None])
    with jax.numpy_dtype_promotion("standard"):
        theirs = (
            jax.jit(lambda x, c, s: concatenate(x, c[:, :, None], s[:, :, None]))
            .lower(x, cos, sin)
            .compile()
        )
    ours = jax.jit(lambda x, c, s: rope_jax.rotate(spec, x, c, s)).lower(x, cos, sin).compile()
    times: dict = {ours: [], theirs: []}
    for _ in range(9):
        for program, found in times.items():
            start = time.perf_counter()
            program(x, cos, sin).block_until_ready()
            found.append(time.perf_counter() - start)
    assert statistics.median(times[theirs]) > 2 * statistics.median(times[ours])


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["half", "first quarter", "last half, interleaved"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_compile_makes_one_loop_with_the_same_bits(name, dtype, rng):
    """Of a part of a head too: each channel is read and written in the loop of the rotation."""
    spec = LAYOUTS[name]
    x = tensor(rng.standard_normal((1, 2, 64, spec.head_dim)).astype(DTYPES[dtype]))
    cos, sin = rope_torch.cos_sin(spec, torch.arange(64)[None])
    torch.compiler.reset()
    y, code = run_and_get_code(
        torch.compile(lambda x, c, s: rope_torch.rotate(spec, x, c, s), fullgraph=True), x, cos, sin
    )
    assert compare(array(y), array(rope_torch.rotate(spec, x, cos, sin)), 1.0, 0.0).ok
    assert "".join(code).count("for(int64_t x0=") == 1


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["half", "de-interleave"])
def test_torch_compile_takes_the_gradient_whole(name, rng):
    """The autograd function is part of the graph, without its forward mode, which torch.compile
    does not take.
    """
    spec = LAYOUTS[name]
    x, ct = torch.tensor(
        rng.standard_normal((2, 1, 2, 64, spec.head_dim)), dtype=torch.float32
    ).unbind()
    rotate = lambda x: rope_torch.rotate(spec, x, *rope_torch.cos_sin(spec, torch.arange(64)[None]))
    gradient = lambda rotate: torch.autograd.grad(rotate(x.requires_grad_()), x, ct)[0]
    assert torch.equal(gradient(torch.compile(rotate, fullgraph=True)), gradient(rotate))


@pytest.mark.compiled
@pytest.mark.parametrize("pairs", [2, 8])
def test_few_pairs_at_positions_of_the_compiled_function(pairs):
    """Inductor writes up to eight constants into its code, and their product in 32 bits."""
    spec = RopeSpec(head_dim=2 * pairs)
    torch.compiler.reset()
    compiled = torch.compile(lambda _: rope_torch.cos_sin(spec, torch.arange(16)), fullgraph=True)
    assert same_bytes(compiled(torch.ones(1)), rope_torch.cos_sin(spec, torch.arange(16)))

    def moved(x):
        return rope_torch.rerotate(spec, x, torch.arange(16), 5 + torch.arange(16))

    x = torch.linspace(-1, 1, 16 * 2 * pairs).reshape(1, 1, 16, 2 * pairs)
    assert torch.equal(torch.compile(moved, fullgraph=True)(x), moved(x))


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, rope_jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P
from rope_parity.constructed import LAYOUTS
spec, mesh = LAYOUTS["half"], Mesh(np.array(jax.devices()), ("data",))
x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 4, 64)), jnp.float32)
positions = jnp.arange(16).reshape(2, 8)
step = jax.jit(lambda x, p: rope_jax.rotate(spec, x, *rope_jax.cos_sin(spec, p)))
for axes in (P("data"), P(None, None, "data")):
    put = lambda t, axes: jax.device_put(t, NamedSharding(mesh, axes))
    sharded = put(x, axes), put(positions, P(*axes[:1]))
    program = step.lower(*sharded).compile()
    collectives = ("all-gather", "all-reduce", "all-to-all", "collective")
    assert not [word for word in collectives if word in program.as_text()]
    y = program(*sharded)
    assert y.sharding.is_equivalent_to(sharded[0].sharding, 4)
    assert (np.asarray(y) == np.asarray(step(x, positions))).all()

explicit = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
rows = lambda t: jax.device_put(t, NamedSharding(explicit, P("data")))
with jax.set_mesh(explicit):  # types of arrays name their axes of the mesh, and so does the result
    for strategy in ("fixed", "split_table", "table_free"):
        cache = rope_jax.init_cache(spec, strategy, 32)
        turn = jax.jit(lambda cache, x, p: rope_jax.rotate(spec, x, *rope_jax.lookup(cache, p)))
        y = turn(cache, rows(x), rows(positions))
        assert jax.typeof(y).sharding.spec == P("data", None, None, None)
        assert strategy == "split_table" or (np.asarray(y) == np.asarray(step(x, positions))).all()

table = rope_jax.cos_sin(spec, positions)
over = lambda out: jax.shard_map(
    lambda x, c, s: rope_jax.rotate(spec, x, c, s),
    mesh=mesh,
    in_specs=(P(), P("data"), P("data")),
    out_specs=out,
)
# on both devices, for other positions: the result varies, and its gradient is a sum over devices
same = x[:1]
twice = lambda x: rope_jax.rotate(spec, jnp.tile(x, (2, 1, 1, 1)), *table)
assert (np.asarray(over(P("data"))(same, *table)) == np.asarray(twice(same))).all()
try:
    over(P())(same, *table)
    raise AssertionError("a result that varies was taken for one that does not")
except ValueError as error:
    assert "out_specs" in str(error)
loss = lambda rotate: jax.grad(lambda x: (rotate(x) ** 3).sum())(same)
assert np.allclose(loss(lambda x: over(P("data"))(x, *table)), loss(twice), rtol=1e-5, atol=1e-5)
print("equal")
"""


def test_sharded_over_batch_or_heads_it_needs_no_collectives():
    """In a process of two devices; equal to the bit to one device."""
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    out = subprocess.run(
        [sys.executable, "-c", SHARDED],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert out.stdout.strip() == "equal", out.stderr
