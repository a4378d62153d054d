"""The commands of `rope-parity`: each imports what it needs when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from . import __version__

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure whether RoPE implementations are the same.",
)

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


def _need(module: str, asked_for: object) -> None:
    """Miss a module before anything is measured, not when the result is written."""
    if asked_for and not find_spec(module):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def _cases(configs: list[str], named: Callable[[str], list]) -> list:
    """The cases of each argument; what is wrong with one is a usage error."""
    _need("transformers", asked_for=[config for config in configs if not Path(config).is_file()])
    try:
        cases = [case for config in configs for case in named(config)]
    except (ImportError, OSError, TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    if not cases:
        raise typer.BadParameter(f"got {', '.join(configs)}, expected a model that has a rotary embedding")
    return cases


def _print_version(asked_for: bool) -> None:
    if asked_for:
        typer.echo(f"rope-parity {__version__}")
        raise typer.Exit()


_VERSION = typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")


@app.callback(invoke_without_command=True)
def main(context: typer.Context, version: Annotated[bool, _VERSION] = False) -> None:
    """Without a command: the report over every published configuration."""
    if context.invoked_subcommand is None:
        report()


@app.command()
def report(configs: Configs = None, json: Json = None, html: Html = None, device: Device = None) -> None:
    """Compare rope_jax, rope_torch, transformers and exact arithmetic; exit code 1 when a bound is broken."""
    from . import report as reporting
    from .cases import named, published

    _need("jinja2", asked_for=html)
    console, cases = _console(), _cases(configs, named) if configs else published()
    if device and device not in reporting.devices():
        raise typer.BadParameter(f"got {device!r}, expected one that both jax and torch see: {', '.join(reporting.devices())}")
    records = reporting.run(cases, console, [device] if device else None)
    console.print(reporting.summary(records), reporting.legend(records), sep="\n")
    for absent in reporting.environment()["missing"]:
        console.print(f"[yellow]not measured, as this machine lacks it: {escape(absent)}")
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

    _need("matplotlib", asked_for=plot)
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

    _need("matplotlib", asked_for=plot)
    console = _console()
    found = drawing.measure(console)
    drawing.show(found, console)
    if json:
        drawing.write_json(json, environment(), found)
    if plot:
        for path in drawing.plot(plot, found):
            console.print(f"drawn: {path}")
