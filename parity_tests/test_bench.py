"""The benchmark's command: its table, its JSON, its picture. What it measures is nobody's business
here.
"""

import json

from typer.testing import CliRunner

from benchmarks.__main__ import app

KEYS = {
    "shape",
    "order",
    "layout",
    "dtype",
    "arithmetic",
    "phase",
    "framework",
    "road",
    "allocator",
}


def test_bench(tmp_path):
    files = tmp_path / "results" / "bench.json", tmp_path / "bench.png"
    options = ["--repeats", "2", "--json", str(files[0]), "--plot", str(files[1])]
    job = "jax, prefill 2048, 32 + 8 heads of 128, BSNH, half, float32, float32, from positions"
    result = CliRunner().invoke(app, ["--only", job, *options])
    assert result.exit_code == 0, result.output
    assert "rope_jax, table_free" in result.output and "ratio, default allocator" in result.output
    data = json.loads(files[0].read_text())
    assert data["environment"]["packages"]["jax"] and files[1].stat().st_size > 10_000
    assert data["environment"]["scheduling"] in ("first in, first out", "as usual")
    assert all(
        record.keys() == KEYS | {"median_ms", "quartiles", "ratio"} for record in data["records"]
    )
    assert {record["allocator"] for record in data["records"]} == {"warm", "default"}
    assert {record["ratio"] for record in data["records"] if record["road"] == "x + 1"} == {1.0}


def test_a_job_that_is_not_there():
    result = CliRunner().invoke(app, ["--only", "abacus"])
    assert result.exit_code == 2 and "which no job has in its name" in result.output
