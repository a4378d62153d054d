"""Modules hold and call: module = function; their state stays out of training, checkpoints and casts."""

import copy
import io
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
import torch
from flax import nnx

import rope_jax
import rope_torch
from rope_jax.linen import RotaryEmbedding as LinenRotary
from rope_jax.nnx import RopeTable, RotaryAttention, RotaryEmbedding as NnxRotary
from rope_spec import spec_from_config

from .backends import array, tensor
from .cases import CONFIGS
from .constructed import SPECS
from .measure import compare

SPEC = SPECS["yarn, not truncated"]
POSITIONS = np.arange(16).reshape(2, 8)
STRATEGIES = ["table_free", "fixed", "lazy", "doubling"]


def same(left, right) -> bool:
    left, right = (array(a) if isinstance(a, torch.Tensor) else np.asarray(a) for a in (left, right))
    return compare(left, right, 1.0, 0.0).ok and left.dtype == right.dtype


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 8, 3, 64)).astype(np.float32)


@pytest.fixture
def rotated(x):
    return rope_jax.rotate(jnp.asarray(x), *rope_jax.cos_sin(SPEC, POSITIONS), SPEC)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_module_is_its_function(strategy, x, rotated):
    options = {"strategy": strategy, "length": 16}
    assert same(NnxRotary(SPEC, **options)(jnp.asarray(x), jnp.asarray(POSITIONS)), rotated)
    y, variables = LinenRotary(SPEC, **options).init_with_output({}, jnp.asarray(x), jnp.asarray(POSITIONS))
    assert same(y, rotated) and set(variables) <= {"rope"}
    assert same(LinenRotary(SPEC, **options).apply(variables, jnp.asarray(x), jnp.asarray(POSITIONS)), rotated)
    of_torch = rope_torch.RotaryEmbedding(SPEC, heads_axis=-2, **options)
    assert same(of_torch(tensor(x), tensor(POSITIONS)), rotated)


@pytest.mark.parametrize("make", [NnxRotary.from_config, LinenRotary.from_config, rope_torch.RotaryEmbedding.from_config])
def test_from_config(make):
    path = CONFIGS / "gemma-3-4b.json"
    assert make(path, "sliding_attention").spec == spec_from_config(path, "sliding_attention")
    with pytest.raises(ValueError, match="got label=None, expected one of 'full_attention', 'sliding_attention'"):
        make(path)


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
    assert len(jax.tree.leaves(table)) == (0 if strategy == "table_free" else 2) and not jax.tree.leaves(rest)
    optimizer = nnx.Optimizer(block, optax.sgd(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(block, optimizer, x):
        grads = nnx.grad(lambda block: (block(x) ** 2).mean(), argnums=nnx.DiffState(0, nnx.Param))(block)
        optimizer.update(block, grads)

    before = jax.tree.map(np.asarray, nnx.state(block, RopeTable))
    kernel = np.asarray(block.project.kernel)
    step(block, optimizer, jnp.asarray(x))
    assert jax.tree.all(jax.tree.map(same, before, nnx.state(block, RopeTable)))
    assert not same(block.project.kernel.get_value(), kernel)
    saved = nnx.state(block, nnx.Param)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "params", saved)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "params", saved)
    fresh = Block(strategy, nnx.Rngs(1))
    nnx.update(fresh, restored)
    assert same(fresh(jnp.asarray(x)), block(jnp.asarray(x)))


def test_linen_keeps_the_table_in_its_own_collection(x, rotated):
    module = LinenRotary(SPEC, strategy="lazy", length=4)
    variables = module.init({}, jnp.asarray(x), jnp.zeros((2, 8), int))
    longer = jax.tree.map(lambda leaf: leaf, variables)
    longer["rope"]["table"] = rope_jax.grow_cache(variables["rope"]["table"], 16)
    assert same(module.apply(longer, jnp.asarray(x), jnp.asarray(POSITIONS)), rotated)
    assert jax.tree.leaves(LinenRotary(SPEC).init({}, jnp.asarray(x), jnp.asarray(POSITIONS))) == []


def test_nnx_table_grows_outside_jit(x, rotated):
    rope = NnxRotary(SPEC, strategy="lazy", length=4)
    short = nnx.jit(lambda rope, x, p: rope(x, p))
    assert np.isnan(short(rope, jnp.asarray(x), jnp.asarray(POSITIONS))).any()
    rope.grow(16)
    assert same(short(rope, jnp.asarray(x), jnp.asarray(POSITIONS)), rotated)


