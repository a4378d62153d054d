"""A function, or a file of its outputs, is measured: `check`, `probe`, `identify`, `vectors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o
from .options import need, read_all


def check(
    config: o.Config,
    ours: o.Ours = None,
    dump: o.Dump = None,
    layout: o.Layout = "BSNH",
    label: o.Label = None,
    context: o.Context = None,
    dtype: o.Dtype = "float32",
    positions: o.Positions = "any",
    factory: o.Factory = False,
    json: o.AsJson = False,
    html: o.Html = None,
    model_type: o.ModelType = None,
    ignore: o.Ignore = None,
) -> None:
    """Say whether a function, or a file of its outputs, is the RoPE of a config.

    Where it is not, say what is wrong.

    Exit code 0: it is right; 1: it is wrong; 2: the command is used wrongly; 3: the function raised
    or could not be measured.
    """
    from .. import judging
    from ..identification import Options

    need("jinja2", asked_for=html)
    if (ours is None) == (dump is None):
        raise typer.BadParameter("expected one of --ours package.module:function and --dump FILE")
    name, values = read_all([config])[0]
    kind = judging.Kind(label=label, model_type=model_type, ignore=ignore or ())
    options = Options(layout=layout, context=context)
    if dump:
        outcome = judging.check_dump(dump, values, kind, options)
    else:
        options |= Options(dtype=dtype, positions=positions, factory=factory)
        outcome = judging.check(str(ours), values, kind, options)
    judging.show(outcome, as_json=json, html=html, title=f"{ours or dump} against {name}")
    raise typer.Exit(code=outcome.exit_code)


def probe(
    config: o.Config,
    out: Annotated[Path, typer.Option(help="A file to write, *.safetensors or *.npz.")],
    layout: o.Layout = "BSNH",
    label: o.Label = None,
    context: o.Context = None,
    model_type: o.ModelType = None,
    ignore: o.Ignore = None,
) -> None:
    """Write the inputs of a check, for a program in any language: see `check --dump`."""
    from .. import judging
    from ..identification import Options

    kind = judging.Kind(label=label, model_type=model_type, ignore=ignore or ())
    _, values = read_all([config])[0]
    calls = judging.probe(out, values, kind, Options(layout=layout, context=context))
    typer.echo(f"{calls} calls: x.0, positions.0, x.1, ... Write y.0, y.1, ... in the same order.")


def vectors(folder: Annotated[Path, typer.Argument(help="A folder to write.")]) -> None:
    """Write test vectors: inputs, outputs, and the mistake that each of them catches."""
    from ..vectors import write_vectors

    typer.echo(f"{write_vectors(folder)} vectors, described in {folder / 'index.json'}")


def identify(
    function: o.Function,
    head_dim: o.HeadDim,
    layout: o.Layout = "BSNH",
    context: Annotated[int, typer.Option(help="Positions go from 0 to this, less one.")] = 4096,
    dtype: o.Dtype = "float32",
    positions: o.Positions = "any",
    axes: Annotated[int, typer.Option(help="How many coordinates a position has.")] = 1,
    factory: o.Factory = False,
    json: o.AsJson = False,
) -> None:
    """Say what a function is: its description, its arithmetic, and what is odd about it.

    Exit code 0: it was measured; 2: the command is used wrongly; 3: it could not be measured.
    """
    from .. import judging
    from ..identification import Options

    options = Options(layout=layout, context=context, dtype=dtype, positions=positions)
    outcome = judging.identify(function, head_dim, axes, options | Options(factory=factory))
    judging.show(outcome, as_json=json)
    raise typer.Exit(code=outcome.exit_code)
