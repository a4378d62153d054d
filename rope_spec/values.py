"""Numbers and names as a description holds them: checked, and of one type whatever they came as."""

from numbers import Integral, Real
from typing import get_args

LEAST, MOST = 1e-30, 1e30  # what float32 and its square root hold, far beyond any model
MOST_POSITIONS = 2**31  # as many int32 are not negative


def whole(name: str, value: object, least: int = 0, most: int = MOST_POSITIONS) -> int:
    """`value` as an int, NumPy's included.

    Raises:
        TypeError: it is no whole number; True and 8.0 are none.
        ValueError: it is not from `least` to `most`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name}: got {value!r}, expected a whole number. Call int() where it is one."
        )
    if not least <= value <= most:
        raise ValueError(f"{name}: got {value}, expected {least} to {most}. Correct the value.")
    return int(value)


def number(name: str, value: object) -> float:
    """`value` as a float, NumPy's included.

    Raises:
        TypeError: it is no real number; True is none.
        ValueError: it is beyond what float32 can be computed with.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: got {value!r}, expected a number. Call float() where it is one.")
    if not -MOST <= value <= MOST:
        raise ValueError(
            f"{name}: got {value!r}, expected a finite number, from {-MOST} to {MOST}. Correct it."
        )
    return float(value)


def positive(name: str, value: object) -> float:
    """`number`, above 0."""
    if not is_positive(checked := number(name, value)):
        raise ValueError(
            f"{name}: got {value!r}, expected a finite number above 0, from {LEAST} to {MOST}. "
            "Correct the value."
        )
    return checked


def is_positive(value: float) -> bool:
    """Whether a number is above 0 and of a size that float32 can be computed with."""
    return LEAST <= value <= MOST


def check_choice(name: str, value: object, allowed: object) -> None:
    """Raise ValueError unless `value` is one of the choices of the Literal `allowed`."""
    choices = get_args(allowed)
    if value not in choices:
        expected = ", ".join(map(repr, choices))
        raise ValueError(f"{name}: got {value!r}, expected one of {expected}. Name one of them.")
