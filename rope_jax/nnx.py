"""Flax NNX: `cos_sin` and `rotate` as a module, and as a part of `nnx.MultiHeadAttention`."""

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.errors import TraceContextError
from jaxtyping import Array, Float, Float32, Integer, Shaped

from rope_spec import Arithmetic, Config, OutOfRange, RopeSpec, Strategy, spec_from_config
from rope_spec.strategies import Count, check_options

from .cache import RopeCache, grow_cache, init_cache, lookup, materialized
from .functional import EXACT, Heads, Length, Positions, Table, cos_sin, rotate


class RopeTable(nnx.Variable[RopeCache]):
    """Holds a `RopeCache`: a type of its own, so that filters such as `nnx.Param` leave it out."""


class RopePositions(nnx.Variable):
    """Holds the positions of the next call of a `RotaryAttention`."""


class RotaryEmbedding(nnx.Module):
    """Rotates queries and keys.

    By default there is no table: the module has no state and serves every int32 position. A table
    that is only a shape, as after `nnx.eval_shape`, is computed from the spec at the first call
    outside of `nnx.jit`, or by `grow`: `nnx.jit` takes no shapes as arguments.

    Args:
        spec: the rotary embedding.
        strategy: how a table is kept, if any; see `rope_jax.init_cache`.
        length: how many rows that table has at the start.
        heads_axis: the axis of x that holds the heads, -2 for `(B, S, N, H)`.
        arithmetic: how angles and rotation are computed; a table has exact angles.
        out_of_range: what a position outside the table gives; see `rope_jax.lookup`.
    """

    def __init__(
        self,
        spec: RopeSpec,
        *,
        strategy: Strategy = "table_free",
        length: Count = 0,
        heads_axis: int | None = -2,
        arithmetic: Arithmetic = EXACT,
        out_of_range: OutOfRange = "error",
    ) -> None:
        check_options(strategy, arithmetic, out_of_range)
        self.spec, self.heads_axis, self.arithmetic = spec, heads_axis, arithmetic
        self.out_of_range: OutOfRange = out_of_range
        cache = init_cache(spec, strategy, length)
        self.cache = RopeTable(cache) if cache.tables else None

    @classmethod
    def from_config(
        cls,
        config: Config,
        label: str | None = None,
        *,
        model_type: str | None = None,
        ignore: Collection[str] = (),
        **options: Any,
    ) -> "RotaryEmbedding":
        """From a config.json, by `rope_spec.spec_from_config`; options go to the constructor."""
        return cls(spec_from_config(config, label, model_type=model_type, ignore=ignore), **options)

    def cos_sin(self, positions: Positions, *, seq_len: Length = None) -> Table:
        """cos and sin, `(..., S, P)`, once for each step; see `rope_jax.cos_sin`."""
        if self.cache is None:
            return cos_sin(self.spec, positions, seq_len=seq_len, arithmetic=self.arithmetic)
        held = self.cache.get_value()
        cache = materialized(held)
        if cache is not held:
            # inside jit or grad a captured module is read-only: its rows are computed in each call
            with suppress(TraceContextError):
                self.cache.set_value(cache)
        return lookup(cache, positions, out_of_range=self.out_of_range)

    def __call__(self, x: Heads, positions: Positions, *, seq_len: Length = None) -> Heads:
        """x rotated by its positions, in its shape and dtype."""
        cos, sin = self.cos_sin(positions, seq_len=seq_len)
        return rotate(
            self.spec, x, cos, sin, heads_axis=self.heads_axis, arithmetic=self.arithmetic
        )

    def grow(self, length: Count) -> None:
        """Make the table serve `length` positions; without a table nothing happens."""
        if self.cache is not None:
            self.cache.set_value(grow_cache(self.cache.get_value(), length))


class RotaryAttention(nnx.Module):
    """An `attention_fn` for `nnx.MultiHeadAttention` that rotates queries and keys first.

    The cache of `MultiHeadAttention` holds the keys before the rotation, so that each call rotates
    all of them. In decode the query has the position of the last key that the mask lets it see.

    Args:
        rope: the rotary embedding, for `(B, S, N, H)`: its `heads_axis` is -2.
        attention_fn: the attention function that gets the rotated queries and keys.

    Raises:
        ValueError: frequencies that change with the length, or heads at another axis.
    """

    def __init__(
        self, rope: RotaryEmbedding, attention_fn: Callable[..., Array] = nnx.dot_product_attention
    ) -> None:
        if rope.spec.depends_on_length:
            raise ValueError(
                "RotaryAttention: got frequencies that change with the length, expected fixed "
                "ones: it is not told the length. Rotate queries and keys before attention."
            )
        if rope.heads_axis not in (-2, 2):
            raise ValueError(
                f"RotaryAttention: got heads_axis={rope.heads_axis}, expected -2: the heads of "
                "nnx.MultiHeadAttention are (B, S, N, H). Build the RotaryEmbedding with -2."
            )
        self.rope, self.attention_fn = rope, attention_fn
        self.positions = RopePositions(None)

    def set_positions(self, positions: Integer[Array, "B S"] | None) -> None:
        """Set the positions of the S keys for the next calls; None for 0, 1, 2, ..."""
        self.positions.set_value(positions)

    def __call__(
        self,
        query: Float[Array, "B Q N H"],
        key: Float[Array, "B S K H"],
        value: Float[Array, "B S K H"],
        *,
        mask: Shaped[Array, "#B #N #Q S"] | None = None,
        **options: Any,
    ) -> Float[Array, "B Q N H"]:
        """Attention with rotated queries and keys; in decode Q is 1, S the length of the cache."""
        positions = self.positions.get_value()
        if positions is None:
            positions = jnp.arange(key.shape[-3])[None]
        cos, sin = self.rope.cos_sin(positions)
        key = rotate(self.rope.spec, key, cos, sin, arithmetic=self.rope.arithmetic)
        if query.shape[-3] != key.shape[-3]:
            cos, sin = (_row_of_query(table, mask) for table in (cos, sin))
        query = rotate(self.rope.spec, query, cos, sin, arithmetic=self.rope.arithmetic)
        return self.attention_fn(query, key, value, mask=mask, **options)


def _row_of_query(
    table: Float32[Array, "#B S P"], mask: Shaped[Array, "B #N Q S"] | None
) -> Float32[Array, "B 1 P"]:
    """The row of the last key that each query may see."""
    if mask is None or mask.shape[-2] != 1:
        raise ValueError(
            f"RotaryAttention: got a mask of shape {mask if mask is None else mask.shape} for "
            "fewer queries than keys, expected (B, 1, 1, keys): one query at a time, as "
            "MultiHeadAttention decodes. Else rotate before attention."
        )
    batch, keys = mask.shape[0], mask.shape[-1]
    last = keys - 1 - jnp.argmax(mask[:, 0, :, ::-1], axis=-1)
    table = jnp.broadcast_to(table, (batch, *table.shape[1:]))
    return jnp.take_along_axis(table, last[..., None], axis=1)
