"""The commands of `rope-parity`: each imports what it needs when it is called."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from . import __version__

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure whether RoPE implementations are the same.",
)

Configs = Annotated[
    list[str] | None, typer.Argument(help="config.json files, or model types of transformers.")
]
Config = Annotated[str, typer.Argument(help="A config.json, or a model type of transformers.")]
ModelType = Annotated[str | None, typer.Option(help="Read the configurations as this model type.")]
Ignore = Annotated[
    list[str] | None, typer.Option(help="A key that nothing reads and that changes nothing.")
]
Json = Annotated[Path | None, typer.Option(help="Write every figure to this file.")]
Device = Annotated[str | None, typer.Option(help="cpu or gpu; without it every one that is found.")]
Html = Annotated[Path | None, typer.Option(help="Write the report as one page to this file.")]
Plot = Annotated[Path | None, typer.Option(help="Draw a picture into this file.")]
Plots = Annotated[Path | None, typer.Option(help="Draw pictures into this folder.")]
Ours = Annotated[
    str | None, typer.Option(help="package.module:function, called as f(x, positions).")
]
Dump = Annotated[Path | None, typer.Option(help="Outputs for what `rope-parity probe` wrote.")]
Function = Annotated[
    str, typer.Argument(help="package.module:function, called as f(x, positions).")
]
HeadDim = Annotated[int, typer.Option(help="The width of x.")]
Layout = Annotated[str, typer.Option(help="The axes of x, such as BSNH, BNSH, SH or BS(NH).")]
Label = Annotated[str | None, typer.Option(help="Which kind of layer, where there are several.")]
Context = Annotated[int | None, typer.Option(help="The longest context; by default the config's.")]
Dtype = Annotated[str, typer.Option(help="Of x: float32, bfloat16 or float16.")]
Positions = Annotated[str, typer.Option(help="any, shared, contiguous or prefix.")]
Factory = Annotated[bool, typer.Option(help="The function returns the function to measure.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")]
LLAMA = str(Path(__file__).parent / "configs" / "llama-3.1-8b.json")


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=132)


def _need(module: str, asked_for: object) -> None:
    """Miss a module before anything is measured, not when the result is written."""
    if asked_for and not find_spec(module):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def _read(configs: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """The name and values of each argument; a file that is missing or no JSON is a usage error."""
    from .cases import read

    _need("transformers", asked_for=[config for config in configs if not Path(config).exists()])
    try:
        return [read(config) for config in configs]
    except (OSError, TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def _print_version(asked_for: bool) -> None:
    if asked_for:
        typer.echo(f"rope-parity {__version__}")
        raise typer.Exit()


_VERSION = typer.Option(
    "--version", callback=_print_version, is_eager=True, help="Print the version."
)


@app.callback(invoke_without_command=True)
def main(context: typer.Context, version: Annotated[bool, _VERSION] = False) -> None:
    """Without a command: the report over every published configuration."""
    if context.invoked_subcommand is None:
        report()


@app.command()
def report(
    configs: Configs = None,
    json: Json = None,
    html: Html = None,
    device: Device = None,
    model_type: ModelType = None,
    ignore: Ignore = None,
) -> None:
    """Compare rope_jax, rope_torch, transformers and exact arithmetic.

    Exit code 0: every bound is kept; 1: one is broken; 2: the command is used wrongly; 3: something
    could not be measured.
    """
    from . import report as reporting
    from .backends import devices
    from .cases import published
    from .environment import environment
    from .run import build, run

    _need("jinja2", asked_for=html)
    if device and device not in devices():
        expected = f"expected one that both jax and torch see: {', '.join(devices())}"
        raise typer.BadParameter(f"got {device!r}, {expected}")
    console = _console()
    cases, without = (
        build(_read(configs), model_type, ignore or ()) if configs else (published(), [])
    )
    outcome = run(cases, console, [device] if device else None)
    outcome.not_measured.extend(without)
    console.print(reporting.summary(outcome.records), reporting.legend(outcome.records), sep="\n")
    for line in reporting.absences(outcome.not_measured):
        console.print(line)
    console.print(reporting.verdict(outcome))
    if json:
        reporting.write_json(json, outcome)
    if html:
        from . import page

        page.write(html, cases, outcome, environment(), console)
    raise typer.Exit(code=outcome.exit_code)


@app.command()
def check(
    config: Config,
    ours: Ours = None,
    dump: Dump = None,
    layout: Layout = "BSNH",
    label: Label = None,
    context: Context = None,
    dtype: Dtype = "float32",
    positions: Positions = "any",
    factory: Factory = False,
    json: AsJson = False,
    html: Html = None,
    model_type: ModelType = None,
    ignore: Ignore = None,
) -> None:
    """Say whether a function, or a file of its outputs, is the RoPE of a config, and what is wrong
    if not.

    Exit code 0: it is right; 1: it is wrong; 2: the command is used wrongly; 3: the function raised
    or could not be measured.
    """
    from . import judging

    _need("jinja2", asked_for=html)
    if (ours is None) == (dump is None):
        raise typer.BadParameter("expected one of --ours package.module:function and --dump FILE")
    options = {"layout": layout, "context": context, "dtype": dtype, "positions": positions}
    options |= {
        "factory": factory,
        "label": label,
        "ignore": ignore or (),
        "model_type": model_type,
    }
    name, values = _read([config])[0]
    judge = judging.check_dump if dump else judging.check
    outcome = judge(str(dump or ours), values, options)
    judging.show(outcome, as_json=json, html=html, title=f"{ours or dump} against {name}")
    raise typer.Exit(code=outcome.exit_code)


@app.command()
def probe(
    config: Config,
    out: Annotated[Path, typer.Option(help="A file to write, *.safetensors or *.npz.")],
    layout: Layout = "BSNH",
    label: Label = None,
    context: Context = None,
    model_type: ModelType = None,
    ignore: Ignore = None,
) -> None:
    """Write the inputs of a check, for a program in any language: see `check --dump`."""
    from . import judging

    options = {"layout": layout, "context": context, "label": label, "ignore": ignore or ()}
    calls = judging.probe(out, _read([config])[0][1], options | {"model_type": model_type})
    typer.echo(f"{calls} calls: x.0, positions.0, x.1, ... Write y.0, y.1, ... in the same order.")


@app.command()
def vectors(folder: Annotated[Path, typer.Argument(help="A folder to write.")]) -> None:
    """Write test vectors: inputs, outputs, and the mistake that each of them catches."""
    from .vectors import write_vectors

    typer.echo(f"{write_vectors(folder)} vectors, described in {folder / 'index.json'}")


@app.command()
def identify(
    function: Function,
    head_dim: HeadDim,
    layout: Layout = "BSNH",
    context: Annotated[int, typer.Option(help="Positions go from 0 to this, less one.")] = 4096,
    dtype: Dtype = "float32",
    positions: Positions = "any",
    axes: Annotated[int, typer.Option(help="How many coordinates a position has.")] = 1,
    factory: Factory = False,
    json: AsJson = False,
) -> None:
    """Say what a function is: its description, its arithmetic, and what is odd about it.

    Exit code 0: it was measured; 2: the command is used wrongly; 3: it could not be measured.
    """
    from . import judging

    options = {"layout": layout, "context": context, "dtype": dtype, "positions": positions}
    outcome = judging.identify(function, head_dim, options | {"axes": axes, "factory": factory})
    judging.show(outcome, as_json=json)
    raise typer.Exit(code=outcome.exit_code)


@app.command()
def types() -> None:
    """Count the model types that are read, and name those that are refused, with the reason."""
    from rope_spec.config.family import data, families, refusals

    described, without = (
        len(families()) + len(data()["outer"]) + len(data()["alias"]),
        data()["without"]["model_types"],
    )
    console = _console()
    console.print(
        f"{described} model types are described, {len(without)} have no rotary embedding."
    )
    console.print(f"{len(refusals())} are refused:")
    for entry in [*data()["refused"], *data()["later"]]:
        console.print(f"- {', '.join(entry['model_types'])}: {entry['why']}")


@app.command()
def growth(
    config: Config = LLAMA,
    json: Json = None,
    plot: Plot = None,
    model_type: ModelType = None,
    ignore: Ignore = None,
) -> None:
    """Play traces through every way to keep a table: compilations, bytes, time, and what PyTorch
    does beside it.
    """
    from . import growth as ledger
    from .environment import environment
    from .run import build

    _need("matplotlib", asked_for=plot)
    cases, without = build(_read([config]), model_type, ignore or ())
    if without:
        raise typer.BadParameter(f"{without[0].case}: {without[0].why}")
    case, console = cases[0], _console()
    if case.spec.depends_on_length or case.spec.real or case.spec.pairs.axes > 1:
        raise typer.BadParameter(
            f"got {case.name}, expected one coordinate, and frequencies that no length changes"
        )
    found = ledger.ledger(case.spec, console=console)
    for table in ledger.summary(found):
        console.print(table)
    if json:
        ledger.write_json(json, environment(), found)
    if plot:
        ledger.plot(plot, found)


@app.command()
def atlas(json: Json = None, plot: Plots = None) -> None:
    """Measure and draw where bits differ: over position, by framework, by cause, each with the
    remedy.
    """
    from . import atlas as drawing
    from .environment import environment

    _need("matplotlib", asked_for=plot)
    console = _console()
    found = drawing.measure(console)
    drawing.show(found, console)
    if json:
        drawing.write_json(json, environment(), found)
    if plot:
        for path in drawing.plot(plot, found):
            console.print(f"drawn: {path}")
