"""The report on a terminal, or in a file: verdict, a line for each configuration, verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console

from . import report
from .details import summary
from .run import NotMeasured, Outcome, merged


def show(
    console: Console,
    parts: Iterable[Outcome],
    without: list[NotMeasured],
    width: int,
    verbose: bool = False,
) -> Outcome:
    """Print the outcome of each configuration, and return that of all.

    A terminal shows a bar until all are measured, then the verdict first and last. A file or a pipe
    gets each line as soon as it is measured, and the verdict last.

    Args:
        console: where to print.
        parts: the outcome of each configuration; whatever measures it runs while they are taken.
        without: what was not measured at all.
        width: of the longest name.
        verbose: print every comparison.
    """
    live = not console.is_terminal
    done = list(_printed(console, parts, width) if live else parts)
    outcome = merged([*done, Outcome([], without)])
    verdict = report.verdict(outcome)
    if not live:
        console.print(verdict, end="\n\n")
        list(_printed(console, done, width))
    if verbose:
        console.print("", summary(outcome.records), sep="\n")
    closing = *report.absences(without), *report.missing(), report.explanation(verbose)
    console.print("", *closing, "", verdict, sep="\n")
    return outcome


def _printed(console: Console, parts: Iterable[Outcome], width: int) -> Iterator[Outcome]:
    """The same parts, each printed as it comes."""
    for number, part in enumerate(parts):
        if number == 0:
            console.print(report.head(width))
        for line in report.lines(part, width):
            console.print(line)
        yield part
