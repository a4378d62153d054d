"""A torch model made on the meta device and filled afterwards: its tables come from the spec."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

import rope_torch
from rope_spec import RopeSpec

ROOT = Path(__file__).parent.parent
SPEC = RopeSpec(head_dim=32)
POSITIONS = torch.arange(12).reshape(2, 6)
STRATEGIES = ["lazy", "doubling", "fixed", "split_table", "table_free"]


class TinyConfig(PretrainedConfig):
    model_type = "tiny_rope"

    def __init__(self, strategy="fixed", **options):
        self.strategy = strategy
        super().__init__(**options)


class Tiny(PreTrainedModel):
    """A layer with parameters and a rotary embedding, as a model of transformers."""

    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.project = nn.Linear(32, 32)
        length = 0 if config.strategy == "table_free" else 12
        self.rope = rope_torch.RotaryEmbedding(SPEC, strategy=config.strategy, length=length)
        self.post_init()

    def forward(self, x, positions):
        return self.rope(self.project(x), positions)


def on_meta(model):
    with torch.device("meta"):
        return Tiny(model.config)


def assigned(model, abstract=None):
    abstract = abstract or on_meta(model)
    abstract.load_state_dict(model.state_dict(), assign=True)
    return abstract


def emptied(model):
    filled = on_meta(model).to_empty(device="cpu")
    filled.load_state_dict(model.state_dict())
    return filled


def saved_and_loaded(model, tmp_path):
    model.save_pretrained(tmp_path)
    return Tiny.from_pretrained(tmp_path)


FILLED = {
    "from_pretrained": saved_and_loaded,
    "assign": lambda model, _: assigned(model),
    "to_empty": lambda model, _: emptied(model),
    "deepcopy on meta": lambda model, _: assigned(model, copy.deepcopy(on_meta(model))),
    "pickled on meta": lambda model, _: assigned(model, pickle.loads(pickle.dumps(on_meta(model)))),
}


@pytest.mark.parametrize("fill", FILLED.values(), ids=FILLED)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_model_that_is_filled_rotates_as_the_first(fill, strategy, tmp_path):
    """At the first call, after which the table is kept."""
    model, x = Tiny(TinyConfig(strategy)), torch.randn(2, 3, 6, 32)
    twin = fill(model, tmp_path)
    for _ in range(2):
        assert torch.equal(twin(x, POSITIONS), model(x, POSITIONS))
    assert all(not table.is_meta for table in twin.rope.cache.tables)


@pytest.mark.parametrize("strategy", ["lazy", "doubling"])
def test_a_table_that_grows_on_meta(strategy):
    model, positions = Tiny(TinyConfig(strategy)), POSITIONS + 20
    twin, x = assigned(model), torch.randn(2, 3, 6, 32)
    for module in (model, twin):
        module.rope.grow(32)
    assert torch.equal(twin(x, positions), model(x, positions))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_tensor_of_a_transformation_is_not_kept(strategy):
    """Under torch.func and torch.export, whose tensors do not outlive the call."""
    model, x = Tiny(TinyConfig(strategy)), torch.randn(2, 3, 6, 32)
    first, second = assigned(model), assigned(model)
    torch.func.grad(lambda x: first(x, POSITIONS).sum())(x)
    torch.export.export(second, (x, POSITIONS))
    for module in (first, second):
        assert torch.equal(copy.deepcopy(module)(x, POSITIONS), model(x, POSITIONS))


@pytest.mark.parametrize("strategy", STRATEGIES[:-1])
def test_a_cache_on_meta(strategy):
    """The function computes its rows where the positions are."""
    on_meta = rope_torch.init_cache(SPEC, strategy, 12, device="meta")
    expected = rope_torch.lookup(rope_torch.init_cache(SPEC, strategy, 12), POSITIONS)
    assert all(map(torch.equal, rope_torch.lookup(on_meta, POSITIONS), expected))
    assert rope_torch.lookup(on_meta, POSITIONS.to("meta"))[0].is_meta


def test_in_two_processes(tmp_path):
    """FSDP2 of a model on meta, DDP, and a pickled module that another process loads."""
    command = [sys.executable, "-m", "parity_tests.two_processes", str(tmp_path / "store")]
    ranks = [
        subprocess.Popen(command, env=os.environ | {"RANK": rank}, cwd=ROOT, stderr=subprocess.PIPE)
        for rank in ("0", "1")
    ]
    errors = [process.communicate(timeout=300)[1].decode() for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], "\n".join(errors)
