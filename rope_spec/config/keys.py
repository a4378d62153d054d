"""A JSON object that remembers which of its keys were read, so that a key nobody understood is an error, not a guess."""

import re
import sys
from collections.abc import Mapping
from typing import Any

OURS = re.compile("rope|rotary|yarn|ntk")
KINDS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", list: "a list", dict: "an object"}


class Keys:
    """One JSON object of a configuration; `None` counts as absent, as in transformers."""

    def __init__(self, values: Mapping[str, Any], name: str):
        self.values, self.name = values, name
        self.read: set[str] = set()

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of `key` as `kind`, or the default where it is absent; TypeError where it is something else."""
        self.read.add(key)
        value: Any = self.values.get(key)
        if value is None and not (kind is bool and key in self.values):  # null is neither true nor false
            return default
        if not _fits(value, kind):
            raise TypeError(f"{self.name}: got {key}={value!r}, expected {KINDS[kind]}.")
        return kind(value) if kind in (int, float) else value  # pyright: ignore[reportArgumentType]

    def way(self, way: str, kind: type) -> Any:
        """The value of a key, or for `a/b` of one divided by the other; None where one is missing, or b is 0."""
        whole, *part = (self.get(key, kind) for key in way.split("/"))
        if not part or whole is None:
            return whole
        return None if not part[0] else whole // part[0] if kind is int else whole / part[0]

    def is_null(self, key: str) -> bool:
        """Whether the key is there and holds null."""
        return key in self.values and self.values[key] is None

    def need(self, key: str, kind: type, why: str) -> Any:
        """The value of `key`; ValueError where it is absent."""
        value = self.get(key, kind)
        if value is None:
            raise ValueError(f"{self.name}: got no {key!r}, expected {KINDS[kind]}: {why}. Add the key to the config.")
        return value

    def numbers(self, key: str, why: str) -> tuple[float, ...]:
        """A list of numbers that has to be there."""
        values = self.need(key, list, why)
        if not values or not all(_fits(value, float) for value in values):
            raise TypeError(f"{self.name}: got {key}={values!r}, expected a list of numbers.")
        return tuple(float(value) for value in values)

    def finish(self, pattern: re.Pattern[str] = re.compile("")) -> None:
        """Raise ValueError for keys that match the pattern, hold something, and were never read."""
        unread = [k for k, v in self.values.items() if v is not None and k not in self.read and pattern.search(str(k))]
        if unread:
            raise ValueError(
                f"{self.name}: got {', '.join(map(repr, sorted(unread)))}, which nothing here reads. A rotation without it "
                "could be wrong: remove the key if it changes nothing, or describe what it does in families.toml."
            )


def _fits(value: Any, kind: type) -> bool:
    """Whether a JSON value is of a kind: true is no number, 2.0 is a whole one, and beyond float64 there is none."""
    if kind in (int, float):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
        return is_number and (kind is float or value == int(value))
    return isinstance(value, kind)
