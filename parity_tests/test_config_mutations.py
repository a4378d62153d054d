"""Broken configurations: a right spec, or an error that helps. Long: `MUTATIONS=20000 SEED=7`."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from parity_tests.broken_configs import outcome
from rope_spec import specs_from_config

COUNT, SEED = os.environ.get("MUTATIONS", "300"), os.environ.get("SEED", "0")


def test_broken_configurations():
    """In a process of its own, with a limit of memory; a warning is an error."""
    command = [sys.executable, "-W", "error", "-m", "parity_tests.broken_configs", COUNT, SEED]
    root = Path(__file__).parent.parent
    out = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert out.returncode == 0, out.stderr[-2000:]
    found = json.loads(out.stdout)
    kinds = Counter((f["reader"], f["wrong"], f["text"][:60]) for f in found)
    assert not found, f"{len(found)} failures of {COUNT}: {kinds.most_common(20)}"


FILES = {
    "empty": b"",
    "no JSON": b"# a model card",
    "a list": b"[]",
    "null": b"null",
    "cut off": b'{"model_type": "llama", "hidden_size": 40',
    "not UTF-8": b'{"model_type": "llam\xe9"}',
    "UTF-16": '{"model_type": "llama"}'.encode("utf-16"),
    "a huge integer": b'{"model_type": "llama", "head_dim": 1' + b"0" * 5000 + b"}",
    "nested 10,000 deep": b'{"model_type": ' * 10_000 + b'"llama"' + b"}" * 10_000,
    "brackets": b"[" * 100_000,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_configuration(name, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(FILES[name])
    assert outcome(specs_from_config, path)[:2] == (None, None)
