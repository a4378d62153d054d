"""Flax modules by themselves, without torch: training, checkpoints, growth, attention and
decode.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

import rope_jax
from parity_tests.same import same_bytes
from rope_jax.linen import RotaryEmbedding as LinenRotary
from rope_jax.nnx import RopeTable, RotaryAttention, RotaryEmbedding as NnxRotary
from rope_parity.constructed import SPECS

SPEC = SPECS["yarn, not truncated"]
POSITIONS = np.arange(16).reshape(2, 8)
STRATEGIES = ["table_free", "fixed", "lazy", "doubling"]


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 8, 3, 64)).astype(np.float32)


@pytest.fixture
def rotated(x):
    return rope_jax.rotate(SPEC, jnp.asarray(x), *rope_jax.cos_sin(SPEC, POSITIONS))


class Block(nnx.Module):
    """A layer with parameters and a rotary embedding."""

    def __init__(self, strategy, rngs):
        self.rope = NnxRotary(SPEC, strategy=strategy, length=16)
        self.project = nnx.Linear(64, 64, rngs=rngs)

    def __call__(self, x):
        return self.rope(self.project(x), jnp.asarray(POSITIONS))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nnx_trains_and_checkpoints_without_the_table(strategy, x, tmp_path):
    block = Block(strategy, nnx.Rngs(0))
    params, table, rest = nnx.state(block, nnx.Param, RopeTable, ...)
    assert len(jax.tree.leaves(table)) == (
        0 if strategy == "table_free" else 2
    ) and not jax.tree.leaves(rest)
    optimizer = nnx.Optimizer(block, optax.sgd(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(block, optimizer, x):
        grads = nnx.grad(lambda block: (block(x) ** 2).mean(), argnums=nnx.DiffState(0, nnx.Param))(
            block
        )
        optimizer.update(block, grads)

    before = jax.tree.map(np.asarray, nnx.state(block, RopeTable))
    kernel = np.asarray(block.project.kernel)
    step(block, optimizer, jnp.asarray(x))
    assert jax.tree.all(jax.tree.map(same_bytes, before, nnx.state(block, RopeTable)))
    assert not same_bytes(block.project.kernel.get_value(), kernel)
    saved = nnx.state(block, nnx.Param)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "params", saved)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "params", saved)
    fresh = Block(strategy, nnx.Rngs(1))
    nnx.update(fresh, restored)
    assert same_bytes(fresh(jnp.asarray(x)), block(jnp.asarray(x)))


def test_linen_keeps_the_table_in_its_own_collection(x, rotated):
    module = LinenRotary(SPEC, strategy="lazy", length=4)
    variables = module.init({}, jnp.asarray(x), jnp.zeros((2, 8), int))
    longer = jax.tree.map(lambda leaf: leaf, variables)
    longer["rope"]["table"] = rope_jax.grow_cache(variables["rope"]["table"], 16)
    assert same_bytes(module.apply(longer, jnp.asarray(x), jnp.asarray(POSITIONS)), rotated)
    assert jax.tree.leaves(LinenRotary(SPEC).init({}, jnp.asarray(x), jnp.asarray(POSITIONS))) == []


def test_nnx_table_grows_outside_jit(x, rotated):
    rope = NnxRotary(SPEC, strategy="lazy", length=4)
    short = nnx.jit(lambda rope, x, p: rope(x, p))
    assert np.isnan(short(rope, jnp.asarray(x), jnp.asarray(POSITIONS))).any()
    rope.grow(16)
    assert same_bytes(short(rope, jnp.asarray(x), jnp.asarray(POSITIONS)), rotated)


TABLES = ["lazy", "doubling", "fixed", "split_table"]
ABSTRACT = {
    "the module": lambda make: nnx.eval_shape(make),
    "split and merged": lambda make: nnx.merge(*nnx.split(nnx.eval_shape(make))),
    "filled but for the table": lambda make: filled(nnx.eval_shape(make), make()),
    "its state as shapes": lambda make: as_shapes(make()),
    "jitted": lambda make: nnx.jit(make)(),
}


def filled(abstract, block):
    nnx.update(abstract, nnx.state(block, nnx.Param))
    return abstract


def as_shapes(block):
    graph, params, rest = nnx.split(block, nnx.Param, ...)
    return nnx.merge(graph, params, jax.eval_shape(lambda state: state, rest))


@pytest.mark.parametrize("make_abstract", ABSTRACT.values(), ids=ABSTRACT)
@pytest.mark.parametrize("strategy", [*TABLES, "table_free"])
def test_nnx_computes_a_table_that_is_a_shape(make_abstract, strategy, x):
    """At the first call, after which it is an array and an argument of `nnx.jit`."""
    rope = NnxRotary(SPEC, strategy=strategy, length=16)
    expected = rope(jnp.asarray(x), jnp.asarray(POSITIONS))
    make = lambda: Block(strategy, nnx.Rngs(0))
    rope = make_abstract(make).rope
    assert same_bytes(rope(jnp.asarray(x), jnp.asarray(POSITIONS)), expected)
    call = nnx.jit(lambda rope, x, p: rope(x, p))
    assert same_bytes(call(rope, jnp.asarray(x), jnp.asarray(POSITIONS)), expected)


@pytest.mark.parametrize("strategy", TABLES)
def test_a_shape_that_a_transformation_closes_over(strategy, x):
    """It may not be changed there: the table is computed, and the module keeps the shape."""
    rope = nnx.eval_shape(lambda: NnxRotary(SPEC, strategy=strategy, length=16))
    loss = lambda x: (rope(x, jnp.asarray(POSITIONS)) ** 2).sum()
    gradients = [jax.jit(jax.grad(loss))(jnp.asarray(x)), jax.grad(loss)(jnp.asarray(x))]
    rope.grow(16)
    assert same_bytes(*gradients, jax.grad(loss)(jnp.asarray(x)))


@pytest.mark.parametrize("strategy", TABLES)
def test_a_cache_of_shapes(strategy):
    """From `jax.eval_shape`, or with nothing in the place of its rows."""
    cache = rope_jax.init_cache(SPEC, strategy, 16)
    expected = rope_jax.lookup(cache, POSITIONS)
    shapes = jax.eval_shape(lambda: rope_jax.init_cache(SPEC, strategy, 16))
    for empty in (shapes, jax.tree.map(lambda _: None, cache)):
        grown = rope_jax.grow_cache(empty, 16)
        for table in (rope_jax.lookup(empty, POSITIONS), rope_jax.lookup(grown, POSITIONS)):
            assert same_bytes(table, expected)
        assert same_bytes(grown.tables, cache.tables)


@pytest.mark.parametrize("strategy", [*TABLES, "table_free"])
def test_linen_computes_a_table_that_it_did_not_get(strategy, x):
    """Shapes from `jax.eval_shape`, or no collection `rope`, as in a checkpoint of parameters."""
    module = LinenRotary(SPEC, strategy=strategy, length=16)
    operands = jnp.asarray(x), jnp.asarray(POSITIONS)
    expected, variables = module.init_with_output({}, *operands)
    shapes = jax.eval_shape(module.init, {}, *operands)
    jitted = jax.jit(module.init)({}, *operands)
    for given in (variables, shapes, jitted, {}):
        assert same_bytes(module.apply(given, *operands), expected)
    assert same_bytes(jax.jit(lambda *operands: module.apply({}, *operands))(*operands), expected)


def attention(rope, decode, rngs):
    attend = RotaryAttention(rope)
    return nnx.MultiHeadAttention(
        num_heads=2, in_features=16, qkv_features=128, decode=decode, attention_fn=attend, rngs=rngs
    ), attend


@pytest.mark.parametrize("offset", [0, 1000])
def test_attention_rotates_in_training_and_in_decode(offset, rng):
    """One token at a time from the cache of keys = the whole sequence at once = rotated by hand
    before the attention.
    """
    tokens = jnp.asarray(rng.standard_normal((2, 6, 16)), jnp.float32)
    positions = jnp.stack([jnp.arange(6) + offset, jnp.arange(6) + 7 * offset])
    attend, rotary = attention(NnxRotary(SPEC), False, nnx.Rngs(0))
    rotary.set_positions(positions)
    mask = nnx.make_causal_mask(jnp.ones((2, 6)))
    whole = attend(tokens, mask=mask)

    table = rope_jax.cos_sin(SPEC, positions)
    query, key = (
        rope_jax.rotate(SPEC, part(tokens), *table) for part in (attend.query, attend.key)
    )
    by_hand = attend.out(nnx.dot_product_attention(query, key, attend.value(tokens), mask=mask))
    assert same_bytes(whole, by_hand)

    decode, rotary = attention(NnxRotary(SPEC), True, nnx.Rngs(0))
    rotary.set_positions(positions)
    decode.init_cache(tokens.shape)
    step = nnx.jit(lambda attend, token: attend(token))
    steps = jnp.concatenate([step(decode, tokens[:, i : i + 1]) for i in range(6)], axis=1)
    few_roundings = (
        64 * np.finfo(np.float32).eps
    )  # softmax and sums over 6 keys and 128 channels, in another order
    assert np.abs(steps - whole).max() <= few_roundings * np.abs(whole).max()


def test_attention_refuses_frequencies_of_a_length():
    with pytest.raises(ValueError, match="RotaryAttention: got frequencies that change with the l"):
        RotaryAttention(NnxRotary(SPECS["longrope"]))


@pytest.mark.parametrize("heads_axis", [-3, None])
def test_attention_has_its_heads_before_the_channels(heads_axis):
    message = f"got heads_axis={heads_axis}, expected -2: the heads of nnx.MultiHeadAttention are"
    with pytest.raises(ValueError, match=message):
        RotaryAttention(NnxRotary(SPEC, heads_axis=heads_axis))


def test_attention_with_a_mask_it_cannot_read():
    rotary = RotaryAttention(NnxRotary(SPEC))
    q, k = jnp.zeros((1, 2, 2, 64)), jnp.zeros((1, 4, 2, 64))
    for mask, shape in ((None, "None"), (jnp.ones((1, 1, 2, 4), bool), r"\(1, 1, 2, 4\)")):
        message = f"got a mask of shape {shape} for fewer queries than keys.*Else rotate before att"
        with pytest.raises(ValueError, match=message):
            rotary(q, k, k, mask=mask)
