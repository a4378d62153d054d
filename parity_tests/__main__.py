"""The command `rope-parity`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=False, add_completion=False, help="Measure whether RoPE implementations are the same.")

Configs = Annotated[list[str] | None, typer.Argument(help="config.json files, or model types of transformers.")]
Json = Annotated[Path | None, typer.Option(help="Write every record to this file.")]


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Without a command: the report over every published configuration."""
    if context.invoked_subcommand is None:
        report()


@app.command()
def report(configs: Configs = None, json: Json = None) -> None:
    """Compare rope_jax, rope_torch, transformers and exact arithmetic; exit code 1 when a bound is broken."""
    from . import report as reporting
    from .cases import named, published

    console = Console() if sys.stdout.isatty() else Console(width=132)
    try:
        cases = [case for config in configs for case in named(config)] if configs else published()
    except (OSError, TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    records = reporting.run(cases, console)
    console.print(reporting.summary(records), reporting.legend(records), sep="\n")
    for absent in reporting.environment()["missing"]:
        console.print(f"[yellow]not measured, as this machine lacks it: {absent}")
    console.print(reporting.verdict(records))
    if json:
        reporting.write_json(json, records)
    raise typer.Exit(code=int(not all(record.ok for record in records)))


if __name__ == "__main__":
    app()
