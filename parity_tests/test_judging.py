"""`rope-parity check` and `identify`: exit codes, JSON, state, and what has to be installed."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from parity_tests.test_check_rope import exact_rotation
from rope_parity import NotMeasured, check_rope, identify
from rope_parity.__main__ import EXTRA
from rope_parity.cases import CONFIGS
from rope_parity.command import app
from rope_parity.constructed import SPECS
from rope_spec import RopeSpec

CONFIG = CONFIGS / "smollm2-135m.json"  # theta 100000, 64 channels
SPEC = RopeSpec(head_dim=64, theta=100000.0)
MODULE = """
import numpy as np

def rope(x, positions, theta=100000.0):
    angles = positions[..., None, None].astype(np.float32) * theta ** (-np.arange(0, 64, 2) / 64)
    a, b, cos, sin = x[..., :32], x[..., 32:], np.cos(angles), np.sin(angles)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1).astype(x.dtype)

def wrong(x, positions):
    return rope(x, positions, 10000.0)

def raises(x, positions):
    raise IndexError("index 5000 is out of bounds")

def another_shape(x, positions):
    return x[:, :1]

def own_positions(x, positions):
    return rope(x, np.arange(x.shape[1])[None])
"""
SCOPE: dict = {}
exec(MODULE, SCOPE)
rope = SCOPE["rope"]
CODES = {
    "rope": (0, "Right"),
    "wrong": (1, "theta is 10000, the config says 100000"),
    "raises": (3, "index 5000 is out of bounds"),
    "another_shape": (3, "It has to return the rotated x"),
    "own_positions": (3, "positions='prefix'"),
    "absent": (2, "absent"),
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "their_ropes.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", CODES)
def test_an_exit_code(name, module):
    done = CliRunner().invoke(app, ["check", str(CONFIG), "--ours", f"their_ropes:{name}"])
    code, said = CODES[name]
    assert done.exit_code == code and said in done.output, done.output


def test_a_declared_prefix_is_measured_there(module):
    arguments = ["check", str(CONFIG), "--ours", "their_ropes:own_positions"]
    done = CliRunner().invoke(app, [*arguments, "--positions", "prefix"])
    assert done.exit_code == 0, done.output


def test_json_holds_every_figure(module):
    arguments = ["check", str(CONFIG), "--ours", "their_ropes:wrong", "--json"]
    values = json.loads(CliRunner().invoke(app, arguments).output)
    (finding,) = values["findings"]
    assert (values["exit_code"], values["right"]) == (1, False)
    departure = finding["departure"]
    assert (departure["name"], departure["found"], departure["expected"]) == ("theta", 1e4, 1e5)
    assert len(values["found"]["evidence"]["inv_freq"]) == 32


def test_identify_says_what_a_function_is(module):
    done = CliRunner().invoke(app, ["identify", "their_ropes:rope", "--head-dim", "64"])
    assert done.exit_code == 0
    assert "pairs read as half; theta 100000; no scaling" in " ".join(done.output.split())


WITHOUT = """
from rope_parity.testing import check_rope
from rope_spec import RopeSpec
spec = RopeSpec(head_dim=64, theta=100000.0)
assert check_rope(rope, spec).right
try:
    check_rope(wrong, spec)
except AssertionError as error:
    print(error)
