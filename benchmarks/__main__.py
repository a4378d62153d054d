"""The command of the checkout: `python -m benchmarks`."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})

Json = Annotated[Path | None, typer.Option(help="Write every record to this file.")]
Plot = Annotated[Path | None, typer.Option(help="Draw the ratios into this file.")]
Only = Annotated[
    str,
    typer.Option(
        help="Only jobs that have this in their name, as 'jax, prefill 2048' or 'bfloat16'."
    ),
]
Repeats = Annotated[
    int, typer.Option(min=1, help="How often each road is taken in each of three rounds.")
]


@app.command()
def bench(json: Json = None, plot: Plot = None, only: Only = "", repeats: Repeats = 11) -> None:
    """Time every road side by side, as a ratio to x + 1 on the same arrays: about 20 minutes."""
    from rope_parity.environment import environment

    from . import show
    from .run import both_allocators

    records, scheduling = both_allocators(repeats, only)
    if not records:
        raise typer.BadParameter(f"got {only!r}, which no job has in its name")
    Console(width=132).print(*show.tables(records), sep="\n")
    if json:
        json.parent.mkdir(parents=True, exist_ok=True)
        found = {
            "environment": environment() | {"scheduling": scheduling},
            "records": [asdict(record) for record in records],
        }
        json.write_text(dumps(found, indent=1) + "\n", encoding="utf-8")
    if plot:
        show.plot(plot, records)


if __name__ == "__main__":
    app()
