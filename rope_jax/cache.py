"""cos/sin tables as values: `init_cache`, `grow_cache`, `lookup`.

Growing builds another cache with the same first rows. All strategies give the same bits, except
`split_table`, whose error is at most 1.6e-7 times the attention factor. Under `jit` a cache is an
argument like any other: a larger one has other shapes, and the function is compiled anew.
`table_free` holds no table and never grows.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.experimental import checkify
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float32, Integer

from rope_spec import OutOfRange, RopeSpec, Strategy
from rope_spec.checks import check_cache
from rope_spec.phase import table_rows
from rope_spec.strategies import SPLIT, Count, check_in_table, first_capacity, grown_capacity
from rope_spec.values import check_choice

from .functional import Length, Positions, Table, check_both, cos_sin
from .rounding import keep_rounding


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class RopeCache:
    """A cos/sin table for one spec: a pytree whose leaves are its arrays."""

    spec: RopeSpec = field(metadata={"static": True})
    strategy: Strategy = field(metadata={"static": True})
    capacity: int = field(metadata={"static": True})  # L, 0 without a table
    # cos and sin, (L, P); split_table has four: cos and sin at the multiples of SPLIT, without the
    # attention factor, then both at 0 to SPLIT - 1
    tables: tuple[Any, ...] = ()  # arrays, or whatever jax.tree.map has put in their place


def init_cache(spec: RopeSpec, strategy: Strategy = "table_free", length: Count = 0) -> RopeCache:
    """A cache that serves positions from 0 to `length - 1`.

    Args:
        spec: the rotary embedding.
        strategy: `lazy` grows to the exact length, `doubling` to a power of two times the first
            length, `fixed` never; `split_table` keeps two small tables and adds angles;
            `table_free` keeps no table.
        length: the rows at the start; `table_free` ignores it, as it serves every position.

    Raises:
        ValueError: an unknown strategy, no length, or a table for frequencies that change with the
            length.

    Example:
        >>> cache = init_cache(RopeSpec(head_dim=4), "doubling", 8)
        >>> cache = grow_cache(cache, 9)
        >>> cache.capacity, tuple(lookup(cache, jnp.arange(9)[None])[0].shape)
        (16, (1, 9, 2))
    """
    capacity = first_capacity(spec, strategy, length)
    rows = _host_tables(spec, strategy, 0, capacity)
    return RopeCache(spec, strategy, capacity, tuple(map(_put, rows)))


def grow_cache(cache: RopeCache, length: Count) -> RopeCache:
    """A cache that serves `length` positions: `cache` itself if it does already.

    If the tables are only shapes, as after `jax.eval_shape`, they are computed from the spec.

    Raises:
        ValueError: a `fixed` or `split_table` cache is too short.
    """
    check_cache("grow_cache", cache, RopeCache)
    cache = materialized(cache)
    capacity = grown_capacity(cache.strategy, cache.capacity, length)
    if capacity == cache.capacity:
        return cache
    xp = jnp if isinstance(cache.tables[0], Tracer) else np  # NumPy has nothing to compile
    more = _host_tables(cache.spec, cache.strategy, cache.capacity, capacity)
    tables = [xp.concatenate(rows) for rows in zip(cache.tables, more, strict=True)]
    return replace(cache, capacity=capacity, tables=tuple(map(_put, tables)))


def materialized(cache: RopeCache) -> RopeCache:
    """The cache with its tables computed, if they are shapes or missing; else the cache itself."""
    if all(isinstance(table, (jax.Array, np.ndarray)) for table in cache.tables):
        return cache
    return init_cache(cache.spec, cache.strategy, cache.capacity)


def lookup(
    cache: RopeCache,
    positions: Positions,
    *,
    seq_len: Length = None,
    out_of_range: OutOfRange = "error",
) -> Table:
    """cos and sin at the positions, `(..., S, P)` float32; every strategy has these arguments.

    Args:
        cache: from `init_cache` or `grow_cache`. If its tables are only shapes, as after
            `jax.eval_shape`, they are computed from the spec at each call; by `grow_cache` once.
        positions: `(..., S)`, or `(..., S, A)` for a spec with A > 1 axes.
        seq_len: the current length, for `DynamicNTK` and `LongRope`.
        out_of_range: what a position outside the table gives. `error`: ValueError if positions
            are NumPy's; an error of `jax.experimental.checkify.checkify` if that traces the
            caller; NaN elsewhere, since a check would have to wait for the device. `nan`: NaN
            everywhere. `clamp`: the nearest row.

    Raises:
        ValueError: positions outside the table, with `error`.
    """
    check_cache("lookup", cache, RopeCache)
    check_choice("out_of_range", out_of_range, OutOfRange)
    if cache.strategy == "table_free":
        return cos_sin(cache.spec, positions, seq_len=seq_len)
    check_both("lookup", cache.spec, positions)
    cache = materialized(cache)
    if out_of_range == "error" and isinstance(positions, np.ndarray) and positions.size:
        check_in_table(int(positions.min()), int(positions.max()), cache.capacity)
    return _lookup(cache, jnp.asarray(positions), out_of_range)


@partial(jax.jit, static_argnums=2)
def _lookup(cache: RopeCache, positions: Integer[Array, "..."], out_of_range: OutOfRange) -> Table:
    pairs = cache.spec.pairs
    coordinates = positions if pairs.axes == 1 else pairs.coordinates(positions)
    coordinates = coordinates.astype(jnp.int32) if coordinates.dtype.itemsize < 4 else coordinates
    clamped = jnp.clip(coordinates, 0, cache.capacity - 1)
    is_inside = clamped == coordinates
    if out_of_range == "error":
        message = f"lookup: a position is outside the {cache.capacity} rows of the table"
        checkify.debug_check(jnp.all(is_inside), message)
    rows = _split_rows if cache.strategy == "split_table" else _rows
    cos, sin = rows(cache.tables, clamped, pairs.axes)
    if out_of_range == "clamp":
        return cos, sin
    is_inside = is_inside[..., None] if pairs.axes == 1 else is_inside
    return jnp.where(is_inside, cos, jnp.nan), jnp.where(is_inside, sin, jnp.nan)


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


def _host_tables(
    spec: RopeSpec, strategy: Strategy, start: int, stop: int
) -> tuple[Float32[np.ndarray, "_L P"], ...]:
    """The rows of positions from `start` to `stop`, in NumPy: the same bits, nothing to compile.

    The two tables of split_table serve all positions below `stop`.
    """
    if strategy == "table_free":
        return ()
    if strategy == "split_table":
        high = table_rows(spec, range(0, stop, SPLIT), with_factor=False)
        return *high, *table_rows(spec, range(SPLIT))
    return table_rows(spec, range(start, stop))


def _put(rows: Float32[np.ndarray | Array, "L P"]) -> Float32[Array, "L P"]:
    """The rows on the device, replicated where a mesh has explicit axes: these need a sharding."""
    explicit = jax.sharding.get_abstract_mesh().explicit_axes
    return jax.device_put(rows, PartitionSpec() if explicit else None)


def _rows(tables: tuple[Array, ...], index: Integer[Array, "..."], axes: int) -> Table:
    """Rows of two tables, sharded as the index; for A > 1 axes each pair has a row of its own."""
    column = () if axes == 1 else (jnp.arange(tables[0].shape[-1]),)
    sharding = jax.typeof(index).sharding
    spec = PartitionSpec(*sharding.spec, *[None] * (axes == 1))
    out = NamedSharding(sharding.mesh, spec) if sharding.mesh.explicit_axes else None
    cos, sin = (
        table.at[(index, *column)].get(mode="promise_in_bounds", out_sharding=out)
        for table in tables
    )
    return cos, sin


def _split_rows(tables: tuple[Array, ...], index: Integer[Array, "..."], axes: int) -> Table:
    """cos and sin at `position = SPLIT h + l`, by the addition of the angles of SPLIT h and l."""
    cos_high, sin_high = _rows(tables[:2], index // SPLIT, axes)
    cos_low, sin_low = _rows(tables[2:], index % SPLIT, axes)
    cos = keep_rounding(cos_high * cos_low) - keep_rounding(sin_high * sin_low)
    return cos, keep_rounding(sin_high * cos_low) + keep_rounding(cos_high * sin_low)
