"""A JSON object that records which keys were used, so that an unknown rope key is an error."""

import re
import reprlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, TypeVar, overload

T = TypeVar("T")
Number = TypeVar("Number", int, float)

ROPE_KEY = re.compile("rope|rotary|yarn|ntk|(^|_)xpos")
PATH = re.compile(r"(?:(\d+)\*)?([\w.]+)(?:([/+-])(\w+))?")
ANY_KEY = re.compile("")
OBJECT: type[dict[str, Any]] = dict  # the kind of a JSON object
LIST: type[list[Any]] = list  # and of a list
KIND_NAMES: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "true or false",
    LIST: "a list",
    OBJECT: "an object",
}
CONVERT: dict[type, Callable[[Any], Any]] = {int: int, float: float}
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "/": lambda a, b: a // b if isinstance(a, int) else a / b,
}


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value is a JSON object."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value is a JSON list."""
    return isinstance(value, list)


def shown(value: Any) -> str:
    """A value for an error text, cut short: a config may hold a number of a million digits."""
    try:
        return _short.repr(value)
    except (ValueError, RecursionError):  # Python prints no integer above 4300 digits
        return f"{type(value).__name__} that is too long to print"


class Keys:
    """One JSON object of a configuration; `null` counts as absent, as in transformers."""

    def __init__(self, values: Mapping[str, Any], name: str) -> None:
        self.values, self.name = values, name
        self.used: set[str] = set()
        self.skipped: set[str] = set()
        self.rope_objects: list[Keys] = []  # nested here; all of their keys have to be used

    def rope_object(self, values: Mapping[str, Any], name: str) -> "Keys":
        """A rope object of this object, whose unread keys are also this object's."""
        self.rope_objects.append(Keys(values, name))
        return self.rope_objects[-1]

    def mark_used(self, *keys: str | None) -> None:
        """Count keys as used, without a look at their values; None is no key."""
        self.used |= {key for key in keys if key is not None}

    @overload
    def get(self, key: str | None, kind: type[T]) -> T | None: ...

    @overload
    def get(self, key: str | None, kind: type[T], default: T) -> T: ...

    def get(self, key: str | None, kind: type[T], default: T | None = None) -> T | None:
        """The value of `key` as `kind`; the default if it is absent, or if the key is None.

        Raises:
            TypeError: the value is of another kind.
        """
        if key is None:
            return default
        if "." in key:  # b of the object a
            outer, inner = key.split(".")
            nested = Keys(self.get(outer, OBJECT, {}), f"{self.name}.{outer}")
            return nested.get(inner, kind, default)
        self.used.add(key)
        value: Any = self.values.get(key)
        if value is None and not (kind is bool and key in self.values):  # null is not false
            return default
        if not _fits(value, kind):
            raise TypeError(
                f"{self.name}: got {key}={shown(value)}, expected {KIND_NAMES[kind]}. Correct "
                "the value."
            )
        return CONVERT[kind](value) if kind in CONVERT else value

    def computed(self, path: str, kind: type[Number]) -> Number | None:
        """The value of a key, or of `a/b`, `2*a/b`, `a+b`, `a-b`.

        None if a key is missing, or if b of a quotient is 0.
        """
        match = PATH.fullmatch(path)
        assert match is not None, path
        times, whole, sign, part = match.groups()
        a, b = self.get(whole, kind), self.get(part, kind)
        if a is None or (sign and b is None) or (sign == "/" and b == 0):
            return None
        return OPERATIONS[sign](int(times or 1) * a, b) if sign else int(times or 1) * a

    def is_null(self, key: str) -> bool:
        """Whether the key is there and holds null."""
        return key in self.values and self.values[key] is None

    def need(self, key: str, kind: type[T], why: str) -> T:
        """The value of `key`; ValueError if it is absent."""
        value = self.get(key, kind)
        if value is None:
            raise ValueError(
                f"{self.name}: got no {key!r}, expected {KIND_NAMES[kind]}: {why}. Add the key to "
                "the config."
            )
        return value

    def numbers(self, key: str, why: str) -> tuple[float, ...]:
        """A list of numbers that has to be there."""
        values = self.need(key, LIST, why)
        if not values or not all(_fits(value, float) for value in values):
            raise TypeError(
                f"{self.name}: got {key}={shown(values)}, expected a list of numbers. Correct the "
                "value."
            )
        return tuple(float(value) for value in values)

    def skip(self, pattern: re.Pattern[str] = ANY_KEY) -> None:
        """Let the keys that match pass unread: they belong to layers that do not rotate."""
        self.skipped |= {key for key in self.values if pattern.search(str(key))}

    def unread(self, pattern: re.Pattern[str] = ROPE_KEY) -> list[tuple["Keys", str]]:
        """The keys that match and were never used, and any such key of the rope objects."""
        held = (key for key, value in self.values.items() if value is not None)
        passed = self.used | self.skipped
        own = [(self, key) for key in held if key not in passed and pattern.search(str(key))]
        return own + [entry for keys in self.rope_objects for entry in keys.unread(ANY_KEY)]

    def decides(self, key: str) -> bool:
        """Whether the rotation depends on this key: it is here, or in a rope object, and used."""
        return (key in self.used and key in self.values) or any(
            rope.decides(key) for rope in self.rope_objects
        )


def _fits(value: Any, kind: type[object]) -> bool:
    """Whether a JSON value is of a kind: true is no number, 2.0 is whole, float64 is the limit."""
    if kind in (int, float):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        is_finite = is_number and abs(value) <= sys.float_info.max
        return is_finite and (kind is float or value == int(value))
    return isinstance(value, kind)
