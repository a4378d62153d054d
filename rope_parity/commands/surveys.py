"""The implementations here are measured: `report`, `types`, `growth`, `atlas`."""

from __future__ import annotations

import typer

from . import options as o
from .options import need, read_all, terminal


def report(
    configs: o.Configs = None,
    verbose: o.Verbose = False,
    json: o.Json = None,
    html: o.Html = None,
    device: o.Device = None,
    model_type: o.ModelType = None,
    ignore: o.Ignore = None,
) -> None:
    """Compare rope_jax, rope_torch, transformers and exact arithmetic.

    Exit code 0: every bound is kept; 1: one is broken; 2: the command is used wrongly; 3: something
    could not be measured.
    """
    from .. import report as reporting
    from ..backends import devices
    from ..cases import published
    from ..environment import environment
    from ..run import build, measured
    from ..showing import show

    need("jinja2", asked_for=html)
    if device and device not in devices():
        expected = f"expected one that both jax and torch see: {', '.join(devices())}"
        raise typer.BadParameter(f"got {device!r}, {expected}")
    console = terminal()
    cases, without = (
        build(read_all(configs), model_type, ignore or ()) if configs else (published(), [])
    )
    on = [device] if device else devices()
    width = max(map(len, ["configuration", *(case.name for case in cases)]))
    width += len(" on gpu") * ("gpu" in on)
    outcome = show(console, measured(cases, console, on), without, width, verbose)
    if json:
        reporting.write_json(json, outcome)
    if html:
        from .. import page

        page.write(html, cases, outcome, environment(), console)
    raise typer.Exit(code=outcome.exit_code)


def types() -> None:
    """Count the model types that are read, and name those that are refused, with the reason."""
    from rope_spec.config.families import data, families, refusals

    described = len(families()) + len(data()["outer"]) + len(data()["alias"])
    without, console = len(data()["without"]["model_types"]), terminal()
    console.print(f"{described} model types are described, {without} have no rotary embedding.")
    console.print(f"{len(refusals())} are refused:")
    for entry in data()["refused"]:
        console.print(f"- {', '.join(entry['model_types'])}: {entry['why']}")


def growth(
    config: o.OrLlama = o.LLAMA,
    json: o.Json = None,
    plot: o.Plot = None,
    model_type: o.ModelType = None,
    ignore: o.Ignore = None,
) -> None:
    """Measure every cache strategy along traces of calls: compilations, bytes, time.

    PyTorch runs the same traces.
    """
    from .. import growth as ledger
    from ..environment import environment
    from ..run import build

    need("matplotlib", asked_for=plot)
    cases, without = build(read_all([config]), model_type, ignore or ())
    if without:
        raise typer.BadParameter(f"{without[0].case}: {without[0].why}")
    case, console = cases[0], terminal()
    if case.spec.depends_on_length or case.spec.real or case.spec.pairs.axes > 1:
        raise typer.BadParameter(
            f"got {case.name}, expected one coordinate, and frequencies that no length changes"
        )
    found = ledger.ledger(case.spec, console=console)
    for table in ledger.summary(found):
        console.print(table, "")
    console.print(ledger.meaning(found))
    if json:
        ledger.write_json(json, environment(), found)
    if plot:
        ledger.plot(plot, found)


def atlas(json: o.Json = None, plot: o.Plots = None) -> None:
    """Measure and draw where bits differ: over position, by framework, by cause.

    Each cause has its remedy.
    """
    from .. import atlas as drawing
    from ..environment import environment

    need("matplotlib", asked_for=plot)
    console = terminal()
    found = drawing.measure(console)
    drawing.show(found, console)
    if json:
        drawing.write_json(json, environment(), found)
    if plot:
        for path in drawing.plot(plot, found):
            console.print(f"drawn: {path}")
