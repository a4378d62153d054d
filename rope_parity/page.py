"""The report as one page of HTML: the verdict, a matrix, and details of each configuration.

It needs no network and no library.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from rich.console import Console
from rich.progress import track

from .bounds import DERIVATIONS
from .cases import Case
from .charts import Chart, chart, pair_ticks, position_ticks
from .profile import profiles
from .referee import Record
from .run import Outcome

COLUMNS = {  # title: quantity and opponents
    "inverse frequencies, transformers": ("inv_freq", "transformers"),
    "attention factor, transformers": ("attention_factor", "transformers"),
    "cos and sin, JAX and torch": ("cos_sin", "rope_torch"),
    "cos and sin, exact arithmetic": ("cos_sin", "oracle"),
    "cos and sin, transformers": ("cos_sin", "transformers"),
    "cos and sin by its frequencies, transformers": ("cos_sin given inv_freq", "transformers"),
    "rotation, JAX and torch": ("rotate", "rope_torch"),
    "gradient, JAX and torch": ("gradient", "rope_torch"),
    "rotation, exact arithmetic": ("rotate", "oracle"),
    "rotation by its cos and sin, transformers": ("rotate given cos, sin", "transformers"),
    "rotation, transformers": ("rotate", "transformers"),
}


class Cell(NamedTuple):
    """One comparison of the matrix: the worst of its records."""

    title: str
    text: str
    level: str  # equal, ok, broken or absent: the class that colours it
    aria_label: str  # in full, for readers who cannot see the colour


def write(
    path: Path, cases: Sequence[Case], outcome: Outcome, environment: dict, console: Console
) -> None:
    """Write the page."""
    records = outcome.records
    by_case = {name: list(group) for name, group in groupby(sorted(records, key=_case), _case)}
    cases = [case for case in cases if case.name in by_case]
    drawn = track(cases, "drawing", console=console, transient=True)
    loader = PackageLoader("rope_parity", "templates")
    jinja = Environment(
        loader=loader, autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True
    )
    text = jinja.get_template("page.html").render(
        columns=list(COLUMNS),
        rows={case.name: [_cell(title, by_case[case.name]) for title in COLUMNS] for case in cases},
        records=by_case,
        charts={
            case.name: _charts(case, _is_against_transformers(by_case[case.name])) for case in drawn
        },
        broken=[record for record in records if not record.ok],
        count=len(records),
        equal=[r for r in records if r.right == "rope_torch" and r.bit_equal == 1],
        between=[r for r in records if r.right == "rope_torch"],
        not_measured=outcome.not_measured,
        environment=environment,
        derivations=DERIVATIONS,
    )
    path.write_text(text, encoding="utf-8")


def _is_against_transformers(records: Sequence[Record]) -> bool:
    return any(
        record.quantity == "cos_sin" and record.right == "transformers" for record in records
    )


def _case(record: Record) -> str:
    return record.case


def _cell(title: str, records: Sequence[Record]) -> Cell:
    quantity, right = COLUMNS[title]
    group = [r for r in records if (r.quantity.removesuffix(", cpu"), r.right) == (quantity, right)]
    if not group:
        return Cell(title, "–", "absent", "not measured")
    worst = max(group, key=lambda r: (not r.ok, r.bound_used))
    if not worst.ok:
        return Cell(
            title,
            "✗",
            "broken",
            f"broken: {worst.at_worst:.3g} of {worst.bound:.3g} eps |pair|, {worst.dtype}",
        )
    if all(r.bit_equal == 1 for r in group):
        return Cell(title, "=", "equal", f"equal bytes in {len(group)} comparisons")
    return Cell(
        title,
        f"{worst.bound_used:.0%}",
        "ok",
        f"{worst.bound_used:.0%} of the bound, {worst.at_worst:.3g} eps |pair|",
    )


def _charts(case: Case, with_transformers: bool) -> list[Chart]:
    positions, found = profiles(case, with_transformers)
    by_position = [(p.name, positions, p.over_position) for p in found]
    by_pair = [(p.name, np.arange(len(p.by_pair)), p.by_pair) for p in found]
    return [
        chart(
            "error of cos and sin over position",
            by_position,
            lambda x: np.log2(1 + np.maximum(x, 0)),
            position_ticks,
        ),
        chart("error of cos and sin by pair, fast to slow", by_pair, lambda x: x, pair_ticks),
    ]
