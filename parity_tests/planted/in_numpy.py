"""NumPy, by channel index: y[a] = x[a] cos - x[b] sin, y[b] = x[b] cos + x[a] sin."""

import ml_dtypes
import numpy as np

from .case import Function
from .rope import Array, Rope
from .steps import Steps, call_length, coordinate

DTYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


def rounded(array: Array, dtype: str) -> Array:
    if not dtype:
        return array
    with np.errstate(over="ignore"):
        return array.astype(DTYPES[dtype]).astype(array.dtype)


def by_index(rope: Rope, steps: Steps, number: type = np.float32) -> Function:
    """A rotary embedding whose angles are `number`, rotated in the same, cast once."""

    def fn(x: Array, positions: Array) -> Array:
        cos, sin = tables(positions, rope, steps, number)
        cos, sin = steps.spread(cos), steps.spread(sin)
        return rotated(x, cos, sin, rope, steps, number)

    return fn


def tables(positions: Array, rope: Rope, steps: Steps, number: type) -> tuple[Array, Array]:
    """Cosines and sines, (B, S, P)."""
    row, beyond = rows_of(coordinate(positions + rope.offset, rope), steps)
    w = rounded(rope.frequencies(call_length(positions, rope), number), steps.frequencies)
    angles = rounded(rounded(row.astype(number), steps.positions) * w, steps.angles)
    cos, sin = np.cos(rope.sign * angles), np.sin(rope.sign * angles)
    if rope.exchanged:
        cos, sin = sin, cos
    lost = {"zero": 0, "nan": np.nan}.get(steps.end)
    both = [rounded(number(rope.factor) * table, steps.table) for table in (cos, sin)]
    if lost is None:
        return both[0], both[1]
    return np.where(beyond, lost, both[0]), np.where(beyond, lost, both[1])


def rows_of(row: Array, steps: Steps) -> tuple[Array, Array]:
    """The row of a table that a position is given, and whether the position lies beyond it."""
    if not steps.rows:
        return row, np.zeros_like(row, bool)
    end = row % steps.rows if steps.end == "wrapped" else np.minimum(row, steps.rows - 1)
    return end, row >= steps.rows


def rotated(
    x: Array, cos: Array, sin: Array, rope: Rope, steps: Steps, number: type = np.float32
) -> Array:
    a, b = (
        rounded(x[..., channels].astype(number), steps.products)
        for channels in rope.channels(rope.read)
    )
    cos, sin = rounded(cos.astype(number), steps.products), rounded(sin, steps.products)
    keep = lambda product: rounded(product, steps.products)
    y = np.array(x)
    near, far = rope.channels(rope.write)
    y[..., near] = keep(keep(a * cos) - keep(b * sin)).astype(x.dtype)
    y[..., far] = keep(keep(b * cos) + keep(a * sin)).astype(x.dtype)
    return y
