"""Every comparison of a run, as tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from .bounds import DERIVATIONS
from .referee import Record
from .report import comparison, figure, name_of, nearest, title


def summary(records: Sequence[Record]) -> Group:
    """A table for each configuration, with a row for each quantity and pair of implementations.

    A row shows the element that is nearest its bound, over eager and jit and every dtype.
    """
    groups = groupby(sorted(records, key=comparison), key=title)
    tables = (Group(_table(*group), "") for group in groups)
    return Group(*tables, _legend(records))


def _table(name: str, records: Iterable[Record]) -> Table:
    table = Table(
        title=f"[bold]{escape(name)}",
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
    for column in ("quantity", "left : right"):
        table.add_column(column, no_wrap=True)
    for column in ("error", "bound", "max abs", "equal"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for _, group in groupby(records, comparison):
        table.add_row(*_row(list(group)))
    return table


def _row(group: list[Record]) -> list[str]:
    worst, equal = nearest(group), min(record.bit_equal for record in group)
    return [
        worst.quantity,
        f"{name_of(worst.left)} : {name_of(worst.right)}",
        figure(worst.at_worst),
        f"{figure(worst.bound)} {_letter(worst.why)}",
        f"{worst.max_abs:.1e}",
        f"{min(equal, 0.9999):.2%}" if equal < 1 else "all",
        "[green]ok" if worst.ok else "[bold red]BROKEN",
    ]


def _legend(records: Iterable[Record]) -> str:
    """The derivation of each bound that the tables name."""
    names = {record.why for record in records}
    derivations = [
        f"[bold]{_letter(name)}[/]  {name}: {why}"
        for name, why in DERIVATIONS.items()
        if name in names
    ]
    return "\n".join(["equal: share of equal bytes. What each bound rests on:", *derivations])


def _letter(why: str) -> str:
    return "abcdefg"[list(DERIVATIONS).index(why)]
