"""cos/sin tables as values: `init_cache`, `grow_cache`, `lookup`; growing builds another cache and keeps every row.

All strategies give the same bits, but `split_table`, which is within 1.6e-7 f. `table_free` holds nothing and never grows.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rope_spec import OutOfRange, RopeSpec, Strategy
from rope_spec.strategies import SPLIT, check_on_host, first_capacity, grown_capacity
from rope_spec.values import check_choice

from .functional import Length, Positions, Table, checked, cos_sin
from .phase import constants, phase_cos_sin, phase_of


@dataclass(frozen=True, eq=False)
class RopeCache:
    """A cos/sin table for one spec."""

    spec: RopeSpec
    strategy: Strategy
    capacity: int  # positions from 0 up to here are served; 0 for table_free: all are
    tables: tuple[
        Tensor, ...
    ] = ()  # cos, sin (L, P); for split_table those of SPLIT * h without factor, then those below SPLIT


def init_cache(
    spec: RopeSpec, strategy: Strategy = "table_free", length: int = 0, device=None
) -> RopeCache:
    """A cache that serves positions from 0 up to `length`.

    Args:
        spec: the rotary embedding.
        strategy: `lazy` grows to the exact length, `doubling` to a power of two times the first, `fixed` never;
            `split_table` keeps two small tables and adds angles; `table_free` keeps nothing.
        length: the first number of rows; `table_free` needs none.
        device: where the tables are.

    Raises:
        ValueError: an unknown strategy, no length, or a table for frequencies that change with the length.

    Example:
        >>> from rope_spec import Pairs
        >>> cache = init_cache(RopeSpec(head_dim=4, theta=10000.0, pairs=Pairs.single(rotary_dim=4)), "doubling", 8)
        >>> cache = grow_cache(cache, 9)
        >>> cache.capacity, tuple(lookup(cache, torch.arange(9)[None])[0].shape)
        (16, (1, 9, 2))
    """
    capacity = first_capacity(spec, strategy, length)
    return RopeCache(spec, strategy, capacity, _tables(spec, strategy, 0, capacity, device))


def grow_cache(cache: RopeCache, length: int) -> RopeCache:
    """A cache that serves `length` positions: the same object when this one does, else one with the same first rows.

    Raises:
        ValueError: a `fixed` or `split_table` cache is too short.
    """
    capacity = grown_capacity(cache.strategy, cache.capacity, length)
    if capacity == cache.capacity:
        return cache
    more = _tables(cache.spec, cache.strategy, cache.capacity, capacity, cache.tables[0].device)
    tables = tuple(torch.cat(rows) for rows in zip(cache.tables, more, strict=True))
    return replace(cache, capacity=capacity, tables=tables)


def lookup(
    cache: RopeCache,
    positions: Positions,
    *,
    seq_len: Length = None,
    out_of_range: OutOfRange = "error",
) -> Table:
    """cos and sin at the positions, `(..., S, P)` float32, with the same arguments for every strategy.

    Args:
        cache: from `init_cache` or `grow_cache`.
        positions: `(..., S)`, or `(..., S, A)` for a spec with A > 1 axes.
        seq_len: the current length, for `DynamicNTK` and `LongRope`.
        out_of_range: what a position outside the table gives. `error`: ValueError where positions
            are on the CPU; NaN elsewhere, and under `torch.compile` and `torch.vmap`. `nan`: NaN
            everywhere. `clamp`: the nearest row.

    Raises:
        ValueError: positions outside the table, with `error`.
    """
    check_choice("out_of_range", out_of_range, OutOfRange)
    if cache.strategy == "table_free":
        return cos_sin(cache.spec, positions, seq_len=seq_len)
    positions = checked(cache.spec, positions)
    if (
        out_of_range == "error"
        and positions.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and positions.numel()
    ):
        with suppress(RuntimeError):  # under torch.vmap no value can be read
            smallest, largest = map(int, positions.long().aminmax())
            check_on_host(smallest, largest, cache.capacity)
    return _lookup(cache, positions, out_of_range)


def cached_cos_sin(
    cache: RopeCache,
    positions: Positions,
    length: int,
    *,
    seq_len: Length = None,
    out_of_range: OutOfRange = "error",
) -> tuple[Table, RopeCache]:
    """`grow_cache` and `lookup` in one call: `((cos, sin), cache)`; `length` is what the positions stay below."""
    cache = grow_cache(cache, length)
    return lookup(cache, positions, seq_len=seq_len, out_of_range=out_of_range), cache


def _lookup(cache: RopeCache, positions: Tensor, out_of_range: OutOfRange) -> Table:
    pairs = cache.spec.pairs
    per_pair = (positions if pairs.axes == 1 else pairs.coordinates(positions)).long()
    inside = per_pair.clamp(0, cache.capacity - 1)
    cos, sin = (_split_rows if cache.strategy == "split_table" else _rows)(
        cache.tables, inside, pairs.axes
    )
    if out_of_range == "clamp":
        return cos, sin
    is_outside = inside != per_pair if pairs.axes > 1 else (inside != per_pair)[..., None]
    return cos.masked_fill(is_outside, torch.nan), sin.masked_fill(is_outside, torch.nan)


def _tables(
    spec: RopeSpec, strategy: Strategy, start: int, stop: int, device
) -> tuple[Tensor, ...]:
    """The rows of positions from `start` to `stop`, with the same integers as without a table."""
    if strategy == "table_free":
        return ()
    turns, _, factor = constants(spec, None)
    turns = torch.tensor(turns, device=device)
    rows = lambda positions, f: phase_cos_sin(phase_of(positions[:, None], turns), f)
    if strategy == "split_table":
        high, low = torch.arange(0, stop, SPLIT, device=device), torch.arange(SPLIT, device=device)
        return *rows(high, 1.0), *rows(low, factor)
    return rows(torch.arange(start, stop, device=device), factor)


def _rows(tables: tuple[Tensor, ...], index: Tensor, axes: int) -> Table:
    """Rows of two tables, or for A > 1 axes each pair from the row of its own coordinate."""
    column = () if axes == 1 else (torch.arange(tables[0].shape[-1], device=index.device),)
    cos, sin = (table[(index, *column)] for table in tables)
    return cos, sin


def _split_rows(tables: tuple[Tensor, ...], index: Tensor, axes: int) -> Table:
    """`(c, s)(a + b)` from `(c, s)(a)` and `(c, s)(b)`, for `position = SPLIT h + l`: one pair turned by the other's angle."""
    cos_high, sin_high = _rows(tables[:2], index // SPLIT, axes)
    cos_low, sin_low = _rows(tables[2:], index % SPLIT, axes)
    return cos_high * cos_low - sin_high * sin_low, sin_high * cos_low + cos_high * sin_low
