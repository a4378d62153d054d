"""Where a transformers model keeps its rotary embedding.

That is the class of its tables, the function that rotates, and the kind of layer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

from rope_spec import RopeSpec
from rope_spec.config.towers import Tower, towers

from . import modeling

Parts = tuple[type, ...]


class NoReference(LookupError):
    """transformers has nothing to compare with; the message says what is missing."""


def absence(what: str, owner: type | str) -> NoReference:
    """The error for what transformers does not have for a configuration class, or a model type."""
    name = owner if isinstance(owner, str) else owner.__name__
    return NoReference(f"transformers {version('transformers')} has {what} for {name}")


def text_and_tower(config: Any, label: str | None) -> tuple[Tower, Tower]:
    """The text model of a config.json, and the part that a label belongs to."""
    text, *others = towers(config).parts
    named = [tower for tower in others if f"{label}.".startswith(f"{tower.name}.")]
    return text, max(named, key=lambda tower: len(tower.name), default=text)


def inner_configs(config: Any, around: str = "") -> Iterator[tuple[str, Any]]:
    """The configuration objects inside one, each with its path of keys, the outer ones first."""
    inside = [(key, part) for key, part in vars(config).items() if hasattr(part, "get_text_config")]
    parts = [(f"{around}{key}", part) for key, part in inside]
    yield from parts
    for path, part in parts:
        yield from inner_configs(part, f"{path}.")


def rotary_class(parts: Parts, config_class: type) -> type:
    """The class that makes cos and sin from positions; NoReference where there is no such one."""
    rotary = modeling.rotary_class(parts)
    if rotary is None:
        raise absence("no rotary class, or several,", config_class)
    if not {"x", "position_ids"} <= inspect.signature(rotary.forward).parameters.keys():
        raise absence(f"tables that do not come from positions ({rotary.__name__})", config_class)
    return rotary


def apply_function(parts: Parts, config_class: type, spec: RopeSpec) -> Callable:
    """The function that rotates q and k.

    Where a model has one for each layout, it is that of the spec.
    """
    found = modeling.apply_functions(parts)
    if len(found) > 1:
        interleaves = spec.write not in (None, spec.read)
        found = {
            name: f for name, f in found.items() if name.endswith("_interleave") == interleaves
        }
    if len(found) != 1:
        raise absence(f"{', '.join(found) or 'no function'} to rotate by", config_class)
    return next(iter(found.values()))


def layer_argument(rotary: Any, config: Any, label: str | None) -> dict[str, str]:
    """The argument that names a kind of layer, where kinds have parameters of their own."""
    argument = inspect.signature(rotary.forward).parameters.get("layer_type")
    kind = "indexed_attention" if label == "indexer" else (label or "").split(".")[-1]
    parameters = getattr(config, "rope_parameters", None) or {}
    is_for_all = not isinstance(parameters.get(kind), dict)
    if argument is None or (argument.default is None and is_for_all):
        return {}
    if not hasattr(rotary, f"{kind}_inv_freq"):
        raise absence(f"no table for {kind!r}, as no layer is of that kind,", type(config))
    return {"layer_type": kind}
