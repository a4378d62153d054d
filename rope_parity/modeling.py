"""What a transformers model is made of, read from the names in its own code: which class makes its tables, what rotates."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import CodeType, ModuleType
from typing import Any

ROTARY = re.compile("Rotary(Positional)?Embedding$")
APPLY = re.compile("^apply_.*(rotary|rope)")


def rotary_class(config_class: type) -> type | None:
    """The class that makes cos and sin for the models of a configuration class; None where there is no such one."""
    found = [part for part in _parts(config_class) if _is_rotary(part)]
    return found[0] if len(found) == 1 else None


def apply_functions(config_class: type) -> dict[str, Callable]:
    """The functions that rotate q and k by those tables, by name."""
    forwards = [part.forward for part in _parts(config_class) if "forward" in vars(part)]
    named = {value.__name__: value for forward in forwards for value in _named(forward) if inspect.isfunction(value)}
    return {name: function for name, function in named.items() if APPLY.match(name)}


@lru_cache
def _parts(config_class: type) -> tuple[type, ...]:
    """The classes that the models of a configuration class name, from the models down to their attention.

    Other models are entered only where no rotary class is found without them, as theirs may rotate in another way; and
    where that finds none either, it is the whole module (T5Gemma's models have the configuration around this one).
    """
    module = _module(config_class)
    if module is None:
        return ()
    classes = [value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__]
    models = [value for value in classes if getattr(value, "config_class", None) is config_class]
    alone = _reached(models, lambda part: not hasattr(part, "config_class"))
    together = _reached(models, lambda part: True)
    return next((parts for parts in (alone, together) if any(map(_is_rotary, parts))), tuple(classes))


def _is_rotary(part: type) -> bool:
    return ROTARY.search(part.__name__) is not None


def _module(config_class: type) -> ModuleType | None:
    name = config_class.__module__.replace("configuration_", "modeling_")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def _reached(start: Iterable[type], enters: Callable[[type], bool]) -> tuple[type, ...]:
    """`start`, and every class of the same modules that their code names, directly or through one that it names."""
    found, waiting = [], list(start)
    while waiting:
        part = waiting.pop()
        if part not in found:
            found.append(part)
            methods = [value for value in vars(part).values() if inspect.isfunction(value)]
            waiting += [value for method in methods for value in _classes(method) if enters(value)]
    return tuple(found)


def _classes(method: Callable) -> Iterator[type]:
    """The classes of its own module that a method names, by themselves or in a table such as FALCON_ATTENTION_CLASSES."""
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
    """The names in a function and in the functions and comprehensions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
