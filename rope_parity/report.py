"""What a run found, as tables for a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from .bounds import DERIVATIONS
from .environment import environment
from .referee import Record
from .run import NotMeasured, Outcome


def summary(records: Sequence[Record]) -> Group:
    """A table for each case, with a row for each quantity and pair of implementations.

    A row shows the element that uses most of its bound.
    """
    by_case = groupby(sorted(records, key=_order), key=lambda record: record.case)
    return Group(
        "The element that is closest to its bound, over eager and jit, float32, bfloat16 and "
        "float16\n",
        *(_table(*group) for group in by_case),
    )


def _table(case: str, records: Iterable[Record]) -> Table:
    table = Table(title=f"[bold]{case}", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    for name, width in (("quantity", 22), ("left : right", 25)):
        table.add_column(name, no_wrap=True, width=width)
    for name, width in (
        ("|d|/(eps |pair|)", 16),
        ("max abs", 7),
        ("equal bytes", 11),
        ("its bound", 9),
        ("used", 4),
    ):
        table.add_column(name, justify="right", no_wrap=True, width=width)
    table.add_column("verdict", no_wrap=True)
    for _, group in groupby(records, _order):
        table.add_row(*_row(list(group)))
    return table


def legend(records: Iterable[Record]) -> str:
    """The derivation of each bound that the summary names."""
    names = {record.why for record in records}
    return "\n".join(
        f"[bold]{_letter(name)}[/bold]  {name}: {why}"
        for name, why in DERIVATIONS.items()
        if name in names
    )


def _letter(why: str) -> str:
    return "abcdefg"[list(DERIVATIONS).index(why)]


def _order(record: Record) -> tuple:
    opponents = ("rope_torch", "oracle", "transformers")
    return record.case, record.device, opponents.index(record.right), record.quantity, record.left


def _row(group: list[Record]) -> list[str]:
    worst = max(group, key=lambda record: (not record.ok, record.bound_used, record.max_eps))
    equal = min(record.bit_equal for record in group)
    figures = (
        f"{worst.at_worst:.3g}",
        f"{worst.max_abs:.1e}",
        f"{equal:.2%}" if equal < 1 else "all",
    )
    verdict = (
        "[green]ok"
        if all(record.ok for record in group)
        else f"[bold red]BROKEN[/] {worst.dtype} {worst.worst}"
    )
    names = (
        worst.quantity,
        f"{worst.left} : {worst.right}" + (" on gpu" if worst.device == "gpu" else ""),
    )
    return [
        *names,
        *figures,
        f"{worst.bound:.3g} {_letter(worst.why)}",
        f"{worst.bound_used:.0%}",
        verdict,
    ]


def absences(not_measured: Iterable[NotMeasured]) -> list[str]:
    """A line for each comparison that was not measured, and why."""
    missing = environment()["missing"]
    lines = [f"[yellow]not measured, as this machine lacks it: {escape(what)}" for what in missing]
    for absent in not_measured:
        kind = "[bold red]could not be measured" if absent.failed else "[yellow]not measured"
        lines.append(f"{kind}: {escape(absent.case)}: {escape(absent.why)}")
    return lines


def verdict(outcome: Outcome) -> str:
    """One sentence on the whole."""
    records, failed = outcome.records, sum(absent.failed for absent in outcome.not_measured)
    broken, cases = sum(not r.ok for r in records), len({r.case for r in records})
    if broken:
        return (
            f"[bold red]{broken} of {len(records)} comparisons over {cases} configurations break "
            "their bound."
        )
    if not records:
        return f"[bold {'red' if failed else 'yellow'}]Nothing was measured."
    branches = [r for r in records if {r.left, r.right} == {"rope_jax", "rope_torch"}]
    kept = (
        f"All {len(records)} comparisons over {cases} configurations keep their bound; rope_jax "
        "and rope_torch "
        f"are equal to the last byte in all {len(branches)} of theirs."
    )
    return (
        f"[bold red]{failed} could not be measured. [/]{kept}" if failed else f"[bold green]{kept}"
    )


def write_json(path: Path, outcome: Outcome) -> None:
    """`{"environment": ..., "bounds": ..., "records": [...], "not_measured": [...]}`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = {key: [asdict(item) for item in items] for key, items in outcome._asdict().items()}
    data = {"environment": environment(), "bounds": DERIVATIONS, **listed}
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