"""
OTHERS = {"jax", "torch", "flax", "transformers", "safetensors", "scipy", "mlx", "keras"}


def test_check_rope_needs_numpy_alone(run_without):
    done = run_without(OTHERS | EXTRA - {"numpy"}, MODULE + WITHOUT)
    assert done.returncode == 0 and "theta is 10000" in done.stdout, done.stderr


def test_that_guard_bites(run_without):
    done = run_without({"numpy"}, MODULE + WITHOUT)
    assert "No module named 'numpy'" in done.stderr


class Caching:
    """A rotary module whose table is made at the first call and never again."""

    def __init__(self, key=lambda x, positions: 0):
        self.known, self.key = {}, key

    def __call__(self, x, positions):
        rows = self.known.setdefault(self.key(x, positions), int(positions.max()) + 1)
        return rope(x, np.minimum(positions, rows - 1))


def test_state_is_shown_by_two_calls():
    (finding,) = check_rope(Caching, SPEC, factory=True).findings
    assert (finding.name, finding.departure.how) == ("state", "length")
    first, second = finding.departure.figures
    assert first.startswith("f(x, positions up to 1023): ") and "after shorter calls" in second
    assert first in " ".join(finding.text.split())


def test_a_cache_with_a_right_key_is_no_state():
    key = lambda x, positions: int(positions.max())
    assert check_rope(lambda: Caching(key), SPEC, factory=True).right


def test_a_dtype_before_is_state():
    """A table in the dtype of the first x."""

    def make():
        known = []

        def fn(x, positions):
            known.append(x.dtype)
            if known[0] == np.float32:
                return rope(x, positions)
            return rope(x.astype(np.float16), positions).astype(x.dtype)

        return fn

    names = [(f.name, f.departure.how) for f in check_rope(make, SPEC, factory=True).findings]
    assert names == [("state", "dtype")]


def test_two_instances_of_one_cache_are_state():
    """A theta that is no part of the key."""
    cache: dict = {}

    def make(theta=100000.0):
        return lambda x, positions: rope(x, positions, cache.setdefault("theta", theta))

    (finding,) = check_rope(make, SPEC, factory=True).findings
    assert (finding.name, finding.departure.how) == ("state", "instance")


def test_what_was_not_tested_is_said():
    assert "Not tested: a fresh instance" in check_rope(rope, SPEC).text


def test_why_a_dtype_was_not_tested_is_said():
    def strict(x, positions):
        if x.dtype != np.float32:
            raise TypeError(f"no kernel for {x.dtype}.\nSee the log.")
        return rope(x, positions)

    text = " ".join(check_rope(strict, SPEC).text.split())
    raised = "Not tested: x in float16: The function raised TypeError at positions up to 4095: "
    assert raised + "no kernel for float16." in text and "See the log" not in text


BAD = {
    "layout": ({"layout": "BSNX"}, "layout: got 'BSNX', expected letters of B, S, N, H"),
    "dtype": ({"dtype": "int8"}, "dtype: got 'int8', expected one of"),
    "positions": ({"positions": "some"}, "positions: got 'some', expected 'any'"),
    "framework": ({"framework": "pytorch"}, "framework: got 'pytorch', expected one of numpy"),
    "real grid": ({"positions": [0.5, 1.0]}, "positions: got numbers that are not whole"),
    "context": ({"context": 3}, "context: got 3, expected a whole number, 8 or more"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_argument(name):
    options, said = BAD[name]
    with pytest.raises(ValueError, match=said):
        identify(rope, 64, **options)


def test_another_order_of_the_axes_is_not_measured():
    """The message says in which order x was handed over, and how to name another one."""
    with pytest.raises(NotMeasured, match="(?s)in the order BSNH, .*layout='BNSH'"):
        check_rope(lambda x, positions: np.swapaxes(rope(x.swapaxes(1, 2), positions), 1, 2), SPEC)


def test_another_shape_is_not_measured():
    with pytest.raises(NotMeasured, match="returned"):
        check_rope(lambda x, positions: x[..., :3], SPEC)


def test_a_device():
    """NumPy's arrays are on none; JAX's and torch's may be asked for by name."""
    import jax.numpy as jnp
    import torch

    def in_torch(x, positions):
        return torch.from_numpy(rope(x.numpy(), positions.numpy()))

    def in_jax(x, positions):
        return jnp.asarray(rope(np.asarray(x), np.asarray(positions)))

    assert check_rope(in_jax, SPEC, framework="jax", device="cpu").right
    with pytest.raises(NotMeasured, match="(?s)no values to read: .*meta"):
        check_rope(lambda x, positions: x.to("meta"), SPEC, framework="torch")
    for device, framework in (("cuda:99", "torch"), ("tpu", "jax")):
        said = f"No float32 array of {framework} could be made on device='{device}'"
        with pytest.raises(NotMeasured, match=said):
            check_rope(in_torch, SPEC, framework=framework, device=device)
    with pytest.raises(NotMeasured, match="arrays of numpy are on no device. Leave device= out"):
        check_rope(rope, SPEC, framework="numpy", device="cuda")


def test_a_fixed_grid_is_measured_there():
    """A vision rope that makes its own rows and columns; and once with them exchanged."""
    spec = SPECS["half per axis"]
    grid = np.stack(np.meshgrid(np.arange(24), np.arange(24), indexing="ij"), -1).reshape(-1, 2)

    def made_inside(own):
        return lambda x, _: exact_rotation(spec, x, np.broadcast_to(own, (len(x), *own.shape)))

    assert check_rope(made_inside(grid), spec, positions=grid).right
    assert check_rope(made_inside(grid[:, ::-1]), spec, positions=grid).names == ("axes",)
