"""Strategies for a cos/sin table: their names, and how many rows a table gets.

The arrays are in `rope_jax.cache` and `rope_torch.cache`.
"""

from typing import Literal

import numpy as np

from .checks import check_arithmetic, check_spec
from .spec import Arithmetic, RopeSpec
from .values import check_choice, whole

Strategy = Literal["lazy", "doubling", "fixed", "split_table", "table_free"]
Count = int | np.integer
OutOfRange = Literal["error", "nan", "clamp"]
SPLIT = 1024  # split_table: position = SPLIT * high + low


def check_options(strategy: Strategy, arithmetic: Arithmetic, out_of_range: OutOfRange) -> None:
    """Raise ValueError for options of a module that are unknown, or do not go together."""
    check_choice("strategy", strategy, Strategy)
    check_choice("out_of_range", out_of_range, OutOfRange)
    check_arithmetic("RotaryEmbedding", arithmetic)
    if strategy != "table_free" and arithmetic.angles != "exact":
        raise ValueError(
            f"RotaryEmbedding: got angles={arithmetic.angles!r} with strategy {strategy!r}, "
            "expected 'exact': a table holds exact angles. Use strategy 'table_free'."
        )


def first_capacity(spec: RopeSpec, strategy: Strategy, length: Count) -> int:
    """The rows of a new table that serves `length` positions; 0 for a strategy without a table."""
    check_spec("init_cache", spec)
    check_choice("strategy", strategy, Strategy)
    length = whole("length", length)
    if strategy == "table_free":
        return 0
    if spec.depends_on_length or spec.real:
        cause = "real positions" if spec.real else "frequencies that change with the length"
        raise ValueError(
            f"strategy: got {strategy!r} for {cause}, expected 'table_free': a table has one fixed "
            "row for each position. Leave the strategy out."
        )
    if length < 1:
        raise ValueError(
            f"length: got {length} for strategy {strategy!r}, expected the number of positions, 1 "
            "or more."
        )
    return -(-length // SPLIT) * SPLIT if strategy == "split_table" else length


def grown_capacity(strategy: Strategy, capacity: int, length: Count) -> int:
    """The number of rows that serves `length` positions: `capacity` if that is enough.

    Raises:
        TypeError: the length is not a whole number.
        ValueError: a `fixed` or `split_table` table is too short.
    """
    length = whole("length", length)
    if length <= capacity or strategy == "table_free":
        return capacity
    if strategy == "lazy":
        return length
    if strategy == "doubling":
        times = -(-length // capacity)
        return capacity << (times - 1).bit_length()  # times the power of two that is enough
    raise ValueError(
        f"grow_cache: got length={length} for a {strategy} table of {capacity} rows, expected at "
        "most that. Start with a longer one, or use 'table_free', which serves every position."
    )


def check_in_table(smallest: int, largest: int, capacity: int) -> None:
    """Raise ValueError for positions, known on the host, that are not in the table."""
    if smallest < 0 or largest >= capacity:
        raise ValueError(
            f"lookup: got positions from {smallest} to {largest}, expected 0 to {capacity - 1}, "
            "the rows of the table. Call grow_cache first, pass out_of_range='clamp', or use "
            "'table_free', which serves every position."
        )
