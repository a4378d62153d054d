"""What a transformers model is made of, read from the names in its own code.

The configuration of a model does not say which class makes its cos and sin, nor which function rotates
by them: the code of its attention does.
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
def parts_of(config_class: type, model: type | None = None) -> tuple[type, ...]:
    """The classes that the models of a configuration class name, from the models down to their attention.

    Other models are entered only where no rotary class is found without them, as theirs may rotate
    in another way; where that finds none either, it is the whole modeling file (T5Gemma's models have
    the configuration around this one).

    Args:
        config_class: a configuration class of transformers.
        model: the model to begin with where that has no modeling file of its own (InternLM3's is Llama's).
    """
    classes = _classes_beside(config_class)
    models = [part for part in classes if getattr(part, "config_class", None) is config_class]
    if not classes and model:
        models = [model]
    alone = _reached(models, lambda part: not hasattr(part, "config_class"))
    together = _reached(models, lambda part: True)
    return next((parts for parts in (alone, together) if any(map(_is_rotary, parts))), tuple(classes))


def rotary_class(parts: Iterable[type]) -> type | None:
    """The one class that makes cos and sin; None where there is none, or more than one."""
    found = [part for part in parts if _is_rotary(part)]
    return found[0] if len(found) == 1 else None


def apply_functions(parts: Iterable[type]) -> dict[str, Callable]:
    """The functions that rotate q and k by those tables, by name."""
    forwards = [vars(part)["forward"] for part in parts if "forward" in vars(part)]
    functions = [value for forward in forwards for value in _named(forward) if inspect.isfunction(value)]
    return {value.__name__: value for value in functions if APPLY.match(value.__name__)}


def _is_rotary(part: type) -> bool:
    return ROTARY.search(part.__name__) is not None


def _classes_beside(config_class: type) -> list[type]:
    """The classes of the modeling file beside the file of a configuration; none where there is no such file."""
    name = config_class.__module__.replace("configuration_", "modeling_")
    try:
        values = vars(importlib.import_module(name)).values()
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return []
    return [value for value in values if inspect.isclass(value) and value.__module__ == name]


def _reached(start: Iterable[type], enters: Callable[[type], bool]) -> tuple[type, ...]:
    """`start`, and what their code names in the same file, directly or through one that it names."""
    found, waiting = [], list(start)
    while waiting:
        part = waiting.pop()
        if part not in found:
            found.append(part)
            methods = [value for value in vars(part).values() if inspect.isfunction(value)]
            waiting += [value for method in methods for value in _classes(method) if enters(value)]
    return tuple(found)


def _classes(method: Callable) -> Iterator[type]:
    """The classes of its own file that a method names, by themselves or in a dict of classes (Falcon's attention)."""
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
