"""Other languages: a probe, a program in C, its dump; files that lie; test vectors."""

import functools
import json
import shutil
import struct
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import safetensors.numpy
from typer.testing import CliRunner

from rope_parity import NotMeasured, dump, oracle
from rope_parity.cases import CONFIGS
from rope_parity.command import app
from rope_parity.vectors import VECTORS, write_vectors
from rope_spec import spec_from_config

ROOT = Path(__file__).parent.parent
CONFIG = CONFIGS / "smollm2-135m.json"  # theta 100000
SPEC = spec_from_config(CONFIG)
needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("c") / "rope"
    source = ROOT / "examples" / "c" / "rope.c"
    command = ["cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-o", path, source, "-lm"]
    subprocess.run(command, check=True)
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@needs_cc
def test_a_program_in_c_is_judged(program, tmp_path):
    """Right with its theta, and once with a fault planted."""
    probe, out = tmp_path / "probe.safetensors", tmp_path / "dump.safetensors"
    assert run("probe", CONFIG, "--out", probe).exit_code == 0
    for theta, exit_code, said in ((100000, 0, "Right"), (10000, 1, "theta is 10000")):
        subprocess.run([program, probe, out, str(theta)], check=True)
        done = run("check", CONFIG, "--dump", out)
        assert (done.exit_code, said in done.output) == (exit_code, True), done.output


def outputs(path, change):
    """A dump in npz, of what the probe asks for, changed."""
    dump.probe(path / "probe.npz", SPEC, 512)
    asked = dict(np.load(path / "probe.npz"))
    given = {name.replace("x", "y"): x for name, x in asked.items() if name.startswith("x")}
    np.savez(path / "dump.npz", **change(given))
    return path / "dump.npz"


LIES = {
    "missing": (lambda y: {k: v for k, v in y.items() if k != "y.3"}, "y.3"),
    "shape": (lambda y: y | {"y.0": y["y.0"][:, :5]}, r"y.0: got float32 \(2, 5, 2, 64\)"),
    "objects": (lambda y: y | {"y.0": np.array([{}], object)}, "y.0"),
    "integers": (lambda y: y | {"y.0": y["y.0"].astype(int)}, "y.0: got int64"),
    "nothing but NaN": (lambda y: {k: v * np.nan for k, v in y.items()}, "gave numbers nowhere"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_dump_that_lies_is_an_error(lie, tmp_path):
    change, said = LIES[lie]
    with pytest.raises(NotMeasured, match=said):
        dump.judged(outputs(tmp_path, change), SPEC, 512)


HEADERS = {
    "a header longer than the file": struct.pack("<Q", 2**60) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"((((",
    "a list": struct.pack("<Q", 2) + b"[]",
    "an empty file": b"",
    "an offset outside": None,
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_hostile_header_is_an_error(header, tmp_path):
    content = HEADERS[header]
    if content is None:
        place = {"dtype": "F32", "shape": [2, 320, 2, 64], "data_offsets": [2**50, 2**50 + 4]}
        text = json.dumps({"y.0": place}).encode()
        content = struct.pack("<Q", len(text)) + text
    (tmp_path / "dump.safetensors").write_bytes(content)
    with pytest.raises(NotMeasured, match="got .*, expected"):
        dump.judged(tmp_path / "dump.safetensors", SPEC, 512)


def test_the_vectors_are_those_of_the_oracle(tmp_path):
    """Read by safetensors, rotated by mpmath."""
    assert write_vectors(tmp_path) == len(VECTORS)
    index = json.loads((tmp_path / "index.json").read_text())
    for entry, vector in zip(index["vectors"], VECTORS, strict=True):
        arrays = safetensors.numpy.load_file(tmp_path / entry["file"])
        assert set(arrays) == set(index["arrays"]) and entry["catches"]
        positions = arrays["positions"]
        each = positions if vector.spec.pairs.axes > 1 else positions[:, 0]
        cos, sin = oracle.cos_sin(vector.spec, each, vector.seq_len)
        y = oracle.rotate(vector.spec, arrays["x"], cos[:, None], sin[:, None])
        assert np.abs(arrays["y"] - y).max() < 1e-6
        assert (np.abs(arrays["y"] - y) <= arrays["tolerance"] * np.abs(arrays["x"]).max()).all()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The index that was written, and what validates it by the schema beside it."""
    folder = tmp_path_factory.mktemp("vectors")
    write_vectors(folder)
    index = json.loads((folder / "index.json").read_text())
    schema = json.loads((folder / index["$schema"]).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert f"version {index['version']}" in schema["title"]
    return index, jsonschema.Draft202012Validator(schema)


def test_the_index_is_what_its_schema_says(written):
    index, validator = written
    validator.validate(index)


MISTAKES = {
    "another version": (("version",), "2"),
    "a file in another folder": (("vectors", 0, "file"), "../half.safetensors"),
    "catches nothing": (("vectors", 3, "catches"), ""),
    "a layout that there is not": (("vectors", 1, "spec", "read"), "pairs"),
    "theta in words": (("vectors", 5, "spec", "theta"), "500000"),
    "a rule that there is not": (("vectors", 7, "spec", "rule", "name"), "Llama4"),
    "another sign": (("vectors", 6, "spec", "sign"), 0),
    "half a frequency index": (("vectors", 0, "spec", "pairs", "frequency_index", 1), 0.5),
    "a key that nobody knows": (("vectors", 0, "spec", "theta_"), 1e4),
    "an array without a dtype": (("arrays", "x"), "tokens, heads, channels"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_schema_refuses(mistake, written):
    index, validator = json.loads(json.dumps(written[0])), written[1]
    (*path, last), value = MISTAKES[mistake]
    inner = functools.reduce(lambda values, key: values[key], path, index)
    inner[last] = value
    (error,) = validator.iter_errors(index)
    assert error.absolute_path[0] == MISTAKES[mistake][0][0]
