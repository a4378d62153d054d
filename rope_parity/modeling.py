"""What a transformers model is made of, read from the names in its own code.

The configuration of a model does not say which class makes its cos and sin, nor which function
rotates by them: the code of the model does.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

ROTARY = re.compile("Rotary(Positional)?Embedding$")
APPLY = re.compile("^apply_.*(rotary|rope)")


@lru_cache
def parts_of(config_class: type) -> tuple[type, ...]:
    """The classes that the models of a configuration class name, down to their attention.

    Nothing where the configuration has no modeling file beside it. Where its models name no rotary
    class it is the whole file: T5Gemma's models have the configuration around this one.
    """
    classes = _classes_beside(config_class)
    models = [part for part in classes if getattr(part, "config_class", None) is config_class]
    parts = parts_from(models)
    return parts if any(map(_is_rotary, parts)) else tuple(classes)


def parts_from(models: Iterable[type]) -> tuple[type, ...]:
    """The classes that some models name, directly or through one that they name.

    Other models are entered only where no rotary class is found without them: they may rotate in
    another way.
    """
    alone = _reached(models, lambda part: not hasattr(part, "config_class"))
    return alone if any(map(_is_rotary, alone)) else _reached(models, lambda part: True)


def rotary_class(parts: Iterable[type]) -> type | None:
    """The one class that makes cos and sin; None where there is none, or more than one."""
    found = [part for part in parts if _is_rotary(part)]
    return found[0] if len(found) == 1 else None


def apply_functions(parts: Iterable[type]) -> dict[str, Callable]:
    """The functions that rotate q and k by those tables, by name."""
    forwards = [vars(part)["forward"] for part in parts if "forward" in vars(part)]
    functions = [value for forward in forwards for value in _named(forward)]
    named = {value.__name__: value for value in functions if inspect.isfunction(value)}
    return {name: function for name, function in named.items() if APPLY.match(name)}


def _is_rotary(part: type) -> bool:
    return ROTARY.search(part.__name__) is not None


def _classes_beside(config_class: type) -> list[type]:
    """The classes of the modeling file beside a configuration's, or none without such a file."""
    name = config_class.__module__.replace("configuration_", "modeling_")
    try:
        values = vars(importlib.import_module(name)).values()
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return []
    return [value for value in values if inspect.isclass(value) and value.__module__ == name]


def _reached(start: Iterable[type], enters: Callable[[type], bool]) -> tuple[type, ...]:
    """`start`, and what their code names in the same file, directly or through what it names."""
    found, waiting = [], list(start)
    while waiting:
        part = waiting.pop()
        if part not in found:
            found.append(part)
            methods = [value for value in vars(part).values() if inspect.isfunction(value)]
            waiting += [value for method in methods for value in _classes(method) if enters(value)]
    return tuple(found)


def _classes(method: Callable) -> Iterator[type]:
    """The classes of its own file that a method names, alone or in a dict (Falcon's attention)."""
    module = inspect.unwrap(method).__module__
    for value in _named(method):
        for item in value.values() if isinstance(value, dict) else (value,):
            if inspect.isclass(item) and item.__module__ == module:
                yield item


def _named(function: Callable) -> Iterator[Any]:
    """The values of the globals that a function names."""
    function = inspect.unwrap(function)
    known = getattr(function, "__globals__", {})
    return (known[name] for name in _names(function.__code__) if name in known)


def _names(code: CodeType) -> Iterator[str]:
    """The names in a function, and in the functions and comprehensions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
