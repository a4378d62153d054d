"""The unit of error: `|d| / (eps * |pair|)`, since a rotation keeps the length of a pair.

Beside it stands the share of equal bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import ml_dtypes
import numpy as np

DTYPES = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}


class Measurement(NamedTuple):
    """How far two arrays lie apart."""

    max_abs: float  # largest |left - right|
    max_eps: float  # largest |left - right| / (eps |pair|)
    bit_equal: float  # share of equal bytes; a float64 right side is rounded to the left's dtype
    worst: tuple[int, ...]  # index of the element that is closest to its bound, or furthest beyond
    bound: float  # what is allowed there, in the units of max_eps
    bound_used: float  # how much of its bound the worst element uses; above 1 it is broken
    ok: bool


def eps_of(dtype: np.dtype) -> float:
    """The distance from 1 to the next number of a dtype."""
    return float(ml_dtypes.finfo(dtype).eps)


def compare(
    left: np.ndarray, right: np.ndarray, pair: np.ndarray | float, bound: np.ndarray | float
) -> Measurement:
    """Measure `left` against `right`.

    Args:
        left: an array of a floating dtype, which decides eps.
        right: the same shape; the same dtype where bytes are to be compared.
        pair: the length of the pair that each element belongs to, broadcast against it.
        bound: the allowed `|left - right| / |pair|` of each element, broadcast against it; 0 asks
            for equal bytes.
    """
    if left.shape != right.shape:
        raise ValueError(
            f"compare: got shapes {left.shape} and {right.shape}, expected them equal."
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        equal = _bytes(left) == _bytes(right.astype(left.dtype))
        a, b = left.astype(np.float64), right.astype(np.float64)
        difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        relative = np.where(difference == 0, 0.0, np.nan_to_num(difference / pair, nan=np.inf))
        used = np.where(relative == 0, 0.0, relative / bound)
    worst = np.unravel_index(np.argmax(used), used.shape)
    eps, allowed = eps_of(left.dtype), np.broadcast_to(bound, used.shape)[worst]
    ok = bool(used[worst] <= 1 and (np.any(bound) or equal.all()))
    largest = float(difference.max()), float(relative.max()) / eps, float(equal.mean())
    return Measurement(
        *largest, tuple(map(int, worst)), float(allowed) / eps, float(used[worst]), ok
    )


def _bytes(array: np.ndarray) -> np.ndarray:
    """The bytes, with one NaN for all.

    IEEE 754 leaves sign and payload of a NaN open, and no operation reads them.
    """
    one_nan = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return np.frombuffer(one_nan.tobytes(), np.uint8)
