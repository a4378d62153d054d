"""The main job: run the referee over many cases, and show what it found."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.progress import track
from rich.table import Table

from . import INSTALL
from .backends import devices
from .bounds import DERIVATIONS
from .cases import Case
from .referee import Record, Referee

PACKAGES = ("rope-parity", "jax", "flax", "torch", "transformers", "numpy", "mpmath")


def run(cases: Sequence[Case], console: Console, on: Sequence[str] | None = None) -> list[Record]:
    """Every comparison of every case on the devices named, else on every one found, with a progress bar."""
    has_transformers = environment()["packages"]["transformers"] is not None
    jobs = [(case, device) for device in on or devices() for case in cases]
    records: list[Record] = []
    for case, device in track(jobs, description="measuring", console=console, transient=True):
        records.extend(Referee(case, device, has_transformers).records())
    return records


def environment() -> dict:
    """What the figures depend on, and what was not there to be measured."""
    packages = {name: _version(name) for name in PACKAGES}
    missing = [f"package {name}: {INSTALL}" for name, found in packages.items() if found is None]
    missing += [] if "gpu" in devices() else ["a GPU that both jax and torch see"]
    machine = {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform()}
    return {"python": platform.python_version(), "packages": packages, "devices": devices(), "missing": missing, **machine}


def summary(records: Sequence[Record]) -> Group:
    """A table for each case, a row for each quantity and pair of opponents: the element closest to its bound, or beyond."""
    by_case = groupby(sorted(records, key=_order), key=lambda record: record.case)
    return Group(
        "The element that is closest to its bound, over eager and jit, float32, bfloat16 and float16\n",
        *(_table(*group) for group in by_case),
    )


def _table(case: str, records: Iterable[Record]) -> Table:
    table = Table(title=f"[bold]{case}", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    for name, width in (("quantity", 22), ("left : right", 25)):
        table.add_column(name, no_wrap=True, width=width)
    for name, width in (("|d|/(eps |pair|)", 16), ("max abs", 7), ("equal bytes", 11), ("its bound", 9), ("used", 4)):
        table.add_column(name, justify="right", no_wrap=True, width=width)
    table.add_column("verdict", no_wrap=True)
    for _, group in groupby(records, _order):
        table.add_row(*_row(list(group)))
    return table


def legend(records: Iterable[Record]) -> str:
    """The derivation of each bound that the summary names."""
    names = {record.why for record in records}
    return "\n".join(f"[bold]{_letter(name)}[/bold]  {name}: {why}" for name, why in DERIVATIONS.items() if name in names)


def _letter(why: str) -> str:
    return "abcde"[list(DERIVATIONS).index(why)]


def _order(record: Record) -> tuple:
    opponents = ("rope_torch", "oracle", "transformers")
    return record.case, record.device, opponents.index(record.right), record.quantity, record.left


def _row(group: list[Record]) -> list[str]:
    worst = max(group, key=lambda record: (not record.ok, record.of_bound, record.max_eps))
    equal = min(record.bit_equal for record in group)
    figures = f"{worst.at_worst:.3g}", f"{worst.max_abs:.1e}", f"{equal:.2%}" if equal < 1 else "all"
    verdict = "[green]ok" if all(record.ok for record in group) else f"[bold red]BROKEN[/] {worst.dtype} {worst.worst}"
    names = worst.quantity, f"{worst.left} : {worst.right}" + (" on gpu" if worst.device == "gpu" else "")
    return [*names, *figures, f"{worst.bound:.3g} {_letter(worst.why)}", f"{worst.of_bound:.0%}", verdict]


def verdict(records: Sequence[Record]) -> str:
    """One sentence on the whole."""
    broken = sum(not record.ok for record in records)
    cases = len({record.case for record in records})
    if broken:
        return f"[bold red]{broken} of {len(records)} comparisons over {cases} configurations break their bound."
    branches = [record for record in records if {record.left, record.right} == {"rope_jax", "rope_torch"}]
    return (
        f"[bold green]All {len(records)} comparisons over {cases} configurations keep their bound; rope_jax and rope_torch "
        f"are equal to the last byte in all {len(branches)} of theirs."
    )


def write_json(path: Path, records: Iterable[Record]) -> None:
    """`{"environment": ..., "bounds": ..., "records": [...]}`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"environment": environment(), "bounds": DERIVATIONS, "records": [asdict(record) for record in records]}
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