MOVES = {
    "half": lambda m: m.half(),
    "bfloat16": lambda m: m.to(torch.bfloat16),
    "double": lambda m: m.double(),
    "deepcopy": copy.deepcopy,
    "pickle": lambda m: pickle.loads(pickle.dumps(m)),
    "meta and back": lambda m: m.to("meta").to_empty(device="cpu"),
    "born on meta": lambda m: _born_on_meta(m),
    "compiled": lambda m: torch.compile(m, fullgraph=True),
    "share_memory": lambda m: m.share_memory(),
}


def _born_on_meta(module):
    with torch.device("meta"):
        twin = rope_torch.RotaryEmbedding(SPEC, strategy=module.cache.strategy, length=16, heads_axis=-2)
    return twin.to_empty(device="cpu")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_the_torch_module_survives(move, strategy, x, rotated):
    module = move(rope_torch.RotaryEmbedding(SPEC, strategy=strategy, length=16, heads_axis=-2))
    assert same(module(tensor(x), tensor(POSITIONS)), rotated)
    assert not module.state_dict() and not list(module.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(dtype, x, rotated):
    module = rope_torch.RotaryEmbedding(SPEC, heads_axis=-2)
    with torch.autocast("cpu", dtype=dtype):
        assert same(module(tensor(x), tensor(POSITIONS)), rotated)


def test_an_old_checkpoint_loads_strictly():
    model = torch.nn.ModuleDict({"rope": rope_torch.RotaryEmbedding(SPEC), "linear": torch.nn.Linear(2, 2)})
    old = model.state_dict() | {"rope.inv_freq": torch.ones(32)}
    file = io.BytesIO()
    torch.save(old, file)
    file.seek(0)
    model.load_state_dict(torch.load(file), strict=True)
    assert "rope.inv_freq" in old and not any("rope" in key for key in model.state_dict())
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict(old | {"rope.table": torch.ones(1)})


def attention(rope, decode, rngs):
    attend = RotaryAttention(rope)
    return nnx.MultiHeadAttention(
        num_heads=2, in_features=16, qkv_features=128, decode=decode, attention_fn=attend, rngs=rngs
    ), attend


@pytest.mark.parametrize("offset", [0, 1000])
def test_attention_rotates_in_training_and_in_decode(offset, rng):
    """One token at a time from the cache of keys = the whole sequence at once = rotated by hand before the attention."""
    tokens = jnp.asarray(rng.standard_normal((2, 6, 16)), jnp.float32)
    positions = jnp.stack([jnp.arange(6) + offset, jnp.arange(6) + 7 * offset])
    attend, rotary = attention(NnxRotary(SPEC), False, nnx.Rngs(0))
    rotary.set_positions(positions)
    mask = nnx.make_causal_mask(jnp.ones((2, 6)))
    whole = attend(tokens, mask=mask)

    table = rope_jax.cos_sin(SPEC, positions)
    query, key = (rope_jax.rotate(part(tokens), *table, SPEC) for part in (attend.query, attend.key))
    by_hand = attend.out(nnx.dot_product_attention(query, key, attend.value(tokens), mask=mask))
    assert same(whole, by_hand)

    decode, rotary = attention(NnxRotary(SPEC), True, nnx.Rngs(0))
    rotary.set_positions(positions)
    decode.init_cache(tokens.shape)
    step = nnx.jit(lambda attend, token: attend(token))
    steps = jnp.concatenate([step(decode, tokens[:, i : i + 1]) for i in range(6)], axis=1)
    few_roundings = 64 * np.finfo(np.float32).eps  # softmax and sums over 6 keys and 128 channels, in another order
    assert np.abs(steps - whole).max() <= few_roundings * np.abs(whole).max()


def test_attention_with_a_mask_it_cannot_read():
    rotary = RotaryAttention(NnxRotary(SPEC))
    q, k = jnp.zeros((1, 2, 2, 64)), jnp.zeros((1, 4, 2, 64))
    with pytest.raises(ValueError, match=r"got a mask of shape None for fewer queries than keys.*Else rotate before attention"):
        rotary(q, k, k)
