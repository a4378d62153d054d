"""What a run found: a line for each configuration, the verdict, and JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from rich.markup import escape

from .bounds import DERIVATIONS
from .environment import environment
from .referee import Record
from .run import NotMeasured, Outcome

NAMES = {
    "rope_jax": "jax",
    "rope_torch": "torch",
    "oracle": "exact",
    "transformers": "transformers",
}
RULER = (
    "error and bound: |d| / (eps |pair|), of the comparison where that is largest. A rotation "
    "keeps the length of a pair, so that is what an error is compared with. A bound is no "
    "tolerance: it is the most that the roundings can add up to, derived before anything is "
    "measured. An error near its bound is no near miss; it says that the bound is tight. "
    "'given': computed from what transformers has for it, so that nothing else can differ."
)


def verdict(outcome: Outcome) -> str:
    """One sentence on the whole."""
    records, failed = outcome.records, sum(absent.failed for absent in outcome.not_measured)
    broken, cases = sum(not r.ok for r in records), len({r.case for r in records})
    over = f"{len(records)} comparisons over {cases} configuration{'s' * (cases != 1)}"
    if broken:
        return f"[bold red]{broken} of {over} break their bound."
    if not records:
        return f"[bold {'red' if failed else 'yellow'}]Nothing was measured."
    branches = [r for r in records if {r.left, r.right} == {"rope_jax", "rope_torch"}]
    kept = (
        f"All {over} keep their bound; rope_jax and rope_torch are equal to the last byte in all "
        f"{len(branches)} of theirs."
    )
    return (
        f"[bold red]{failed} could not be measured. [/]{kept}" if failed else f"[bold green]{kept}"
    )


def head(width: int) -> str:
    """The names of the columns of `lines`."""
    return f"[bold]{'configuration':{width}} {'largest error':22} {'error':>5}    bound"


def lines(part: Outcome, width: int) -> Iterator[str]:
    """A line for one configuration on one device; below it what broke or was not measured.

    Args:
        part: its outcome.
        width: of the column of names.
    """
    if part.records:
        yield _line(part.records, width)
        yield from broken(part.records)
    yield from absences(part.not_measured)


def _line(records: Sequence[Record], width: int) -> str:
    name = f"{escape(title(records[0])):{width}}"
    if count := sum(not record.ok for record in records):
        return f"{name} [bold red]BROKEN[/]: {count} of {len(records)} comparisons"
    worst = max(records, key=lambda record: record.at_worst)
    error, bound = figure(worst.at_worst), figure(worst.bound)
    return f"{name} {what(worst):22} {error:>5} <= {bound:5} [green]ok"


def broken(records: Iterable[Record]) -> Iterator[str]:
    """For each quantity that breaks its bound: the figures, where, and what the bound rests on."""
    failed = sorted((record for record in records if not record.ok), key=comparison)
    for _, group in groupby(failed, comparison):
        worst = nearest(group)
        text = (
            f"BROKEN {worst.quantity}, {name_of(worst.left)} : {name_of(worst.right)}, "
            f"{worst.dtype}, {worst.mode}: "
            f"{figure(worst.at_worst)} eps |pair| at {worst.worst}, bound {figure(worst.bound)}; "
            f"max abs {worst.max_abs:.1e}, {worst.bit_equal:.2%} equal bytes. "
            f"The bound, {worst.why}: {DERIVATIONS[worst.why]}."
        )
        filled = textwrap.fill(text, 80, initial_indent="  ", subsequent_indent="    ")
        yield f"[red]{escape(filled)}"


def name_of(side: str) -> str:
    """A short name of what is compared."""
    return NAMES.get(side, side)


def title(record: Record) -> str:
    """The configuration of a record, and its device where that is no CPU."""
    return record.case + (f" on {record.device}" if record.device != "cpu" else "")


def comparison(record: Record) -> tuple:
    """What the records of one row have in common; rows are in the order of these."""
    opponents = ("rope_torch", "oracle", "transformers")
    return record.case, record.device, opponents.index(record.right), record.quantity, record.left


def nearest(records: Iterable[Record]) -> Record:
    """The record furthest beyond its bound; where all keep theirs, the one nearest to it."""
    return max(records, key=lambda record: (not record.ok, record.bound_used, record.max_eps))


def what(record: Record) -> str:
    """A quantity and the other side; frequencies are compared with transformers alone."""
    named = record.right == "transformers" and record.quantity not in ("cos_sin", "rotate")
    return record.quantity if named else f"{record.quantity} : {name_of(record.right)}"


def figure(value: float) -> str:
    """A number that is not negative, in five columns."""
    if value == 0 or 0.1 <= value < 999.5:
        return f"{value:.3g}"
    return f"{value:.0f}" if 999.5 <= value < 99999.5 else f"{value:.0e}"


def absences(not_measured: Iterable[NotMeasured]) -> Iterator[str]:
    """A line for each comparison that was not measured, and why."""
    for absent in not_measured:
        kind = "[bold red]could not be measured" if absent.failed else "[yellow]not measured"
        yield f"{kind}[/]: {escape(absent.case)}: {escape(absent.why)}"


def missing() -> Iterator[str]:
    """A line for each thing that this machine lacks."""
    for thing in environment()["missing"]:
        yield f"[yellow]not measured, as this machine lacks it[/]: {escape(thing)}"


def explanation(verbose: bool) -> str:
    """What the figures mean, and where there are more."""
    more = "" if verbose else "\nEvery comparison: rope-parity report --verbose"
    return f"\n[dim]{RULER}{more}[/]"


def write_json(path: Path, outcome: Outcome) -> None:
    """`{"environment": ..., "bounds": ..., "records": [...], "not_measured": [...]}`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = {key: [asdict(item) for item in items] for key, items in outcome._asdict().items()}
    data = {"environment": environment(), "bounds": DERIVATIONS, **listed}
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
