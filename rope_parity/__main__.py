"""The command `rope-parity`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

try:
    import typer
    from rich.console import Console
except ImportError as error:
    raise SystemExit(f"rope-parity: {error}. The command needs: pip install 'rope-parity[parity]'") from error

app = typer.Typer(no_args_is_help=False, add_completion=False, help="Measure whether RoPE implementations are the same.")

Configs = Annotated[list[str] | None, typer.Argument(help="config.json files, or model types of transformers.")]
Config = Annotated[str, typer.Argument(help="A config.json, or a model type of transformers.")]
Json = Annotated[Path | None, typer.Option(help="Write every figure to this file.")]
Device = Annotated[str | None, typer.Option(help="cpu or gpu; without it every one that is found.")]
Html = Annotated[Path | None, typer.Option(help="Write the report as one page to this file.")]
Plot = Annotated[Path | None, typer.Option(help="Draw a picture into this file.")]
Plots = Annotated[Path | None, typer.Option(help="Draw pictures into this folder.")]
LLAMA = str(Path(__file__).parent / "configs" / "llama-3.1-8b.json")


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=132)


def _cases(configs: list[str], named: Callable[[str], list]) -> list:
    """The cases of each argument; what is wrong with one is a usage error."""
    try:
        cases = [case for config in configs for case in named(config)]
    except (ImportError, OSError, TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    if not cases:
        raise typer.BadParameter(f"got {', '.join(configs)}, expected a model that has a rotary embedding")
    return cases


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Without a command: the report over every published configuration."""
    if context.invoked_subcommand is None:
        report()


@app.command()
def report(configs: Configs = None, json: Json = None, html: Html = None, device: Device = None) -> None:
    """Compare rope_jax, rope_torch, transformers and exact arithmetic; exit code 1 when a bound is broken."""
    from . import report as reporting
    from .cases import named, published

    console, cases = _console(), _cases(configs, named) if configs else published()
    if device and device not in reporting.devices():
        raise typer.BadParameter(f"got {device!r}, expected one that both jax and torch see: {', '.join(reporting.devices())}")
    records = reporting.run(cases, console, [device] if device else None)
    console.print(reporting.summary(records), reporting.legend(records), sep="\n")
    for absent in reporting.environment()["missing"]:
        console.print(f"[yellow]not measured, as this machine lacks it: {absent}")
    console.print(reporting.verdict(records))
    if json:
        reporting.write_json(json, records)
    if html:
        from . import page

        page.write(html, cases, records, reporting.environment(), console)
    raise typer.Exit(code=int(not all(record.ok for record in records)))


@app.command()
def growth(config: Config = LLAMA, json: Json = None, plot: Plot = None) -> None:
    """Play traces through every way to keep a table: compilations, bytes, time, and what PyTorch does beside it."""
    from . import growth as ledger
    from .cases import named
    from .report import environment

    case, console = _cases([config], named)[0], _console()
    if case.spec.depends_on_length or case.spec.real or case.spec.pairs.axes > 1:
        raise typer.BadParameter(f"got {case.name}, expected one coordinate, and frequencies that no length changes")
    found = ledger.ledger(case.spec, console=console)
    for table in ledger.summary(found):
        console.print(table)
    if json:
        ledger.write_json(json, environment(), found)
    if plot:
        ledger.plot(plot, found)


@app.command()
def atlas(json: Json = None, plot: Plots = None) -> None:
    """Measure and draw where bits differ: over position, by framework, by cause, each with the remedy."""
    from . import atlas as drawing
    from .report import environment

    console = _console()
    found = drawing.measure(console)
    drawing.show(found, console)
    if json:
        drawing.write_json(json, environment(), found)
    if plot:
        for path in drawing.plot(plot, found):
            console.print(f"drawn: {path}")


if __name__ == "__main__":
    app()
