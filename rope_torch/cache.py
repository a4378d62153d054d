"""cos/sin tables as values: `init_cache`, `grow_cache`, `lookup`.

Growing builds another cache with the same first rows. All strategies give the same bits, except
`split_table`, whose error is at most 1.6e-7 times the attention factor. `table_free` holds no table
and never grows.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float32, Int64, Integer
from torch import Tensor

from rope_spec import OutOfRange, RopeSpec, Strategy
from rope_spec.checks import check_cache
from rope_spec.strategies import SPLIT, Count, check_in_table, first_capacity, grown_capacity
from rope_spec.values import check_choice

from .functional import Length, Positions, Table, checked, cos_sin
from .phase import constants, phase_cos_sin, phase_of, turns_tensor

Device = torch.device | str | int | None


@dataclass(frozen=True, eq=False)  # tensors have no single truth value
class RopeCache:
    """A cos/sin table for one spec."""

    spec: RopeSpec
    strategy: Strategy
    capacity: int  # L, 0 without a table
    # cos and sin, (L, P); split_table has four: cos and sin at the multiples of SPLIT, without the
    # attention factor, then both at 0 to SPLIT - 1
    tables: tuple[Float32[Tensor, "_L P"], ...] = ()


def init_cache(
    spec: RopeSpec, strategy: Strategy = "table_free", length: Count = 0, device: Device = None
) -> RopeCache:
    """A cache that serves positions from 0 to `length - 1`.

    Args:
        spec: the rotary embedding.
        strategy: `lazy` grows to the exact length, `doubling` to a power of two times the first
            length, `fixed` never; `split_table` keeps two small tables and adds angles;
            `table_free` keeps no table.
        length: the rows at the start; `table_free` ignores it, as it serves every position.
        device: where the tables are.

    Raises:
        ValueError: an unknown strategy, no length, or a table for frequencies that change with the
            length.

    Example:
        >>> cache = init_cache(RopeSpec(head_dim=4), "doubling", 8)
        >>> cache = grow_cache(cache, 9)
        >>> cache.capacity, tuple(lookup(cache, torch.arange(9)[None])[0].shape)
        (16, (1, 9, 2))
    """
    capacity = first_capacity(spec, strategy, length)
    return RopeCache(spec, strategy, capacity, _tables(spec, strategy, 0, capacity, device))


def grow_cache(cache: RopeCache, length: Count) -> RopeCache:
    """A cache that serves `length` positions: `cache` itself if it does already.

    Raises:
        ValueError: a `fixed` or `split_table` cache is too short.
    """
    check_cache("grow_cache", cache, RopeCache)
    capacity = grown_capacity(cache.strategy, cache.capacity, length)
    if capacity == cache.capacity:
        return cache
    more = _tables(cache.spec, cache.strategy, cache.capacity, capacity, cache.tables[0].device)
    tables = tuple(torch.cat(rows) for rows in zip(cache.tables, more, strict=True))
    return replace(cache, capacity=capacity, tables=tables)


def materialized(cache: RopeCache, device: torch.device) -> RopeCache:
    """The cache with its tables on a device, if they are on `meta`; else the cache itself."""
    if not cache.tables or not cache.tables[0].is_meta or device.type == "meta":
        return cache
    return init_cache(cache.spec, cache.strategy, cache.capacity, device)


def lookup(
    cache: RopeCache,
    positions: Positions,
    *,
    seq_len: Length = None,
    out_of_range: OutOfRange = "error",
) -> Table:
    """cos and sin at the positions, `(..., S, P)` float32; every strategy has these arguments.

    Args:
        cache: from `init_cache` or `grow_cache`; rows on the device `meta` are computed anew where
            the positions are.
        positions: `(..., S)`, or `(..., S, A)` for a spec with A > 1 axes.
        seq_len: the current length, for `DynamicNTK` and `LongRope`.
        out_of_range: what a position outside the table gives. `error`: ValueError where positions
            are on the CPU; NaN elsewhere, and under `torch.compile` and `torch.vmap`. `nan`: NaN
            everywhere. `clamp`: the nearest row.

    Raises:
        ValueError: positions outside the table, with `error`.
    """
    check_cache("lookup", cache, RopeCache)
    check_choice("out_of_range", out_of_range, OutOfRange)
    if cache.strategy == "table_free":
        return cos_sin(cache.spec, positions, seq_len=seq_len)
    positions = checked("lookup", cache.spec, positions)
    cache = materialized(cache, positions.device)
    if (
        out_of_range == "error"
        and positions.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and positions.numel()
    ):
        with suppress(RuntimeError):  # under torch.vmap no value can be read
            smallest, largest = map(int, positions.long().aminmax())
            check_in_table(smallest, largest, cache.capacity)
    return _lookup(cache, positions, out_of_range)


def cached_cos_sin(
    cache: RopeCache,
    positions: Positions,
    length: Count,
    *,
    seq_len: Length = None,
    out_of_range: OutOfRange = "error",
) -> tuple[Table, RopeCache]:
    """`grow_cache` and `lookup` in one call, for positions below `length`."""
    cache = grow_cache(cache, length)
    return lookup(cache, positions, seq_len=seq_len, out_of_range=out_of_range), cache


def _lookup(cache: RopeCache, positions: Integer[Tensor, "..."], out_of_range: OutOfRange) -> Table:
    pairs = cache.spec.pairs
    coordinates = (positions if pairs.axes == 1 else pairs.coordinates(positions)).long()
    clamped = coordinates.clamp(0, cache.capacity - 1)
    rows = _split_rows if cache.strategy == "split_table" else _rows
    cos, sin = rows(cache.tables, clamped, pairs.axes)
    if out_of_range == "clamp":
        return cos, sin
    is_outside = clamped != coordinates if pairs.axes > 1 else (clamped != coordinates)[..., None]
    return cos.masked_fill(is_outside, torch.nan), sin.masked_fill(is_outside, torch.nan)


def _tables(
    spec: RopeSpec, strategy: Strategy, start: int, stop: int, device: Device
) -> tuple[Float32[Tensor, "_L P"], ...]:
    """The rows of positions from `start` to `stop`, from the same integers as without a table.

    The two tables of split_table serve all positions below `stop`.
    """
    if strategy == "table_free":
        return ()
    turns, _, factor, _ = constants(spec, None)
    turns = turns_tensor(turns, device)

    def rows(positions: Int64[Tensor, " L"], attention_factor: float) -> Table:
        return phase_cos_sin(phase_of(positions[:, None], turns), attention_factor)

    if strategy == "split_table":
        high, low = torch.arange(0, stop, SPLIT, device=device), torch.arange(SPLIT, device=device)
        return *rows(high, 1.0), *rows(low, factor)
    return rows(torch.arange(start, stop, device=device), factor)


def _rows(tables: tuple[Tensor, ...], index: Int64[Tensor, "..."], axes: int) -> Table:
    """Rows of two tables; for A > 1 axes each pair has a row of its own."""
    column = () if axes == 1 else (torch.arange(tables[0].shape[-1], device=index.device),)
    cos, sin = (table[(index, *column)] for table in tables)
    return cos, sin


def _split_rows(tables: tuple[Tensor, ...], index: Int64[Tensor, "..."], axes: int) -> Table:
    """cos and sin at `position = SPLIT h + l`, by the addition of the angles of SPLIT h and l."""
    cos_high, sin_high = _rows(tables[:2], index // SPLIT, axes)
    cos_low, sin_low = _rows(tables[2:], index % SPLIT, axes)
    return cos_high * cos_low - sin_high * sin_low, sin_high * cos_low + cos_high * sin_low
