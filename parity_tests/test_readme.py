"""What the README shows runs, and the figures that it names are those of the code."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import benchmarks.__main__
import examples.smollm2.__main__
import rope_parity.command

MODULES = {"benchmarks": benchmarks.__main__.app, "examples.smollm2": examples.smollm2.__main__.app}
README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    re.split(r"\s+#", line)[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("block", BLOCKS, ids=[block.split("\n")[1] for block in BLOCKS])
def test_a_block_of_python_runs(block, monkeypatch):
    monkeypatch.chdir(Path(__file__).parent.parent)
    exec(compile(block, "README.md", "exec"), {})


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
        subprocess.run(
            ["make", "--dry-run", *arguments],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parent.parent,
        )
    elif program == "pip":
        extra = re.fullmatch(r"\.\[(\w+)\]", arguments[1])
        project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())[
            "project"
        ]
        assert extra and arguments[0] == "install" and extra[1] in project["optional-dependencies"]
    elif program == "rope-parity":
        group = typer.main.get_command(rope_parity.command.app)
        name, *options = arguments or ["report"]
        group.commands[name].make_context(name, options)
    else:
        assert (program, arguments[0]) == ("python", "-m")
        typer.main.get_command(MODULES[arguments[1]]).make_context(arguments[1], arguments[2:])
