"""Checks of the numbers and names in a spec; numbers of NumPy become Python's."""

from numbers import Integral, Real
from typing import Any, cast, get_args

import numpy as np

LEAST, MOST = 1e-30, 1e30  # float32 can be computed with these, and they are beyond any model
MOST_POSITIONS = 2**31  # the number of int32 that are not negative


def whole(name: str, value: object, least: int = 0, most: int = MOST_POSITIONS) -> int:
    """`value`, which may be NumPy's, as an int.

    Raises:
        TypeError: it is not of an integer type, as True and 8.0.
        ValueError: it is not from `least` to `most`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name}: got {value!r}, expected a whole number. Call int() where it is one."
        )
    if not least <= (converted := int(value)) <= most:
        raise ValueError(f"{name}: got {value}, expected {least} to {most}. Correct the value.")
    return converted


def number(name: str, value: object) -> float:
    """`value`, which may be NumPy's, as a float.

    Raises:
        TypeError: it is not of a real type, as True.
        ValueError: it is not from -1e30 to 1e30.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: got {value!r}, expected a number. Call float() where it is one.")
    plain = cast(Any, value).item() if isinstance(value, np.generic) else cast(float, value)
    if not -MOST <= plain <= MOST:  # plain, since NumPy's float16 holds no 1e30
        raise ValueError(
            f"{name}: got {value!r}, expected a finite number, from {-MOST} to {MOST}. Correct it."
        )
    return float(plain)


def positive(name: str, value: object) -> float:
    """`number(name, value)`; ValueError where that is not from 1e-30 to 1e30."""
    if not is_positive(checked := number(name, value)):
        raise ValueError(
            f"{name}: got {value!r}, expected a finite number above 0, from {LEAST} to {MOST}. "
            "Correct the value."
        )
    return checked


def is_positive(value: float) -> bool:
    """Whether a number is from 1e-30 to 1e30."""
    return LEAST <= value <= MOST


def flag(name: str, value: object) -> bool:
    """`value`, which may be NumPy's, as a bool; TypeError where it is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: got {value!r}, expected True or False. Call bool() on it.")
    return bool(cast(Any, value))


def of_kind(name: str, value: object, kind: Any, what: str) -> Any:
    """`value` itself; TypeError where it is not of a kind, the types of what it has to be."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: got {value!r}, expected {what}. Make one of it.")
    return value


def check_choice(name: str, value: object, allowed: object) -> None:
    """Raise ValueError unless `value` is one of the choices of the Literal `allowed`."""
    choices = get_args(allowed)
    if not isinstance(value, str) or value not in choices:
        expected = ", ".join(map(repr, choices))
        raise ValueError(f"{name}: got {value!r}, expected one of {expected}. Name one of them.")
