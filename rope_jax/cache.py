"""cos/sin tables as values: `init_cache`, `grow_cache`, `lookup`; growing builds another cache and keeps every row.

All strategies give the same bits, but `split_table`, which is within 1.6e-7 f. Under `jit` a cache is an argument like any
other: a larger one is another shape, hence another compilation. `table_free` holds nothing and never grows.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.experimental import checkify
from jax.sharding import PartitionSpec
from jaxtyping import Array

from rope_spec import OutOfRange, RopeSpec, Strategy
from rope_spec.phase import table_rows
from rope_spec.strategies import SPLIT, check_on_host, first_capacity, grown_capacity
from rope_spec.values import check_choice

from .functional import Length, Positions, Table, check, cos_sin
from .rounding import rounded


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class RopeCache:
    """A cos/sin table for one spec: a pytree whose leaves are its arrays."""

    spec: RopeSpec = field(metadata={"static": True})
    strategy: Strategy = field(metadata={"static": True})
    capacity: int = field(
        metadata={"static": True}
    )  # positions from 0 up to here are served; 0 for table_free: all are
    tables: tuple[
        Array, ...
    ] = ()  # cos, sin (L, P); for split_table those of SPLIT * h without factor, then those below SPLIT


def init_cache(spec: RopeSpec, strategy: Strategy = "table_free", length: int = 0) -> RopeCache:
    """A cache that serves positions from 0 up to `length`.

    Args:
        spec: the rotary embedding.
        strategy: `lazy` grows to the exact length, `doubling` to a power of two times the first, `fixed` never;
            `split_table` keeps two small tables and adds angles; `table_free` keeps nothing.
        length: the first number of rows; `table_free` needs none.

    Raises:
        ValueError: an unknown strategy, no length, or a table for frequencies that change with the length.

    Example:
        >>> from rope_spec import Pairs
        >>> cache = init_cache(RopeSpec(head_dim=4, theta=10000.0, pairs=Pairs.single(rotary_dim=4)), "doubling", 8)
        >>> cache = grow_cache(cache, 9)
        >>> cache.capacity, tuple(lookup(cache, jnp.arange(9)[None])[0].shape)
        (16, (1, 9, 2))
    """
    capacity = first_capacity(spec, strategy, length)
    return RopeCache(
        spec, strategy, capacity, tuple(map(_on_device, _on_host(spec, strategy, 0, capacity)))
    )


def grow_cache(cache: RopeCache, length: int) -> RopeCache:
    """A cache that serves `length` positions: the same object when this one does, else one with the same first rows.

    Raises:
        ValueError: a `fixed` or `split_table` cache is too short.
    """
    capacity = grown_capacity(cache.strategy, cache.capacity, length)
    if capacity == cache.capacity:
        return cache
    numpy = (
        jnp if isinstance(cache.tables[0], Tracer) else np
    )  # on the host nothing has to be compiled
    more = _on_host(cache.spec, cache.strategy, cache.capacity, capacity)
    tables = tuple(
        _on_device(numpy.concatenate(rows)) for rows in zip(cache.tables, more, strict=True)
    )
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
            are NumPy's; an error of `jax.experimental.checkify.checkify` where that traces the
            caller; NaN elsewhere, as no value on a device is waited for. `nan`: NaN everywhere.
            `clamp`: the nearest row.

    Raises:
        ValueError: positions outside the table, with `error`.
    """
    check_choice("out_of_range", out_of_range, OutOfRange)
    if cache.strategy == "table_free":
        return cos_sin(cache.spec, positions, seq_len=seq_len)
    check(cache.spec, positions)
    if out_of_range == "error" and isinstance(positions, np.ndarray) and positions.size:
        check_on_host(np.min(positions), np.max(positions), cache.capacity)
    return _lookup(cache, jnp.asarray(positions), out_of_range)


@partial(jax.jit, static_argnums=2)
def _lookup(cache: RopeCache, positions: Array, out_of_range: OutOfRange) -> Table:
    pairs = cache.spec.pairs
    per_pair = positions if pairs.axes == 1 else pairs.coordinates(positions)
    per_pair = per_pair.astype(jnp.int32) if per_pair.dtype.itemsize < 4 else per_pair
    inside = jnp.clip(per_pair, 0, cache.capacity - 1)
    is_inside = inside == per_pair
    if out_of_range == "error":
        message = f"lookup: a position is outside the {cache.capacity} rows of the table"
        checkify.debug_check(jnp.all(is_inside), message)
    cos, sin = (_split_rows if cache.strategy == "split_table" else _rows)(
        cache.tables, inside, pairs.axes
    )
    if out_of_range == "clamp":
        return cos, sin
    is_inside = is_inside[..., None] if pairs.axes == 1 else is_inside
    return jnp.where(is_inside, cos, jnp.nan), jnp.where(is_inside, sin, jnp.nan)


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


def _on_host(spec: RopeSpec, strategy: Strategy, start: int, stop: int) -> tuple[np.ndarray, ...]:
    """The rows of positions from `start` to `stop`, built on the host: with the same integers, and nothing to compile."""
    if strategy == "table_free":
        return ()
    if strategy == "split_table":
        return *table_rows(spec, range(0, stop, SPLIT), with_factor=False), *table_rows(
            spec, range(SPLIT)
        )
    return table_rows(spec, range(start, stop))


def _on_device(rows: np.ndarray | Array) -> Array:
    """The rows on the device; replicated where a mesh has explicit axes, which want every array to say how it is sharded."""
    return jax.device_put(
        rows, PartitionSpec() if jax.sharding.get_abstract_mesh().explicit_axes else None
    )


def _rows(tables: tuple[Array, ...], index: Array, axes: int) -> Table:
    """Rows of two tables, or for A > 1 axes each pair from the row of its own coordinate; sharded as the index is."""
    column = () if axes == 1 else (jnp.arange(tables[0].shape[-1]),)
    sharding = jax.typeof(index).sharding
    out = None if sharding.mesh.empty else PartitionSpec(*sharding.spec, *[None] * (axes == 1))
    cos, sin = (
        table.at[(index, *column)].get(mode="promise_in_bounds", out_sharding=out)
        for table in tables
    )
    return cos, sin


def _split_rows(tables: tuple[Array, ...], index: Array, axes: int) -> Table:
    """`(c, s)(a + b)` from `(c, s)(a)` and `(c, s)(b)`, for `position = SPLIT h + l`: one pair turned by the other's angle."""
    cos_high, sin_high = _rows(tables[:2], index // SPLIT, axes)
    cos_low, sin_low = _rows(tables[2:], index % SPLIT, axes)
    cos = rounded(cos_high * cos_low) - rounded(sin_high * sin_low)
    return cos, rounded(sin_high * cos_low) + rounded(cos_high * sin_low)
