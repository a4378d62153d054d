"""What the README shows runs, and the figures that it names are those of the code."""

import math
import re
import runpy
import shlex
import subprocess
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import typer
from jax.experimental import checkify
from transformers import LlamaConfig, LlamaModel
from typer.testing import CliRunner

import benchmarks.__main__
import examples.smollm2.__main__
import rope_jax
import rope_jax.nnx
import rope_parity.command
import rope_spec
import rope_torch
from rope_parity.cases import CONFIGS

MODULES = {"benchmarks": benchmarks.__main__.app, "examples.smollm2": examples.smollm2.__main__.app}
ROOT = Path(__file__).parent.parent
SPEC = rope_spec.RopeSpec(head_dim=64)
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", README, re.DOTALL)
COMMANDS = [
    re.split(r"\s+#", line)[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("block, printed", BLOCKS, ids=[b.split("\n")[1] for b, _ in BLOCKS])
def test_a_block_of_python_runs(block, printed, monkeypatch, tmp_path, capsys):
    """Where nothing of the checkout is, and it prints what stands below it."""
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out == printed


def code(text):
    """A piece of code that the README shows, as it stands there."""
    assert f"`{text}`" in README, text
    return text


def test_padding():
    names = {
        "positions_from_mask": rope_spec.positions_from_mask,
        "mask": np.array([[0, 0, 1, 1, 1]]),
    }
    assert eval(code("positions_from_mask(mask)"), names).tolist() == [[0, 0, 0, 1, 2]]


def test_the_factor_of_the_softmax():
    """That of DeepSeek's own code: 0.1 mscale ln(factor) + 1, squared."""
    spec = rope_spec.spec_from_config(CONFIGS / "deepseek-v3.json")
    names = {"inverse_frequencies": rope_spec.inverse_frequencies, "spec": spec}
    factor = eval(code("inverse_frequencies(spec).softmax_scale_factor"), names)
    assert factor == pytest.approx((0.1 * math.log(40) + 1) ** 2)
    assert f"{factor:.3f} for DeepSeek-V3" in README


@pytest.mark.parametrize("module", [rope_jax.nnx, rope_torch])
def test_a_table_that_grows(module):
    names = {"RotaryEmbedding": module.RotaryEmbedding, "spec": SPEC}
    exec(code('rope = RotaryEmbedding(spec, strategy="doubling", length=1024)'), names)
    exec(code("rope.grow(4096)"), names)
    rope, put = names["rope"], jnp.asarray if module is rope_jax.nnx else torch.tensor
    positions = put(np.array([[4095]]))
    free = module.RotaryEmbedding(SPEC)
    for grown, exact in zip(rope.cos_sin(positions), free.cos_sin(positions), strict=True):
        assert np.array_equal(np.asarray(grown), np.asarray(exact))


def test_an_error_from_inside_jit():
    cache, outside = rope_jax.init_cache(SPEC, "fixed", 8), jnp.array([[8]])
    checked = code("error, y = jax.jit(checkify.checkify(step))(...)").replace("...", "positions")
    step = lambda positions: rope_jax.lookup(cache, positions)
    names = {"jax": jax, "checkify": checkify, "step": step, "positions": outside}
    exec(checked, names)
    with pytest.raises(checkify.JaxRuntimeError, match="outside the 8 rows"):
        exec(code("error.throw()"), names)
    assert "the rows are NaN" in README and np.isnan(np.asarray(step(outside))).all()


@pytest.mark.compiled
def test_an_export_for_any_length():
    rope, positions = rope_torch.RotaryEmbedding(SPEC), torch.arange(16)[None]
    call = "torch.export.export(rope, (q, positions), dynamic_shapes=({2: s}, {1: s}))"
    names = {"torch": torch, "rope": rope, "q": torch.ones(1, 2, 16, 64), "positions": positions}
    exec(code('s = torch.export.Dim("s")'), names)
    program = eval(code(call), names).module()
    q, positions = torch.randn(1, 2, 40, 64), torch.arange(40)[None]
    assert torch.equal(program(q, positions), rope(q, positions))


DAMAGED = {
    "cast": lambda module: module.bfloat16(),
    "overwritten": lambda module: module.inv_freq.uniform_(),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_model_whose_frequencies_were_lost(damage):
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 4}
    config = LlamaConfig(**sizes, num_hidden_layers=2, intermediate_size=64, vocab_size=64)
    torch.manual_seed(0)
    model, ids = LlamaModel(config).eval(), torch.arange(64)[None]
    exact, whole = LlamaModel(config).eval(), model.state_dict()
    exact.load_state_dict(whole)
    rope_torch.swap_rotary(exact)
    damage(model.rotary_emb)
    lost = model(ids).last_hidden_state
    eval(code("rope_torch.swap_rotary(model)"), {"rope_torch": rope_torch, "model": model})
    cured, expected = model(ids).last_hidden_state, exact(ids).last_hidden_state
    assert not torch.equal(lost, expected) and torch.equal(cured, expected)


def test_the_picture_is_drawn_from_the_package(tmp_path):
    """By the script that is beside it; what its text says is in the curves."""
    drawn = runpy.run_path(str(ROOT / "docs" / "readme_picture.py"))["draw"](tmp_path / "p.svg")
    shown = (ROOT / "docs" / "error_over_position.svg").read_text()
    assert (tmp_path / "p.svg").read_text().count("<path") == shown.count("<path")
    assert max(drawn["exact"]) < 3.2e-8 and f"{max(drawn['exact']):.0e}" == "3e-08"
    assert 3.5e-8 < drawn["float32 angles"][1] < 4.5e-8 and max(drawn["float32 angles"]) > 1.5
    beyond = [p >= 2000 for p in drawn["position"]]
    assert min(np.array(drawn["bfloat16 inv_freq"])[beyond]) > 1.5


def test_the_number_of_model_types_is_what_the_command_prints():
    output = CliRunner().invoke(rope_parity.command.app, ["types"]).output
    described, without, refused = re.findall(r"\d+", output)[:3]
    said = " ".join(README.split())
    assert (
        f"{described} model types are described, {without} have no rotary embedding, and "
        f"{refused} are refused" in said
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command):
    """Targets that make knows, arguments that the commands take; what they do is tested where they
    are.
    """
    program, *arguments = shlex.split(command)
    if program == "make":
        subprocess.run(["make", "--dry-run", *arguments], check=True, capture_output=True, cwd=ROOT)
    elif program == "pip":
        extra = re.fullmatch(r"rope-parity\[(\w+)\]", arguments[-1])
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert arguments[:-1] == ["install", "--find-links", "."]
        assert extra and extra[1] in project["optional-dependencies"]
    elif program == "rope-parity":
        group = typer.main.get_command(rope_parity.command.app)
        name, *options = arguments or ["report"]
        group.commands[name].make_context(name, options)
    else:
        assert (program, arguments[0]) == ("python", "-m")
        typer.main.get_command(MODULES[arguments[1]]).make_context(arguments[1], arguments[2:])


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links and [link for link in links if not (ROOT / link).exists()] == []
