"""The command: its version, its help, and what it says where its extra is not installed."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import benchmarks.__main__
import examples.smollm2.__main__
import rope_parity
from rope_parity import INSTALL
from rope_parity.__main__ import EXTRA
from rope_parity.command import app

ROOT = Path(__file__).parent.parent
HELP = [(app, [])] + [(app, [name]) for name in typer.main.get_command(app).commands]
HELP += [(benchmarks.__main__.app, []), (examples.smollm2.__main__.app, [])]
MISSED_BY = {  # what each call needs, beside what all of them do
    "report rope_parity/configs/smollm2-135m.json --html page.html": {"jinja2"},
    "report llama": {"transformers"},
    "growth --plot growth.png": {"matplotlib"},
    "growth llama": {"transformers"},
    "atlas --plot pictures": {"matplotlib"},
}
CALLS = """
import json, sys
from rope_parity.__main__ import main
for call in {calls!r}:
    sys.argv = ["rope-parity", *call.split()]
    try:
        main()
    except SystemExit as stop:
        print(json.dumps(stop.code))
"""


def test_the_version_is_written_once():
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert rope_parity.__version__ == written
    for program in (["-m", "rope_parity"], ["-c", "from rope_parity.__main__ import main; main()"]):
        command = [sys.executable, *program, "--version"]
        assert subprocess.check_output(command, text=True, cwd=ROOT) == f"rope-parity {written}\n"


def test_a_checkout_that_is_not_installed_has_no_version(run_without):
    uninstalled = "import sys\nsys.path = [p for p in sys.path if 'site-packages' not in p]\n"
    done = run_without((), uninstalled + "import rope_parity\nprint(rope_parity.__version__)")
    assert done.stdout == "0+unknown\n", done.stderr


@pytest.mark.parametrize("program, arguments", HELP)
def test_h_is_help(program, arguments):
    short, long = (CliRunner().invoke(program, [*arguments, option]) for option in ("-h", "--help"))
    assert short.exit_code == long.exit_code == 0 and short.output == long.output


@pytest.mark.parametrize("module", sorted(EXTRA))
def test_a_module_of_the_extra_that_is_missing(module, run_without):
    """Every call that needs it names it and the extra, before anything is measured."""
    for_some = {"jinja2", "matplotlib", "transformers"}
    calls = [call for call, needs in MISSED_BY.items() if module in needs or module not in for_some]
    done = run_without({module}, CALLS.format(calls=calls))
    assert done.returncode == 0 and calls, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(messages) == len(calls)
    for message in messages:
        assert message.startswith("rope-parity: ") and module in message and INSTALL in message


def test_the_bare_package_names_the_extra(run_without):
    done = run_without(EXTRA, "from rope_parity.__main__ import main; main()")
    assert (done.returncode, done.stdout) == (1, "")
    assert "typer" in done.stderr and INSTALL in done.stderr


def test_another_error_is_not_hidden(run_without):
    """Such as a module of ours that is not there."""
    done = run_without({"rope_spec"}, CALLS.format(calls=["report llama"]))
    assert "ModuleNotFoundError: No module named 'rope_spec'" in done.stderr
    assert INSTALL not in done.stderr
