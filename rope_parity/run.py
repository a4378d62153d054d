"""Run the referee over many cases: its records, and what could not be measured."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

from rope_spec.config import Config

from .against_transformers import against_transformers
from .backends import devices
from .cases import Case, cases_of
from .environment import environment
from .referee import Record, Referee
from .reference import NoReference


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
    has_transformers = environment()["packages"]["transformers"] is not None
    jobs = [(case, device) for device in on or devices() for case in cases]
    outcome = Outcome([], [])
    for case, device in track(jobs, description="measuring", console=console, transient=True):
        referee = Referee(case, device)
        _measure(outcome, case, referee.records())
        if has_transformers:
            _measure(outcome, case, against_transformers(referee))
    return outcome


def _measure(outcome: Outcome, case: Case, comparisons: Iterable[Record]) -> None:
    """Add the records of some comparisons, up to where an implementation raises."""
    try:
        outcome.records.extend(comparisons)
    except NoReference as error:
        why = f"{error}; the other comparisons stand"
        outcome.not_measured.append(NotMeasured(case.name, why, failed=False))
    except Exception as error:  # whatever an implementation raises is a finding; the rest goes on
        outcome.not_measured.append(NotMeasured(case.name, _raised(error)))


def _raised(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    return f"{type(error).__name__} in {place}: {error}"
