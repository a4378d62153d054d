"""What the README shows runs, and the figures that it names are those of the code."""

import re
from pathlib import Path

import pytest

from rope_spec.families import families

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.split("\n")[1] for block in BLOCKS])
def test_a_block_of_python_runs(block, monkeypatch):
    monkeypatch.chdir(Path(__file__).parent.parent)
    exec(compile(block, "README.md", "exec"), {})


def test_the_number_of_model_types():
    assert f"for {len(families())} model\ntypes" in README
