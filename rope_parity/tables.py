"""A function that makes cos and sin, as a function that rotates.

So a table can be judged by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rope_spec import RopeSpec, spec_from_config
from rope_spec.config import Config

from .identification.frameworks import to_numpy
from .identification.layouts import channels_of

Table = tuple[np.ndarray, np.ndarray]


def from_tables(tables: Callable, config: Config | RopeSpec, label: str | None = None) -> Callable:
    """`fn(x, positions)` that rotates x by what `tables(positions)` returns.

    It rotates in halves, or as the config says.

    Args:
        tables: returns cos and sin `(..., S, P)`, or `(..., S, 2 P)` with every column twice, in
            either order; or complex numbers `(..., S, P)`; or one real array, `(..., S, 2 P)` with
            cos before sin, or `(..., S, P, 2)`.
        config: says which channels are a pair; a `RopeSpec` or a config.json.
        label: which kind of layer, where there are several.

    Returns:
        A function for `check_rope`, with x in float32.

    Raises:
        TypeError: x is not float32. Tables are judged by themselves, in the precision that they
            have.
        ValueError: what is returned has none of these forms.
    """
    spec = config if isinstance(config, RopeSpec) else spec_from_config(config, label)

    def rotate(x: Any, positions: Any) -> np.ndarray:
        x, dtype = to_numpy(x)
        if dtype != "float32":
            raise TypeError(f"tables are judged with x in float32, got {dtype}")
        cos, sin = per_pair(tables(positions), len(spec.pairs))
        return _rotated(x, cos[..., None, :], spec.sign * sin[..., None, :], spec)

    rotate.tables = tables  # names the framework  # pyright: ignore[reportFunctionMemberAccess]
    return rotate


def _rotated(x: np.ndarray, cos: np.ndarray, sin: np.ndarray, spec: RopeSpec) -> np.ndarray:
    layouts = spec.read, spec.write or spec.read
    size = len(spec.pairs), spec.pairs.axes, spec.start
    (a, b), (to_a, to_b) = (channels_of(layout, *size).T for layout in layouts)
    y = x.copy()
    y[..., to_a] = x[..., a] * cos - x[..., b] * sin
    y[..., to_b] = x[..., b] * cos + x[..., a] * sin
    return y.astype(np.float32)


def per_pair(result: Any, pairs: int) -> Table:
    """cos and sin, `(..., S, P)`, from any form of table."""
    if isinstance(result, tuple | list) and len(result) == 2:
        first, second = (_once(to_numpy(array)[0], pairs) for array in result)
    else:
        first, second = _apart(result, pairs)
    return (second, first) if _is_sine(first, second) else (first, second)


def _apart(result: Any, pairs: int) -> Table:
    """cos and sin from one array, complex or real."""
    if "complex" in str(result.dtype):
        parts = (result.real, result.imag)
        cos, sin = (_once(to_numpy(part)[0], pairs) for part in parts)
        return cos, sin
    table = to_numpy(result)[0]
    if table.shape[-2:] == (pairs, 2):
        return table[..., 0], table[..., 1]
    half = table.shape[-1] // 2
    return _once(table[..., :half], pairs), _once(table[..., half:], pairs)


def _once(table: np.ndarray, pairs: int) -> np.ndarray:
    """One column for each pair, from columns that occur once, or twice in either order."""
    if table.shape[-1] == 2 * pairs:
        halves = np.array_equal(table[..., :pairs], table[..., pairs:], equal_nan=True)
        table = table[..., :pairs] if halves else table[..., ::2]
    if table.shape[-1] != pairs:
        raise ValueError(
            f"tables: got {table.shape[-1]} columns, expected {pairs}, one for each pair, "
            "or twice as many."
        )
    return table


def _is_sine(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether the first is 0 and the second is not, at the first position, which is 0."""
    start, other = np.abs(first[..., -1]).flat[0], np.abs(second[..., -1]).flat[0]
    return bool(start < 0.1 < other)
