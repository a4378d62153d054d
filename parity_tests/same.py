"""Whether results are the same to the byte."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from rope_parity.measure import compare


def same_bytes(first: Any, second: Any, *others: Any) -> bool:
    """Whether arrays of any framework, or tuples of arrays, have the same shapes, dtypes and bytes.

    A NaN is a NaN: IEEE 754 leaves its sign and payload open.
    """
    left, *rights = (list(_arrays(result)) for result in (first, second, *others))
    return all(len(right) == len(left) and all(map(_same, left, right)) for right in rights)


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    same_kind = left.dtype == right.dtype and left.shape == right.shape
    return same_kind and compare(left, right, 1.0, 0.0).ok


def _arrays(result: Any) -> Iterator[np.ndarray]:
    if type(result).__module__.startswith("torch"):
        from rope_parity.backends import array  # the tests of rope_jax alone have no torch

        yield array(result)
    elif hasattr(result, "dtype"):
        yield np.asarray(result)
    else:
        for part in result:
            yield from _arrays(part)
