"""Flax NNX: a module that holds a spec and calls, and an attention function for `nnx.MultiHeadAttention`."""

from collections.abc import Callable, Collection
from typing import Any, Self

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Integer

from rope_spec import Arithmetic, Config, OutOfRange, RopeSpec, Strategy, spec_from_config
from rope_spec.strategies import check_options

from .cache import grow_cache, init_cache, lookup
from .functional import EXACT, Heads, Length, Positions, Table, cos_sin, rotate


class RopeTable(nnx.Variable):
    """Holds a `RopeCache`: a type of its own, so that no filter for parameters or checkpoints takes it."""


class RopePositions(nnx.Variable):
    """Holds the positions of the next call of a `RotaryAttention`."""


class RotaryEmbedding(nnx.Module):
    """Rotates queries and keys; without a table by default: no state, no length, every int32 position.

    Args:
        spec: the rotary embedding.
        strategy: how a table is kept, if any; see `rope_jax.init_cache`.
        length: the first number of rows of that table.
        heads_axis: the axis of x that holds the heads, -2 for `(B, S, N, H)`.
        arithmetic: how angles and rotation are computed; a table has exact angles.
        out_of_range: what a position outside the table gives; see `rope_jax.lookup`.
    """

    def __init__(
        self,
        spec: RopeSpec,
        *,
        strategy: Strategy = "table_free",
        length: int = 0,
        heads_axis: int | None = -2,
        arithmetic: Arithmetic = EXACT,
        out_of_range: OutOfRange = "error",
    ):
        check_options(strategy, arithmetic, out_of_range)
        self.spec, self.heads_axis, self.arithmetic = spec, heads_axis, arithmetic
        self.out_of_range: OutOfRange = out_of_range
        cache = init_cache(spec, strategy, length)
        self.table = RopeTable(cache) if cache.tables else None

    @classmethod
    def from_config(
        cls,
        config: Config,
        label: str | None = None,
        *,
        model_type: str | None = None,
        ignore: Collection[str] = (),
        **options: Any,
    ) -> Self:
        """From a config.json, as `rope_spec.spec_from_config` reads it; options as for the constructor."""
        return cls(spec_from_config(config, label, model_type=model_type, ignore=ignore), **options)

    def cos_sin(self, positions: Positions, *, seq_len: Length = None) -> Table:
        """cos and sin, `(..., S, P)`, once for each step; see `rope_jax.cos_sin`."""
        if self.table is None:
            return cos_sin(self.spec, positions, seq_len=seq_len, arithmetic=self.arithmetic)
        return lookup(self.table.get_value(), positions, out_of_range=self.out_of_range)

    def __call__(self, x: Heads, positions: Positions, *, seq_len: Length = None) -> Heads:
        """x rotated by its positions, in its shape and dtype."""
        cos, sin = self.cos_sin(positions, seq_len=seq_len)
        return rotate(
            self.spec, x, cos, sin, heads_axis=self.heads_axis, arithmetic=self.arithmetic
        )

    def grow(self, length: int) -> None:
        """Make the table serve `length` positions; without a table there is nothing to do."""
        if self.table is not None:
            self.table.set_value(grow_cache(self.table.get_value(), length))


class RotaryAttention(nnx.Module):
    """An `attention_fn` for `nnx.MultiHeadAttention` that rotates queries and keys first, also in decode.

    The cache of keys of `MultiHeadAttention` holds them as they were before the rotation, so that each call rotates all of
    them. In decode the position of the query is that of the last key that the mask lets it see.

    Args:
        rope: the rotary embedding, for `(B, S, N, H)`.
        attention_fn: what attends after the rotation.
    """

    def __init__(
        self, rope: RotaryEmbedding, attention_fn: Callable[..., Array] = nnx.dot_product_attention
    ):
        if rope.spec.depends_on_length:
            raise ValueError(
                "RotaryAttention: got frequencies that change with the length, expected others. Rotate before it."
            )
        self.rope, self.attention_fn = rope, attention_fn
        self.positions = RopePositions(None)

    def set_positions(self, positions: Integer[Array, "batch keys"] | None) -> None:
        """The positions of the keys in the calls from here on; None for 0, 1, 2, ..."""
        self.positions.set_value(positions)

    def __call__(
        self,
        query: Float[Array, "batch queries heads head_dim"],
        key: Float[Array, "batch keys kv_heads head_dim"],
        value: Float[Array, "batch keys kv_heads head_dim"],
        *,
        mask: Bool[Array, "batch #heads queries keys"] | None = None,
        **options: Any,
    ) -> Float[Array, "batch queries heads head_dim"]:
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
    table: Float[Array, "#batch keys pairs"], mask: Array | None
) -> Float[Array, "batch 1 pairs"]:
    """The row of the last key that each query may see."""
    if mask is None or mask.shape[-2] != 1:
        raise ValueError(
            f"RotaryAttention: got a mask of shape {mask if mask is None else mask.shape} for fewer queries than keys, "
            "expected (B, 1, 1, keys): one query at a time, as MultiHeadAttention decodes. Else rotate before attention."
        )
    keys = mask.shape[-1]
    last = keys - 1 - jnp.argmax(mask[:, 0, :, ::-1], axis=-1)
    return jnp.take_along_axis(
        jnp.broadcast_to(table, (mask.shape[0], *table.shape[1:])), last[..., None], axis=1
    )
