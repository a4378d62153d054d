"""Numbers of bfloat16 and float16 in NumPy, without another library."""

from __future__ import annotations

import numpy as np

ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
SINGLE = ROUNDOFF["float32"]
HALF = ("bfloat16", "float16")
STORED_BITS = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}  # of the fraction
LEAST_EXPONENT = {"float64": -1022, "float32": -126, "float16": -14, "bfloat16": -126}


def rounded(values: np.ndarray, kind: str) -> np.ndarray:
    """float64 values, rounded to the nearest number of a format, ties to even."""
    with np.errstate(over="ignore"):
        if kind != "bfloat16":
            return np.asarray(values).astype(kind).astype(np.float64)
        words = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
        words = words + 0x7FFF + ((words >> 16) & 1) & np.uint64(0xFFFF0000)
        return words.astype(np.uint32).view(np.float32).astype(np.float64)


def step_at(values: np.ndarray, kind: str) -> np.ndarray:
    """The distance to the next number of a format, at the size of each value."""
    exponent = np.maximum(np.frexp(values)[1] - 1, LEAST_EXPONENT[kind])
    return np.ldexp(1.0, exponent - STORED_BITS[kind])


def are(values: np.ndarray, kind: str) -> bool:
    """Whether all values are numbers of a format, bit by bit."""
    values = np.asarray(values)[np.isfinite(values)]
    return bool(values.size) and bool(np.all(rounded(values, kind) == values))


def wrap(angle: np.ndarray) -> np.ndarray:
    """An angle modulo a turn, from -pi to pi."""
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))
