"""A fault as a value: what it changes, and how it may be named."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from .around import Make, after, before
from .rope import Array, Rope, plain


def same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Fault:
    """What is taken for the rotary embedding, how it is computed, and the program around it.

    Attributes:
        readings: each a set of names that says it all.
        rope: the wrong description, from the right one.
        steps: fields of `Steps`.
        program: what makes the function, from what would make it right.
        how: how a table ends, or why there are several readings.
    """

    readings: tuple[frozenset[str], ...]
    rope: Callable[[Rope], Rope] = same
    steps: dict[str, Any] = field(default_factory=dict)
    program: Callable[[Make], Make] = same
    how: str = ""


def readings(names: str) -> tuple[frozenset[str], ...]:
    """ "a b | c": the names a and b, or c."""
    return tuple(frozenset(part.split()) for part in names.split("|"))


def described(names: str, how: str = "", **changes: Any) -> Fault:
    """Fields of `Rope` that are wrong; what can be called is given the right description."""

    def wrong(rope: Rope) -> Rope:
        return replace(rope, **{key: value(rope) for key, value in changes.items()})

    return Fault(readings(names), rope=wrong, how=how)


def given(value: Any) -> Callable[[Rope], Any]:
    return lambda rope: value


def ruled(names: str, how: str = "", **numbers: Any) -> Fault:
    """Numbers of the scaling that are wrong."""
    return described(names, how, rule=lambda rope: partial(rope.rule, **numbers))


def unscaled(names: str, how: str = "") -> Fault:
    """No scaling at all."""
    return described(names, how, rule=given(plain), factor=given(1.0), follows_length=given(False))


def powered(names: str, exponent: Callable[[Array, int], Array], how: str = "") -> Fault:
    return described(names, how, exponent=given(exponent))


def finished(names: str, change: Callable[[Array], Array], how: str = "") -> Fault:
    """The frequencies are changed at last."""
    return described(names, how, finish=given(change))


def computed(names: str, how: str = "", **steps: Any) -> Fault:
    return Fault(readings(names), steps=steps, how=how)


def programmed(names: str, program: Callable[[Make], Make], how: str = "") -> Fault:
    return Fault(readings(names), program=program, how=how)


def fed(names: str, change: Callable) -> Fault:
    return programmed(names, before(change))


def returned(names: str, change: Callable) -> Fault:
    return programmed(names, after(change))


def one_times(k: int, number: float) -> Callable[[Array], Array]:
    """The frequency of one pair is multiplied."""
    return lambda w: np.where(np.arange(len(w)) == k, w * w.dtype.type(number), w)
