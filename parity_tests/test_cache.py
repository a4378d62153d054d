"""Caches as values: the same bytes by every strategy, rows that stay, loud ends of tables, and
compilations counted.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given, settings, strategies as st
from jax.experimental import checkify

import rope_jax
import rope_torch
from parity_tests.same import same_bytes
from rope_jax.nnx import RotaryEmbedding
from rope_parity import growth, oracle
from rope_parity.backends import tensor
from rope_parity.constructed import LAYOUTS, SPECS
from rope_parity.measure import DTYPES
from rope_spec import DynamicNTK, Pairs, RopeSpec, inverse_frequencies

SPEC = SPECS["yarn, not truncated"]
TABLES = ["lazy", "doubling", "fixed", "split_table"]
STATIC = {name: spec for name, spec in SPECS.items() if not spec.depends_on_length}


def positions_for(spec, shape, end, rng):
    return rng.integers(
        0, end, shape if spec.pairs.axes == 1 else (*shape, spec.pairs.axes)
    ).astype(np.int32)


@pytest.mark.parametrize("strategy", TABLES)
@pytest.mark.parametrize("spec", STATIC.values(), ids=STATIC)
def test_every_strategy_serves_the_bytes_of_table_free(spec, strategy, rng):
    """In both frameworks, after growth; `split_table` is equal between them, and near."""
    cache = rope_jax.init_cache(spec, strategy, 40 if strategy in ("lazy", "doubling") else 3000)
    of_torch = rope_torch.init_cache(spec, strategy, cache.capacity)
    for end in (40, 300, 3000):
        positions = positions_for(spec, (2, 30), end, rng)
        ours, cache = rope_jax.cached_cos_sin(cache, jnp.asarray(positions), end)
        theirs, of_torch = rope_torch.cached_cos_sin(of_torch, tensor(positions), end)
        assert all(map(same_bytes, ours, theirs))
        if strategy != "split_table":
            assert all(map(same_bytes, ours, rope_jax.cos_sin(spec, positions)))


@pytest.mark.parametrize("spec", STATIC.values(), ids=STATIC)
def test_the_split_table_keeps_its_bound_up_to_a_million(spec, rng):
    """1.6e-7 f, and the rounding of the product where the attention factor f is not 1."""
    factor = inverse_frequencies(spec).attention_factor
    cache = rope_jax.init_cache(spec, "split_table", 2**20)
    positions = positions_for(spec, (1, 200), 2**20, rng)
    bound = 1.6e-7 * factor + (factor * 2.0**-24 if factor != 1 else 0)
    for ours, exact in zip(
        rope_jax.lookup(cache, positions), oracle.cos_sin(spec, positions), strict=True
    ):
        assert np.abs(np.asarray(ours, np.float64) - exact).max() <= bound


def test_bytes_at_a_million_positions():
    spec = LAYOUTS["half"].__class__(
        head_dim=128, theta=1e4, pairs=LAYOUTS["half"].pairs.single(rotary_dim=128)
    )
    size = lambda cache: sum(table.nbytes for table in cache.tables)
    assert size(rope_jax.init_cache(spec, "split_table", 2**20)) == 2**20
    assert size(rope_jax.grow_cache(rope_jax.init_cache(spec), 2**31)) == 0


@pytest.mark.parametrize("strategy", ["lazy", "doubling"])
@pytest.mark.parametrize("branch", [rope_jax, rope_torch])
def test_growth_is_pure_and_keeps_rows(branch, strategy):
    cache = branch.init_cache(SPEC, strategy, 10)
    before = [np.asarray(table).copy() for table in cache.tables]
    grown = branch.grow_cache(cache, 11)
    assert grown.capacity == (11 if strategy == "lazy" else 20) and cache.capacity == 10
    assert branch.grow_cache(grown, 11) is grown and branch.grow_cache(grown, 3) is grown
    assert all(same_bytes(new[:10], old) for new, old in zip(grown.tables, before, strict=True))
    assert all(same_bytes(table, old) for table, old in zip(cache.tables, before, strict=True))


@pytest.mark.parametrize(
    "capacity, length, grown",
    [(512, 513, 1024), (512, 1024, 1024), (512, 1025, 2048), (3, 100, 192)],
)
def test_doubling_takes_the_fewest_doublings(capacity, length, grown):
    assert (
        rope_jax.grow_cache(rope_jax.init_cache(SPEC, "doubling", capacity), length).capacity
        == grown
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(STATIC)),
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=6),
    dtypes=st.lists(st.sampled_from(sorted(DTYPES)), min_size=6, max_size=6),
)
def test_all_strategies_agree(name, lengths, dtypes):
    """Over random specs, lengths and dtypes of the callers: a half-precision call leaves nothing
    behind.
    """
    spec = STATIC[name]
    caches = {
        s: rope_jax.init_cache(spec, s, 700 if s == "fixed" else 1)
        for s in ("lazy", "doubling", "fixed")
    }
    of_torch = rope_torch.init_cache(spec, "lazy", 1)
    for length, dtype in zip(lengths, dtypes, strict=False):
        positions = np.arange(length)[None]
        if spec.pairs.axes > 1:
            positions = np.stack(
                [positions, *[positions[:, ::-1]] * (spec.pairs.axes - 1)], axis=-1
            )
        x = (
            np.linspace(-1, 1, length * spec.head_dim)
            .reshape(1, length, 1, spec.head_dim)
            .astype(DTYPES[dtype])
        )
        expected = rope_jax.rotate(spec, jnp.asarray(x), *rope_jax.cos_sin(spec, positions))
        for strategy in caches:
            table, caches[strategy] = rope_jax.cached_cos_sin(caches[strategy], positions, length)
            assert same_bytes(rope_jax.rotate(spec, jnp.asarray(x), *table), expected), strategy
        table, of_torch = rope_torch.cached_cos_sin(
            of_torch, torch.tensor(positions.copy()), length
        )
        assert same_bytes(rope_torch.rotate(spec, tensor(x), *table, heads_axis=-2), expected)


@pytest.mark.parametrize(
    "branch, put", [(rope_jax, np.array), (rope_torch, torch.tensor)], ids=["jax", "torch"]
)
def test_the_ends_of_a_table(branch, put):
    """The last row is served, and positions on either side raise, each by itself."""
    cache = branch.init_cache(SPEC, "fixed", 100)
    assert branch.grow_cache(cache, 100) is cache
    branch.lookup(cache, put([0, 99]))
    for outside in (-1, 100):
        with pytest.raises(ValueError, match=f"from {outside} to {outside}, expected 0 to 99"):
            branch.lookup(cache, put([outside]))
    split = branch.init_cache(SPEC, "split_table", 1025)
    assert split.capacity == 2048 and branch.init_cache(SPEC, "split_table", 1024).capacity == 1024
    cos, exact = branch.lookup(split, put([1024]))[0], branch.cos_sin(SPEC, put([1024]))[0]
    factor = inverse_frequencies(SPEC).attention_factor
    assert np.abs(np.asarray(cos) - np.asarray(exact)).max() <= 2 * 1.6e-7 * factor
    with pytest.raises(ValueError, match="got .fixed. for real positions, expected .table_free."):
        branch.init_cache(RopeSpec(head_dim=8, real=True), "fixed", 8)


OUTSIDE = np.array([[-1, 0, 99, 100, 2**31 - 1]], np.int32)


@pytest.mark.compiled
@pytest.mark.parametrize("strategy", ["lazy", "doubling", "fixed"])
def test_leaving_the_table_is_loud(strategy):
    """NaN under jit and torch.compile, NumPy and CPU positions raise at once, `clamp` takes the
    nearest row.
    """
    cache, of_torch = (branch.init_cache(SPEC, strategy, 100) for branch in (rope_jax, rope_torch))
    compiled = torch.compile(lambda p: rope_torch.lookup(of_torch, p)[0], fullgraph=True)
    for cos in (
        jax.jit(lambda p: rope_jax.lookup(cache, p)[0])(OUTSIDE),
        compiled(torch.tensor(OUTSIDE)),
    ):
        assert np.isnan(np.asarray(cos)).all(-1).tolist() == [[True, False, False, True, True]]
        assert np.isnan(np.asarray(cos)).any(-1).tolist() == [[True, False, False, True, True]]
    message = "got positions from -1 to 2147483647, expected 0 to 99, the rows of the table. Call"
    for call in (
        lambda: rope_jax.lookup(cache, OUTSIDE),
        lambda: rope_torch.lookup(of_torch, torch.tensor(OUTSIDE)),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    for branch, table, p in (
        (rope_jax, cache, OUTSIDE),
        (rope_torch, of_torch, torch.tensor(OUTSIDE)),
    ):
        cos = np.asarray(branch.lookup(table, p, out_of_range="nan")[0])
        assert np.isnan(cos).all(-1).tolist() == [[True, False, False, True, True]]
    nearest = rope_jax.lookup(cache, OUTSIDE.clip(0, 99))[0]
    assert same_bytes(rope_jax.lookup(cache, OUTSIDE, out_of_range="clamp")[0], nearest)
    assert same_bytes(
        rope_torch.lookup(of_torch, torch.tensor(OUTSIDE), out_of_range="clamp")[0], nearest
    )


@pytest.mark.parametrize("strategy", ["fixed", "split_table", "table_free"])
@pytest.mark.parametrize(
    "branch, vmap, put", [(rope_jax, jax.vmap, jnp.asarray), (rope_torch, torch.vmap, torch.tensor)]
)
def test_positions_may_be_mapped(branch, vmap, put, strategy):
    """`vmap` over positions is the lookup of all of them; outside of the table it gives NaN, since
    no value can be read.
    """
    cache, positions = branch.init_cache(SPEC, strategy, 1024), np.arange(6).reshape(2, 3) * 200
    cos = lambda p: branch.lookup(cache, p)[0]
    assert same_bytes(vmap(cos)(put(positions)), cos(put(positions)))
    assert np.isnan(np.asarray(vmap(cos)(put(positions + 1024)))).all() == (
        strategy != "table_free"
    )


def test_an_error_goes_through_checkify():
    cache = rope_jax.init_cache(SPEC, "fixed", 100)
    checked = jax.jit(checkify.checkify(lambda p: rope_jax.lookup(cache, p)[0]))
    error, _ = checked(OUTSIDE)
    with pytest.raises(
        checkify.JaxRuntimeError, match="lookup: a position is outside the 100 rows of the table"
    ):
        error.throw()
    checked(OUTSIDE.clip(0, 99))[0].throw()


def test_no_value_is_waited_for():
    """A lookup of positions on a device is dispatched without reading them."""
    cache = rope_jax.init_cache(SPEC, "fixed", 100)
    with jax.transfer_guard_device_to_host("disallow"):
        rope_jax.lookup(cache, jnp.asarray(OUTSIDE))


@pytest.mark.parametrize("branch", [rope_jax, rope_torch])
def test_one_call_takes_the_current_length_too(branch):
    """Where frequencies change with the length, `cached_cos_sin` is `cos_sin`; positions may be
    those of NumPy.
    """
    spec, positions = SPECS["longrope"], np.arange(5000, 5004, dtype=np.int32)[None]
    table, _ = branch.cached_cos_sin(branch.init_cache(spec), positions, 5004, seq_len=5004)
    of_short, of_long = (branch.cos_sin(spec, positions, seq_len=length) for length in (4, 5004))
    assert all(np.array_equal(a, b) for a, b in zip(table, of_long, strict=True))
    assert not np.array_equal(of_short[0], of_long[0])


def test_a_table_in_a_closure_grows_in_jit():
    """Rows that are known while tracing, and those of an argument."""
    cache, positions = rope_jax.init_cache(SPEC, "lazy", 4), jnp.arange(19)
    expected = rope_jax.cos_sin(SPEC, positions)
    grown = lambda cache, positions: rope_jax.lookup(rope_jax.grow_cache(cache, 20), positions)
    for table in (jax.jit(grown)(cache, positions), jax.jit(lambda p: grown(cache, p))(positions)):
        assert all(np.array_equal(a, b) for a, b in zip(table, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.uint16, torch.uint32])
def test_narrow_positions_in_a_table_of_torch(dtype):
    table = rope_torch.lookup(rope_torch.init_cache(SPEC, "fixed", 64), torch.arange(64).to(dtype))
    assert torch.equal(table[0], rope_torch.cos_sin(SPEC, torch.arange(64))[0])


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("branch, array_of", [(rope_jax, jnp.asarray), (rope_torch, torch.tensor)])
def test_a_narrow_length_is_a_length(dtype, branch, array_of):
    """Beside a context that its own dtype does not hold, and would wrap to 64: still within it,
    hence exact.
    """
    spec = RopeSpec(
        head_dim=8, theta=1e4, pairs=Pairs.single(rotary_dim=8), rule=DynamicNTK(4.0, 65_600)
    )
    table = branch.cos_sin(spec, array_of(np.arange(9)), seq_len=array_of(np.array(100, dtype)))
    expected = branch.cos_sin(spec, array_of(np.arange(9)), seq_len=100)
    assert all(map(same_bytes, table, expected))


BAD = {
    "strategy": (
        lambda b: b.init_cache(SPEC, "static"),
        "strategy: got 'static', expected one of 'lazy', 'doubling'",
    ),
    "no length": (
        lambda b: b.init_cache(SPEC, "fixed"),
        "length: got 0 for strategy 'fixed', expected the number",
    ),
    "dynamic": (
        lambda b: b.init_cache(SPECS["dynamic"], "lazy", 8),
        "got 'lazy' for frequencies that change with the length",
    ),
    "too short": (
        lambda b: b.grow_cache(b.init_cache(SPEC, "fixed", 8), 9),
        "got length=9 for a fixed table of 8 rows, expected at most that. Start with a longer one",
    ),
    "policy": (
        lambda b: b.lookup(b.init_cache(SPEC), None, out_of_range="wrap"),
        "out_of_range: got 'wrap', expected one of",
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("branch", [rope_jax, rope_torch])
@pytest.mark.parametrize("call, message", BAD.values(), ids=BAD)
def test_bad_input(call, message, branch):
    with pytest.raises(ValueError, match=message):
        call(branch)


@pytest.mark.compiled
@pytest.mark.parametrize("trace", growth.TRACES)
def test_compilations_along_the_traces(trace):
    """Counted by jax's own event: one for each larger table that a call meets, none without growth,
    whatever the shapes.

    With the table as an argument of the step every shape is compiled anew for a larger table.
    """
    shapes, name = len({call.shape for call in trace().calls}), trace().name
    found = growth.ledger(SPEC, (trace,))[name]
    own = {strategy: account.cache_compilations for strategy, account in found.items()}
    assert own["fixed"] == own["split_table"] == own["table_free"] == 0
    met = {
        strategy: len({step["bytes"] for step in account.steps}) - 1
        for strategy, account in found.items()
    }
    assert (
        0
        < own["doubling"]
        == met["doubling"]
        <= math.ceil(math.log2(found["doubling"].max_position / trace().first))
    )
    assert own["doubling"] < own["lazy"] == met["lazy"] <= found["lazy"].growths
    assert found["table_free"].final_bytes == found["table_free"].peak_bytes == 0
    assert (
        found["lazy"].torch_rebuilds == found["lazy"].growths + 1
        and found["fixed"].torch_rebuilds == 1
    )
    for strategy, account in found.items():
        assert 0 <= account.cache_compilations_in_step <= account.growths * shapes
        assert account.max_error <= (1.6e-7 if strategy == "split_table" else 3.2e-8) * 2


def test_both_places_of_the_lookup_rotate_alike(rng):
    """In blocks before the step, and inside it."""
    positions = rng.integers(0, 300, (3, 77)).astype(np.int32)
    x, cache = (
        rng.standard_normal((3, 77, growth.HEADS, 64)).astype(np.float32),
        rope_jax.init_cache(SPEC, "fixed", 300),
    )
    assert same_bytes(
        growth.lookup_before(SPEC)(cache, x, positions),
        growth.lookup_inside(SPEC)(cache, x, positions),
    )


LONG = 30_000


@pytest.mark.parametrize("name", ["longrope", "dynamic"])
def test_a_traced_length_is_the_static_one(name):
    """One length for each row of the batch, in one compilation; to the bit, but for dynamic NTK
    beyond its original context, which has its stated error.
    """
    spec = SPECS[name]
    original = spec.original_length
    lengths = np.array([100, original, original + 1, LONG], np.int32)
    positions = np.stack([np.arange(n - 8, n) for n in lengths]).astype(np.int32)
    traced = jax.jit(lambda p, n: rope_jax.cos_sin(spec, p, seq_len=n))
    cos, sin = traced(positions, lengths)
    of_torch = rope_torch.cos_sin(spec, torch.tensor(positions), seq_len=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        exact = rope_jax.cos_sin(spec, positions[row], seq_len=int(length))
        for ours, theirs, static in zip((cos, sin), of_torch, exact, strict=True):
            if name == "longrope" or length <= original:
                assert same_bytes(ours[row], static) and same_bytes(theirs[row], static)
            else:
                factor, stretch = 4.0, 4.0 * length / original - 3.0
                relative = (2 * factor + math.log(stretch) + 8) * 2.0**-24
                angle = positions[row][:, None] * inverse_frequencies(spec, int(length)).inv_freq
                bound = angle * relative + 2 * 2.0**-24
                assert (np.abs(np.asarray(ours[row]) - static) <= bound).all()
                assert (np.abs(theirs[row].numpy() - static) <= bound).all()
    one = traced(positions[1], lengths[1])[0]
    assert same_bytes(one, cos[1])


def test_a_traced_length_needs_no_round_trip():
    spec = SPECS["longrope"]
    with jax.transfer_guard_device_to_host("disallow"):
        rope_jax.cos_sin(spec, jnp.arange(8), seq_len=jnp.array(9))


def test_decoding_is_rotating_the_whole_sequence_at_once(rng):
    """lax.scan over tokens of left-padded rows with offsets of their own, into a preallocated KV
    cache, to the bit.
    """
    lengths, total = np.array([5, 9, 12]), 12
    positions = jnp.asarray(np.maximum(np.arange(total) - (total - lengths[:, None]), 0), jnp.int32)
    keys = jnp.asarray(rng.standard_normal((3, total, 2, 64)), jnp.bfloat16)
    whole = rope_jax.rotate(SPEC, keys, *rope_jax.cos_sin(SPEC, positions))

    def step(kv, token):
        index, key, position = token
        key = rope_jax.rotate(SPEC, key[:, None], *rope_jax.cos_sin(SPEC, position[:, None]))
        return jax.lax.dynamic_update_slice_in_dim(kv, key, index, axis=1), None

    tokens = jnp.arange(total), keys.swapaxes(0, 1), positions.T
    assert same_bytes(jax.lax.scan(step, jnp.zeros_like(keys), tokens)[0], whole)


class Layer(nnx.Module):
    def __init__(self, capacity):
        self.rope, self.keys = RotaryEmbedding(SPEC), nnx.Cache(jnp.zeros((3, capacity, 2, 64)))
        self.length = nnx.Cache(jnp.array(0))

    def __call__(self, key):
        index = self.length[...]
        positions = jnp.broadcast_to(index + jnp.arange(key.shape[1]), key.shape[:2])
        self.keys[...] = jax.lax.dynamic_update_slice_in_dim(
            self.keys[...], self.rope(key, positions), index, axis=1
        )
        self.length[...] = index + key.shape[1]


def test_decoding_under_nnx_jit(rng):
    """A prefill and single tokens into a preallocated cache: two compilations, and the bits of the
    whole sequence at once.
    """
    keys = jnp.asarray(rng.standard_normal((3, 12, 2, 64)), jnp.float32)
    layer, step = Layer(16), nnx.jit(lambda layer, key: layer(key))
    for part in (keys[:, :8], *(keys[:, i : i + 1] for i in range(8, 12))):
        step(layer, part)
    whole = rope_jax.rotate(SPEC, keys, *rope_jax.cos_sin(SPEC, jnp.arange(12)[None]))
    assert same_bytes(layer.keys[...][:, :12], whole)


def test_the_default_is_right_at_every_int32_position(rng):
    rope, positions = (
        RotaryEmbedding(SPEC),
        np.array([[0, -1, 2**31 - 1, -(2**31), 10**9]], np.int32),
    )
    factor = inverse_frequencies(SPEC).attention_factor
    for ours, exact in zip(
        rope.cos_sin(jnp.asarray(positions)), oracle.cos_sin(SPEC, positions), strict=True
    ):
        assert (
            np.abs(np.asarray(ours, np.float64) - exact).max()
            <= 3.2e-8 * factor + factor * 2.0**-24
        )


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int64])
@pytest.mark.parametrize("strategy", ["fixed", "split_table"])
def test_narrow_positions_in_a_long_table(strategy, dtype):
    """The number of rows need not fit into the dtype of the positions."""
    positions = np.array([0, 5, 100, 127], dtype)
    expected = rope_jax.lookup(
        rope_jax.init_cache(SPEC, strategy, 70_000), positions.astype(np.int32)
    )
    assert all(
        map(
            same_bytes,
            rope_jax.lookup(rope_jax.init_cache(SPEC, strategy, 70_000), jnp.asarray(positions)),
            expected,
        )
    )
    if dtype != np.uint16:
        assert all(
            map(
                same_bytes,
                rope_torch.lookup(rope_torch.init_cache(SPEC, strategy, 70_000), tensor(positions)),
                expected,
            )
        )


@pytest.mark.parametrize("branch", [rope_jax, rope_torch])
@pytest.mark.parametrize("strategy", ["lazy", "doubling"])
def test_lengths_from_numpy(branch, strategy):
    grown = branch.grow_cache(branch.init_cache(SPEC, strategy, 10), np.int64(39) + 1)
    assert grown.capacity == 40 and type(grown.capacity) is int


@pytest.mark.parametrize(
    "name, ends, compilations", [("longrope", (4090, 4100), 2), ("dynamic", (2040, 2048), 1)]
)
def test_lengths_with_the_same_frequencies_are_one_compilation(name, ends, compilations):
    rope_jax.cos_sin(SPEC, np.zeros((1, 13), np.int32))  # what JAX compiles once for itself
    before = growth.COMPILATIONS.count
    for length in range(ends[0], ends[1] + 1):
        rope_jax.cos_sin(SPECS[name], np.full((1, 13), length - 1, np.int32), seq_len=length)
    assert growth.COMPILATIONS.count - before == compilations
