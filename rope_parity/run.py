"""Run the referee over many cases: its records, and what could not be measured."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from rope_spec.config import Config

from .against_transformers import against_transformers
from .backends import devices
from .cases import Case, cases_of
from .environment import environment
from .referee import Record, Referee
from .reference import NoReference

COMPARISONS = 43  # of most cases on a CPU: how far each of them moves the bar


@dataclass(frozen=True)
class NotMeasured:
    """A comparison that was not made, and why."""

    case: str
    why: str
    failed: bool = True  # something raised; false where there is nothing to compare


class Outcome(NamedTuple):
    """The records of a run, and what could not be measured."""

    records: list[Record]
    not_measured: list[NotMeasured]

    @property
    def exit_code(self) -> int:
        """0: every bound is kept; 1: one is broken; 3: something could not be measured."""
        if not all(record.ok for record in self.records):
            return 1
        return 3 if any(absent.failed for absent in self.not_measured) else 0


def build(
    configs: Iterable[tuple[str, Config]], model_type: str | None = None, ignore: Iterable[str] = ()
) -> tuple[list[Case], list[NotMeasured]]:
    """The cases of configurations, each with its name, and why some have none.

    The other arguments are those of `cases_of`.
    """
    cases: list[Case] = []
    without: list[NotMeasured] = []
    for name, config in configs:
        try:
            found = cases_of(name, config, model_type, ignore)
        except (TypeError, ValueError) as error:
            without.append(NotMeasured(name, str(error)))
            continue
        cases += found
        if not found:
            without.append(NotMeasured(name, "it has no rotary embedding", failed=False))
    return cases, without


def run(cases: Sequence[Case], console: Console, on: Sequence[str] | None = None) -> Outcome:
    """Every comparison of every case, on the devices named or on every one there is."""
    return merged(measured(cases, console, on))


def merged(parts: Iterable[Outcome]) -> Outcome:
    """The outcome of several."""
    whole = Outcome([], [])
    for part in parts:
        whole.records.extend(part.records)
        whole.not_measured.extend(part.not_measured)
    return whole


def measured(
    cases: Sequence[Case], console: Console, on: Sequence[str] | None = None
) -> Iterator[Outcome]:
    """The outcome of each case on each device, as soon as it is there.

    On a terminal a bar moves with every comparison.
    """
    jobs = [(case, device) for device in on or devices() for case in cases]
    columns = TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn()
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=len(jobs))
        for done, (case, device) in enumerate(jobs):

            def moved(count: int, name: str = case.name, done: int = done) -> None:
                share = min(count / COMPARISONS, 1.0)
                bar.update(task, description=escape(name), completed=done + share, refresh=True)

            yield _of_case(case, device, moved)


def _of_case(case: Case, device: str, moved: Callable[[int], None]) -> Outcome:
    outcome, referee = Outcome([], []), Referee(case, device)
    _measure(outcome, case, referee.records(), moved)
    if environment()["packages"]["transformers"] is not None:
        _measure(outcome, case, against_transformers(referee), moved)
    return outcome


def _measure(
    outcome: Outcome, case: Case, comparisons: Iterable[Record], moved: Callable[[int], None]
) -> None:
    """Add the records of some comparisons, up to where an implementation raises."""
    try:
        for record in comparisons:
            outcome.records.append(record)
            moved(len(outcome.records))
    except NoReference as error:
        why = f"{error}; the other comparisons stand"
        outcome.not_measured.append(NotMeasured(case.name, why, failed=False))
    except Exception as error:  # whatever an implementation raises is a finding; the rest goes on
        outcome.not_measured.append(NotMeasured(case.name, _raised(error)))


def _raised(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    return f"{type(error).__name__} in {place}: {error}"
