"""Checks of the numbers and names in a spec; numbers of NumPy become Python's."""

from collections.abc import Callable
from numbers import Integral, Real
from types import UnionType
from typing import Any, cast, get_args

import numpy as np

LEAST, MOST = 1e-30, 1e30  # wider than any model needs, and far from float32 overflow
MAX_POSITIONS = 2**31  # as many as int32 has from 0 on


def whole(name: str, value: object, least: int = 0, most: int = MAX_POSITIONS) -> int:
    """`value`, which may be NumPy's, as an int.

    Raises:
        TypeError: it is not of an integer type: True and 8.0 are not.
        ValueError: it is not from `least` to `most`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: got {value!r}, expected a whole number. Call int() if it is one.")
    if not least <= (converted := int(value)) <= most:
        raise ValueError(f"{name}: got {value}, expected {least} to {most}. Correct the value.")
    return converted


def number(name: str, value: object) -> float:
    """`value`, which may be NumPy's, as a float.

    Raises:
        TypeError: it is not of a real type: True is not.
        ValueError: it is not from -1e30 to 1e30.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: got {value!r}, expected a number. Call float() if it is one.")
    plain = cast(Any, value).item() if isinstance(value, np.generic) else cast(float, value)
    if not -MOST <= plain <= MOST:  # plain, since NumPy's float16 holds no 1e30
        raise ValueError(
            f"{name}: got {value!r}, expected a finite number, from {-MOST} to {MOST}. Correct it."
        )
    return float(plain)


def positive(name: str, value: object) -> float:
    """`value`, which may be NumPy's, as a float; ValueError if it is not from 1e-30 to 1e30."""
    if not LEAST <= (converted := number(name, value)) <= MOST:
        raise ValueError(
            f"{name}: got {value!r}, expected a finite number above 0, from {LEAST} to {MOST}. "
            "Correct the value."
        )
    return converted


def flag(name: str, value: object) -> bool:
    """`value`, which may be NumPy's, as a bool; TypeError where it is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: got {value!r}, expected True or False. Give one of them.")
    return bool(cast(Any, value))


def of_kind(name: str, value: object, kind: type | UnionType, what: str) -> Any:
    """`value` itself; TypeError unless it is an instance of `kind`, described by `what`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: got {value!r}, expected {what}. Make one of it.")
    return value


def check_choice(name: str, value: object, allowed: object) -> None:
    """Raise ValueError unless `value` is one of the choices of the Literal `allowed`."""
    choices = get_args(allowed)
    if not isinstance(value, str) or value not in choices:
        expected = ", ".join(map(repr, choices))
        raise ValueError(f"{name}: got {value!r}, expected one of {expected}. Name one of them.")


def convert_fields(
    owner: object, convert: Callable[..., object], *names: str, **options: int
) -> None:
    """Check fields of a frozen dataclass, and set each to the number that `convert` makes of it.

    None stays where it is the default: that number is derived from the others.
    """
    for name in names:
        value, is_optional = getattr(owner, name), getattr(type(owner), name, ...) is None
        if value is not None or not is_optional:
            label = f"{type(owner).__name__}.{name}"
            object.__setattr__(owner, name, convert(label, value, **options))


def convert_tuples(owner: object, convert: Callable[[str, object], object], *names: str) -> None:
    """`convert_fields` for tuples of numbers; TypeError for anything else."""
    for name in names:
        label = f"{type(owner).__name__}.{name}"
        numbers = of_kind(label, getattr(owner, name), tuple, "a tuple, which can be hashed")
        object.__setattr__(owner, name, tuple(convert(label, each) for each in numbers))
