"""The command: its table, its JSON, its exit code; a broken implementation is called broken."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rope_parity import INSTALL, environment, growth
from rope_parity.backends import Jax, devices
from rope_parity.cases import CONFIGS, cases_of
from rope_parity.command import app
from rope_parity.measure import DTYPES, compare
from rope_parity.referee import Referee
from rope_parity.reference import Reference

RUNNER = CliRunner()
SMOL = str(CONFIGS / "smollm2-135m.json")


def run(*arguments):
    return RUNNER.invoke(app, list(arguments))


def plain(result):
    """The output in one line, without the borders of a box."""
    return " ".join(result.output.replace("│", " ").split())


def test_one_configuration(tmp_path):
    result = run("report", SMOL, "--json", str(tmp_path / "report.json"))
    assert result.exit_code == 0, result.output
    assert "All 43 comparisons over 1 configuration keep" in plain(result)
    assert "rope_jax and rope_torch are equal to the last byte" in plain(result)
    data = json.loads((tmp_path / "report.json").read_text())
    keys = {
        "case",
        "left",
        "right",
        "mode",
        "dtype",
        "device",
        "max_abs",
        "max_eps",
        "bit_equal",
        "bound",
        "ok",
    }
    assert all(keys <= record.keys() for record in data["records"])
    opponents = {(record["left"], record["right"]) for record in data["records"]}
    branches = ("rope_jax", "rope_torch")
    assert opponents == {(a, b) for a in branches for b in ("oracle", "transformers")} | {branches}
    assert {record["dtype"] for record in data["records"]} == set(DTYPES)
    assert {record["mode"] for record in data["records"] if record["left"] == "rope_jax"} == {
        "eager",
        "jit",
    }
    assert data["environment"]["packages"]["jax"] and data["bounds"].keys() >= {
        record["why"] for record in data["records"]
    }
    for absent in data["environment"]["missing"]:
        assert f"lacks it: {absent}" in plain(result)


def test_a_model_type_of_transformers():
    result = run("report", "llama")
    assert result.exit_code == 0 and "llama" in result.output


BAD = {
    "no such model": (
        ["report", "no-such-model"],
        "expected the path of a config.json or a model_type",
    ),
    "no JSON": (["report", str(CONFIGS.parent / "report.py")], "report.py, which holds no JSON"),
    "M-RoPE": (
        ["growth", str(CONFIGS / "qwen2-vl-7b.json")],
        "expected one coordinate, and frequencies that no length",
    ),
    "dynamic": (
        ["growth", str(CONFIGS / "llama-dynamic-ntk-constructed.json")],
        "expected one coordinate",
    ),
}


@pytest.mark.parametrize("arguments, message", BAD.values(), ids=BAD)
def test_bad_arguments(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 and message in plain(result)


def shifted(method):
    """The method, asked for positions that are one too far."""
    return lambda self, spec, positions, *rest: method(self, spec, positions + 1, *rest)


def test_a_shifted_implementation_is_called_broken(monkeypatch):
    monkeypatch.setattr(Jax, "cos_sin", shifted(Jax.cos_sin))
    result = run("report", SMOL)
    assert (
        result.exit_code == 1 and "BROKEN" in result.output and "break their bound" in plain(result)
    )


@pytest.fixture
def only_transformers(monkeypatch):
    """What needs no other implementation is left out, to be quick."""
    monkeypatch.setattr(Referee, "records", lambda self: iter(()))


COMPLEX = ("deepseek_v2", "llama4_text")  # tables of complex numbers
RIGHT = (
    "apertus",
    "ministral3",
    "pixtral",
    *COMPLEX,
)  # called broken, or not compared, at some time


@pytest.mark.parametrize("model_type", RIGHT)
def test_a_default_of_transformers_keeps_its_bounds(model_type, only_transformers, tmp_path):
    result = run("report", model_type, "--json", str(tmp_path / "report.json"))
    assert result.exit_code == 0, result.output
    data = json.loads((tmp_path / "report.json").read_text())
    quantities = {
        "inv_freq",
        "cos_sin",
        "cos_sin given inv_freq",
        "rotate",
        "rotate given cos, sin",
    }
    assert (
        quantities <= {record["quantity"] for record in data["records"]}
        and data["not_measured"] == []
    )


def written(tmp_path, name="smollm2-135m", **changes):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(json.loads((CONFIGS / f"{name}.json").read_text()) | changes))
    return str(path)


def test_a_model_type_that_transformers_lacks_is_no_failure(tmp_path):
    """An alias of the reader: ours is measured, and the output says what is not."""
    json_path = tmp_path / "report.json"
    result = run(
        "report", written(tmp_path, "deepseek-v3", model_type="kimi_k2"), "--json", str(json_path)
    )
    assert (
        result.exit_code == 0
        and "has no model type for 'kimi_k2'; the other comparisons stand" in plain(result)
    )
    data = json.loads(json_path.read_text())
    assert {record["right"] for record in data["records"]} == {"rope_torch", "oracle"}
    assert [absent["failed"] for absent in data["not_measured"]] == [False]


def test_what_the_reader_refuses_is_not_measured(tmp_path, only_transformers):
    """Exit code 3, with the way out, which then is one."""
    path = written(tmp_path, model_type="unheard_of")
    result = run("report", path)
    assert result.exit_code == 3 and "own: config: got model_type='unheard_of'" in plain(result)
    assert run("report", path, "--model-type", "llama").exit_code == 0
    path = written(tmp_path, rope_of_mine=1)
    result = run("report", path)
    assert result.exit_code == 3 and "'rope_of_mine', which nothing here reads" in plain(result)
    assert run("report", path, "--ignore", "rope_of_mine").exit_code == 0


def raising(*_):
    raise RuntimeError("no such kernel")


def test_what_raises_is_not_measured_and_the_rest_is(monkeypatch):
    """Exit code 3; what is broken beside it is worse, and 1."""
    monkeypatch.setattr(Reference, "inv_freq", raising)
    result = run("report", SMOL)
    assert (
        result.exit_code == 3
        and "could not be measured: smollm2-135m: RuntimeError in test_report.py" in plain(result)
    )
    assert "no such kernel" in plain(
        result
    ) and "1 could not be measured. All 26 comparisons" in plain(result)
    monkeypatch.setattr(Jax, "cos_sin", shifted(Jax.cos_sin))
    assert run("report", SMOL).exit_code == 1


def test_no_transformers_is_said(monkeypatch):
    monkeypatch.setattr(
        environment, "_version", lambda name: None if name == "transformers" else "0"
    )
    result = run("report", SMOL)
    assert result.exit_code == 0 and f"package transformers: {INSTALL}" in plain(result)


@pytest.mark.unchecked
def test_the_ruler():
    left = np.array([1.0, 0.5, np.nan, np.inf, -0.0], np.float32)
    same = compare(left, left.copy(), 1.0, 0.0)
    assert same.ok and same.max_abs == 0 and same.bit_equal == 1
    zero = compare(left, np.abs(left), 1.0, 0.0)
    assert not zero.ok and zero.max_abs == 0 and zero.bit_equal == 19 / 20
    eps = np.float32(2.0**-23)
    off = compare(
        left, left + np.array([eps, 0, 0, 0, 0], np.float32), np.array([2.0, 1, 1, 1, 1]), 0.6 * eps
    )
    assert (
        off.ok
        and off.max_eps == 0.5
        and off.worst == (0,)
        and off.bound_used == pytest.approx(0.5 / 0.6)
    )
    assert not compare(left, left * np.float32(1.5), 1.0, eps).ok
    assert not compare(np.array([np.nan], np.float32), np.array([1], np.float32), 1.0, 1.0).ok
    with pytest.raises(ValueError, match=r"got shapes \(5,\) and \(4,\)"):
        compare(left, left[1:], 1.0, 0.0)


def test_bounds_are_no_looser_than_a_factor_of_two():
    """What is measured comes within half of what is allowed, so that a bound says something."""
    referee = Referee(cases_of("smollm2", SMOL)[0])
    of_oracle = [record for record in referee.records() if record.right == "oracle"]
    assert all(record.bound_used > 0.5 for record in of_oracle), of_oracle


@pytest.mark.compiled
def test_the_ledger_writes_figures_and_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr("rope_parity.growth.ledger.__defaults__", ((growth.prefills,), None))
    files = tmp_path / "growth.json", tmp_path / "growth.png"
    result = run("growth", SMOL, "--json", str(files[0]), "--plot", str(files[1]))
    assert (
        result.exit_code == 0
        and "mixed prefills" in result.output
        and files[1].stat().st_size > 10_000
    )
    accounts = json.loads(files[0].read_text())["traces"]["mixed prefills"]
    assert set(accounts) == {"lazy", "doubling", "fixed", "split_table", "table_free"}
    figures = {
        "cache_compilations",
        "compilations",
        "peak_bytes",
        "final_bytes",
        "first_call_ms",
        "steady_call_ms",
    }
    assert all(
        figures | {"max_position", "max_error"} <= account.keys() for account in accounts.values()
    )


def test_the_atlas_writes_figures_and_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr("rope_parity.atlas.MODELS", ("smollm2-135m", "deepseek-v3"))
    result = run("atlas", "--json", str(tmp_path / "atlas.json"), "--plot", str(tmp_path))
    assert result.exit_code == 0 and (tmp_path / "error_over_position.png").stat().st_size > 10_000
    data = json.loads((tmp_path / "atlas.json").read_text())
    assert all(max(curve["exact"]) <= 6.5e-8 for curve in data["error_over_position"].values())
    assert all(
        {"name", "size", "share", "program", "remedy"} <= entry.keys()
        for entry in data["differences"]
    )


def test_a_device_that_is_not_there():
    if "gpu" not in devices():
        result = run("report", SMOL, "--device", "gpu")
        assert (
            result.exit_code == 2
            and "expected one that both jax and torch see: cpu" in " ".join(result.output.split())
        )


def test_a_model_without_a_rotation_has_nothing_to_measure(tmp_path):
    path = tmp_path / "falcon.json"
    path.write_text(
        '{"model_type": "falcon", "alibi": true, "hidden_size": 64, "num_attention_heads": 4}'
    )
    result = run("report", str(path))
    assert result.exit_code == 0 and "falcon: it has no rotary embedding" in result.output
    assert "Nothing was measured" in result.output and "All" not in result.output
