"""The command `rope-parity`: its commands, in the order of its help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import __version__
from .commands.checks import check, identify, probe, vectors
from .commands.surveys import atlas, growth, report, types

if TYPE_CHECKING:
    from typer import Context
else:  # typer hands over an object of the class that its own is derived from
    Context = typer.Context.__base__

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure whether RoPE implementations are the same.",
    rich_markup_mode="markdown",
)
for command in (report, check, probe, vectors, identify, types, growth, atlas):
    app.command()(command)


def _print_version(asked_for: bool) -> bool:
    if asked_for:
        typer.echo(f"rope-parity {__version__}")
        raise typer.Exit()
    return asked_for


_VERSION = typer.Option(
    "--version", callback=_print_version, is_eager=True, help="Print the version."
)


@app.callback(invoke_without_command=True)
def main(context: Context, version: Annotated[bool, _VERSION] = False) -> None:
    """Without a command: the report over every published configuration."""
    if context.invoked_subcommand is None:
        report()
