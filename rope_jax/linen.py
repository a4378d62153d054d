"""Flax Linen: `cos_sin` and `rotate` as a module."""

from collections.abc import Collection
from typing import Any

from flax import linen

from rope_spec import Arithmetic, Config, OutOfRange, RopeSpec, Strategy, spec_from_config
from rope_spec.strategies import Count, check_options

from .cache import init_cache, lookup
from .functional import EXACT, Heads, Length, Positions, Table, cos_sin, rotate


class RotaryEmbedding(linen.Module):
    """Rotates queries and keys.

    By default there is no table: the module has no variables and serves every int32 position. A
    table is a `RopeCache` in the collection `rope`, beside `params`: it is neither trained nor
    checkpointed with them. A longer one comes from `rope_jax.grow_cache`, outside of the module.
    If `apply` gets no such collection, or only shapes, as after `jax.eval_shape`, the table is
    computed from the spec in each call: under `jit` once for each compilation.

    Attributes:
        spec: the rotary embedding.
        strategy: how a table is kept, if any; see `rope_jax.init_cache`.
        length: how many rows that table has at the start.
        heads_axis: the axis of x that holds the heads, -2 for `(B, S, N, H)`.
        arithmetic: how angles and rotation are computed; a table has exact angles.
        out_of_range: what a position outside the table gives; see `rope_jax.lookup`.
    """

    spec: RopeSpec
    strategy: Strategy = "table_free"
    length: Count = 0
    heads_axis: int | None = -2
    arithmetic: Arithmetic = EXACT
    out_of_range: OutOfRange = "error"

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

    @linen.compact
    def cos_sin(self, positions: Positions, *, seq_len: Length = None) -> Table:
        """cos and sin, `(..., S, P)`, once for each step; see `rope_jax.cos_sin`."""
        check_options(self.strategy, self.arithmetic, self.out_of_range)
        if self.strategy == "table_free":
            return cos_sin(self.spec, positions, seq_len=seq_len, arithmetic=self.arithmetic)
        arguments = self.spec, self.strategy, self.length
        if self.has_variable("rope", "table") or self.is_mutable_collection("rope"):
            cache = self.variable("rope", "table", init_cache, *arguments).value
        else:
            cache = init_cache(*arguments)
        return lookup(cache, positions, out_of_range=self.out_of_range)

    def __call__(self, x: Heads, positions: Positions, *, seq_len: Length = None) -> Heads:
        """x rotated by its positions, in its shape and dtype."""
        cos, sin = self.cos_sin(positions, seq_len=seq_len)
        return rotate(
            self.spec, x, cos, sin, heads_axis=self.heads_axis, arithmetic=self.arithmetic
        )
