"""Modules hold and call: module = function; their state stays out of training, checkpoints and
casts.
"""

import copy
import io
import pickle

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import rope_jax
import rope_torch
from parity_tests.same import same_bytes
from rope_jax.linen import RotaryEmbedding as LinenRotary
from rope_jax.nnx import RotaryEmbedding as NnxRotary
from rope_parity.backends import tensor
from rope_parity.cases import CONFIGS
from rope_parity.constructed import SPECS
from rope_spec import Arithmetic, spec_from_config

SPEC = SPECS["yarn, not truncated"]
POSITIONS = np.arange(16).reshape(2, 8)
STRATEGIES = ["table_free", "fixed", "lazy", "doubling"]


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 8, 3, 64)).astype(np.float32)


@pytest.fixture
def rotated(x):
    return rope_jax.rotate(SPEC, jnp.asarray(x), *rope_jax.cos_sin(SPEC, POSITIONS))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_module_is_its_function(strategy, x, rotated):
    options = {"strategy": strategy, "length": 16}
    assert same_bytes(NnxRotary(SPEC, **options)(jnp.asarray(x), jnp.asarray(POSITIONS)), rotated)
    y, variables = LinenRotary(SPEC, **options).init_with_output(
        {}, jnp.asarray(x), jnp.asarray(POSITIONS)
    )
    assert same_bytes(y, rotated) and set(variables) <= {"rope"}
    assert same_bytes(
        LinenRotary(SPEC, **options).apply(variables, jnp.asarray(x), jnp.asarray(POSITIONS)),
        rotated,
    )
    of_torch = rope_torch.RotaryEmbedding(SPEC, heads_axis=-2, **options)
    assert same_bytes(of_torch(tensor(x), tensor(POSITIONS)), rotated)


@pytest.mark.parametrize(
    "make", [NnxRotary.from_config, LinenRotary.from_config, rope_torch.RotaryEmbedding.from_config]
)
def test_from_config(make):
    path = CONFIGS / "gemma-3-4b.json"
    assert make(path, "sliding_attention").spec == spec_from_config(path, "sliding_attention")
    odd = {
        "model_type": "mine",
        "head_dim": 64,
        "hidden_size": 64,
        "num_attention_heads": 1,
        "rope_odd": 1,
    }
    assert make(odd, model_type="llama", ignore=("rope_odd",)).spec.head_dim == 64
    with pytest.raises(
        ValueError, match="got label=None, expected one of 'full_attention', 'sliding_attention'"
    ):
        make(path)


@pytest.mark.unchecked
@pytest.mark.parametrize("module", [NnxRotary, LinenRotary, rope_torch.RotaryEmbedding])
def test_options_that_do_not_go_together_are_refused(module, x):
    def use(**options):
        rope = module(SPEC, **options)
        return (
            rope.init({}, jnp.asarray(x), jnp.asarray(POSITIONS)) if module is LinenRotary else rope
        )

    with pytest.raises(
        ValueError, match="out_of_range: got 'wrap', expected one of 'error', 'nan', 'clamp'"
    ):
        use(out_of_range="wrap")
    with pytest.raises(
        ValueError,
        match="got angles='float32' with strategy 'fixed', expected 'exact': .* Use strategy 't",
    ):
        use(strategy="fixed", length=8, arithmetic=Arithmetic(angles="float32"))


@pytest.mark.parametrize("module", [NnxRotary, LinenRotary, rope_torch.RotaryEmbedding])
def test_angles_of_float32_need_no_table(module, x):
    """They are those of the function."""
    arithmetic = Arithmetic(angles="float32")
    rope = module(SPEC, heads_axis=-2, arithmetic=arithmetic)
    branch = rope_torch if module is rope_torch.RotaryEmbedding else rope_jax
    call, put = (rope, tensor) if branch is rope_torch else (rope, jnp.asarray)
    call = (lambda *at: rope.apply({}, *at)) if module is LinenRotary else call
    table = branch.cos_sin(SPEC, put(POSITIONS), arithmetic=arithmetic)
    expected = branch.rotate(SPEC, put(x), *table, heads_axis=-2)
    assert same_bytes(call(put(x), put(POSITIONS)), expected)


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


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_table_moves_with_its_module(strategy):
    """It is on the device that `.to()` names, whatever it is cast to."""
    module = rope_torch.RotaryEmbedding(SPEC, strategy=strategy, length=16)
    for device in ("meta", "cpu"):
        module.to_empty(device=device).half()
        assert all(table.device.type == device for table in module.cache.tables)
        assert all(table.dtype == torch.float32 for table in module.cache.tables)


def _born_on_meta(module):
    with torch.device("meta"):
        twin = rope_torch.RotaryEmbedding(
            SPEC, strategy=module.cache.strategy, length=16, heads_axis=-2
        )
    return twin.to_empty(device="cpu")


@pytest.mark.compiled
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_the_torch_module_survives(move, strategy, x, rotated):
    module = move(rope_torch.RotaryEmbedding(SPEC, strategy=strategy, length=16, heads_axis=-2))
    assert same_bytes(module(tensor(x), tensor(POSITIONS)), rotated)
    assert not module.state_dict() and not list(module.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(dtype, x, rotated):
    module = rope_torch.RotaryEmbedding(SPEC, heads_axis=-2)
    with torch.autocast("cpu", dtype=dtype):
        assert same_bytes(module(tensor(x), tensor(POSITIONS)), rotated)


def test_an_old_checkpoint_loads_strictly():
    model = torch.nn.ModuleDict(
        {"rope": rope_torch.RotaryEmbedding(SPEC), "linear": torch.nn.Linear(2, 2)}
    )
    names = "rope.inv_freq", "rope.original_inv_freq"  # the second is of dynamic NTK and LongRoPE
    old = model.state_dict() | dict.fromkeys(names, torch.ones(32))
    file = io.BytesIO()
    torch.save(old, file)
    file.seek(0)
    model.load_state_dict(torch.load(file), strict=True)
    assert "rope.inv_freq" in old and not any("rope" in key for key in model.state_dict())
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict(old | {"rope.table": torch.ones(1)})
