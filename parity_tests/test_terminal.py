"""What the commands print: 80 columns, the verdict first and last, lines as they come."""

import io
import json
import re
import sys
from dataclasses import replace

import pytest
import typer
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from rope_parity import accounts, report
from rope_parity.cases import CONFIGS, cases_of
from rope_parity.command import app
from rope_parity.run import NotMeasured, Outcome, measured, merged
from rope_parity.showing import show
from rope_spec import Strategy

SMOL = str(CONFIGS / "smollm2-135m.json")
COMMANDS = list(typer.main.get_command(app).commands)
MODULE = """
import numpy as np

def interleaved(x, positions):
    angles = positions[..., None, None] * 1e5 ** (-np.arange(0, 64, 2) / 64)
    a, b, cos, sin = x[..., ::2], x[..., 1::2], np.cos(angles), np.sin(angles)
    return np.stack([a * cos - b * sin, b * cos + a * sin], -1).reshape(x.shape).astype(x.dtype)

def heads_first(x, positions):
    return np.swapaxes(interleaved(np.swapaxes(x, 1, 2), positions), 1, 2)
"""
CALLS = {
    "check": (f"check {SMOL} --ours shown_module:interleaved", 1),
    "identify": ("identify shown_module:interleaved --head-dim 64", 0),
    "check, another order": (f"check {SMOL} --ours shown_module:heads_first", 3),
    "probe": (f"probe {SMOL} --out probe.npz", 0),
    "vectors": ("vectors vectors", 0),
    "types": ("types", 0),
    "report": (f"report {SMOL}", 0),
    "report, verbose": (f"report {SMOL} --verbose", 0),
}


def fits(output):
    """No line is wider than 80 columns, and no word is cut."""
    return max(len(line.rstrip()) for line in output.splitlines()) <= 80 and "…" not in output


@pytest.mark.parametrize("name", CALLS)
def test_a_command_fits_80_columns(name, tmp_path, monkeypatch):
    (tmp_path / "shown_module.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    call, code = CALLS[name]
    result = CliRunner().invoke(app, call.split())
    sys.modules.pop("shown_module", None)
    assert result.exit_code == code and fits(result.output), result.output


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_80_columns(name):
    result = CliRunner().invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0 and fits(result.output), result.output


def test_the_ledger_fits_80_columns_and_says_what_it_means():
    """With the largest figures that have been seen."""
    account = accounts.Account(growths=59, compilations=66, cache_compilations=59)
    account = replace(account, final_bytes=512 * 2**20, peak_bytes=2**30, steady_call_ms=1606.09)
    of_each = dict.fromkeys(Strategy.__args__, replace(account, first_call_ms=14261.2))
    console = Console(file=io.StringIO(), width=80)
    for table in accounts.summary({"long trace": of_each}):
        console.print(table)
    console.print(said := accounts.meaning({"short": of_each, "long trace": of_each}))
    assert all(f"\n{label} " in console.file.getvalue() for label in accounts.ROWS)
    assert fits(console.file.getvalue()) and "lazy grew 59 times and cost 59 compilations" in said


@pytest.fixture(scope="module")
def parts():
    """The outcome of two configurations."""
    cases = [cases_of(name, SMOL)[0] for name in ("one", "another, which is longer")]
    return list(measured(cases, Console(quiet=True), ["cpu"]))


def printed(parts, terminal, **options):
    """What `show` prints, without colours."""
    console = Console(
        file=io.StringIO(), width=80, force_terminal=terminal, highlight=False, _environ={}
    )
    show(console, parts, [], 24, **options)
    return Text.from_ansi(console.file.getvalue()).plain


@pytest.mark.parametrize("verbose", [False, True])
def test_a_terminal_has_the_verdict_first_and_last(parts, verbose):
    text = printed(parts, True, verbose=verbose)
    said = " ".join(Text.from_markup(report.verdict(merged(parts))).plain.split())
    flat = " ".join(text.split())
    assert flat.startswith(said) and flat.endswith(said) and fits(text)
    assert all(re.search(rf"^{part.records[0].case} .* ok$", text, re.MULTILINE) for part in parts)


def test_a_line_shows_the_largest_error(parts):
    """Its figures are those of the records."""
    worst = max(parts[0].records, key=lambda record: record.bound_used * record.bound)
    (line,) = re.findall("^one .*", printed(parts, False), re.MULTILINE)
    name, error, bound, ok = re.fullmatch(r"one +(.*?) +(\S+) <= (\S+) +(\S+)", line).groups()
    assert worst.quantity in name and ok == "ok"
    assert float(error) == pytest.approx(worst.bound_used * worst.bound, rel=5e-3)
    assert float(bound) == pytest.approx(worst.bound, rel=5e-3)


def test_a_file_gets_lines_as_they_come(parts):
    console = Console(file=io.StringIO(), width=80, force_terminal=False)

    def one_by_one():
        for number, part in enumerate(parts):
            assert console.file.getvalue().count(" ok") == number
            yield part

    show(console, one_by_one(), [], 24)
    last = console.file.getvalue().split("\n\n")[-1]
    assert last.startswith("All 86 comparisons over 2 configurations keep their bound")


@pytest.mark.parametrize("verbose", [False, True])
def test_what_broke_keeps_figures_index_and_cause(parts, verbose):
    """The first record of a quantity, told to be off by 2 at an index of its own."""
    first, *others = parts[0].records
    off = replace(first, ok=False, max_eps=1.67e7, bound_used=float("inf"), worst=(1, 0, 3, 7))
    part = Outcome([replace(off, max_abs=2.0), *others], [NotMeasured("one", "no [x]")])
    flat = " ".join((text := printed([part], False, verbose=verbose)).split())
    assert f"one BROKEN: 1 of {len(part.records)} comparisons" in flat and fits(text)
    assert "cos_sin, jax : torch, float32, eager: 2e+07 eps |pair| at (1, 0, 3, 7), bound 0" in flat
    assert "max abs 2.0e+00" in flat and "both sides do the same operations" in flat
    assert "could not be measured: one: no [x]" in flat


def test_the_bar_moves_within_a_configuration():
    console = Console(file=io.StringIO(), width=80, force_terminal=True, _environ={})
    list(measured(cases_of("one", SMOL), console, ["cpu"]))
    shares = set(re.findall(r"(\d+)%", console.file.getvalue()))
    assert len(shares) > 20


def test_json_names_every_comparison(tmp_path):
    """Whatever is printed."""
    path = tmp_path / "report.json"
    CliRunner().invoke(app, ["report", SMOL, "--json", str(path)])
    assert len(json.loads(path.read_text())["records"]) == 43


FIGURES = (0.0, 7.5e-9, 1e-3, 0.0123, 0.1, 0.2684, 1.27, 99.96, 999.6, 7329.4, 99999.9, 1.67e7)


@pytest.mark.parametrize("value", [*FIGURES, float("inf")])
def test_a_figure_has_five_columns(value):
    text = report.figure(value)
    assert len(text) <= 5 and float(text) == pytest.approx(value, rel=0.5)
