"""What the commands `check`, `probe` and `identify` do.

They import a function, measure it and print the outcome.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import typer

from rope_spec import RopeSpec, spec_from_config

from . import dump
from .doctor import Verdict, check_rope, words
from .doctor.check import context_of
from .identification import Identification, NotMeasured, Options, identify as identify_function

RIGHT, WRONG, NOT_MEASURED = 0, 1, 3


@dataclass(frozen=True)
class Outcome:
    """A result, or why there is none."""

    result: Verdict | Identification | None
    why: str
    exit_code: int


def function_of(name: str) -> Callable:
    """What `package.module:function` names; the current folder is searched first."""
    module, _, path = name.partition(":")
    if not module or not path:
        raise typer.BadParameter(f"got {name!r}, expected package.module:function")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise typer.BadParameter(f"{name}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    return found


class Kind(TypedDict):
    """The kind of layer of a config, as for `spec_from_config`."""

    label: str | None
    model_type: str | None
    ignore: Collection[str]


def check(ours: str, config: Mapping[str, Any], kind: Kind, options: Options) -> Outcome:
    """The verdict on a function that is named."""
    fn = function_of(ours)
    return _measured(lambda: check_rope(fn, config, **kind, **options))


def check_dump(path: Path, config: Mapping[str, Any], kind: Kind, options: Options) -> Outcome:
    """The verdict on a file of outputs."""
    spec, given = _described(config, kind, options)
    return _measured(lambda: dump.judged(path, spec, **given))


def probe(path: Path, config: Mapping[str, Any], kind: Kind, options: Options) -> int:
    """Write the inputs of a check; return the number of calls."""
    try:
        spec, given = _described(config, kind, options)
        return dump.probe(path, spec, **given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _described(
    config: Mapping[str, Any], kind: Kind, options: Options
) -> tuple[RopeSpec, dict[str, Any]]:
    """The spec, and what a probe depends on beside it."""
    context = options.get("context") or context_of(config, kind["model_type"])
    return spec_from_config(config, **kind), {**options, "context": context}


def identify(name: str, head_dim: int, axes: int, options: Options) -> Outcome:
    """The description of a function that is named."""
    fn = function_of(name)
    return _measured(lambda: identify_function(fn, head_dim, axes=axes, **options))


def _measured(call: Callable[[], Verdict | Identification]) -> Outcome:
    try:
        result = call()
    except NotMeasured as error:
        return Outcome(None, f"Could not be measured. {error}", NOT_MEASURED)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    is_wrong = isinstance(result, Verdict) and not result.right
    return Outcome(result, "", WRONG if is_wrong else RIGHT)


def show(
    outcome: Outcome, as_json: bool = False, html: Path | None = None, title: str = ""
) -> None:
    """Print the outcome as text or JSON, and write it as a page."""
    if as_json:
        values = {"error": outcome.why} if outcome.result is None else outcome.result.as_dict()
        typer.echo(json.dumps(words.plain(values | {"exit_code": outcome.exit_code}), indent=1))
    else:
        typer.echo(text_of(outcome), err=outcome.result is None)
    if html and isinstance(outcome.result, Verdict):
        from .verdict_page import write

        write(html, outcome.result, title)


def text_of(outcome: Outcome) -> str:
    """The outcome in words."""
    if isinstance(outcome.result, Verdict):
        return outcome.result.text
    return words.description(outcome.result) if outcome.result else words.filled([outcome.why])
