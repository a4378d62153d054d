"""The arguments and options of the commands, and the functions that read them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

Configs = Annotated[
    list[str] | None, typer.Argument(help="config.json files, or model types of transformers.")
]
Config = Annotated[str, typer.Argument(help="A config.json, or a model type of transformers.")]
OrLlama = Annotated[
    str,
    typer.Argument(
        help="A config.json, or a model type of transformers.", show_default="that of Llama-3.1-8B"
    ),
]
ModelType = Annotated[str | None, typer.Option(help="Read the configurations as this model type.")]
Ignore = Annotated[
    list[str] | None, typer.Option(help="A key that nothing reads and that changes nothing.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every comparison.")]
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
LLAMA = str(Path(__file__).parents[1] / "configs" / "llama-3.1-8b.json")


def terminal() -> Console:
    """As wide as the terminal; 80 columns where there is none."""
    return Console(highlight=False)


def need(module: str, asked_for: object) -> None:
    """Raise for a missing module before anything is measured, not when the result is written."""
    if asked_for and not find_spec(module):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def read_all(configs: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """The name and values of each argument; a file that is missing or no JSON is a usage error."""
    from ..cases import read

    need("transformers", asked_for=[config for config in configs if not Path(config).exists()])
    try:
        return [read(config) for config in configs]
    except (OSError, TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
