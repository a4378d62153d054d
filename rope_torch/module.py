"""`cos_sin` and `rotate` as a PyTorch module."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from rope_spec import Arithmetic, Config, OutOfRange, RopeSpec, Strategy, spec_from_config
from rope_spec.strategies import Count, check_options

from .cache import Device, grow_cache, init_cache, lookup, materialized
from .functional import EXACT, Heads, Length, Positions, Table, checked, cos_sin, rotate


class RotaryEmbedding(nn.Module):
    """Rotates queries and keys.

    By default there is no table: the module has no buffers and serves every int32 position. A table
    is rebuilt, not converted, when the module moves to another device; `.half()` does not cast it.
    The `state_dict` is empty; an `inv_freq` of an older checkpoint is accepted and ignored.

    Args:
        spec: the rotary embedding.
        strategy: how a table is kept, if any; see `rope_torch.init_cache`.
        length: how many rows that table has at the start.
        heads_axis: the axis of x that holds the heads, -3 for `(B, N, S, H)`.
        arithmetic: how angles and rotation are computed; a table has exact angles.
        out_of_range: what a position outside the table gives; see `rope_torch.lookup`.
        device: where the table is.
    """

    def __init__(
        self,
        spec: RopeSpec,
        *,
        strategy: Strategy = "table_free",
        length: Count = 0,
        heads_axis: int | None = -3,
        arithmetic: Arithmetic = EXACT,
        out_of_range: OutOfRange = "error",
        device: Device = None,
    ) -> None:
        super().__init__()
        check_options(strategy, arithmetic, out_of_range)
        self.spec, self.heads_axis, self.arithmetic = spec, heads_axis, arithmetic
        self.out_of_range: OutOfRange = out_of_range
        self.cache = init_cache(spec, strategy, length, device)
        self.register_load_state_dict_pre_hook(_ignore_inv_freq)

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
        """cos and sin, `(..., S, P)`, once for each step; see `rope_torch.cos_sin`."""
        if not self.cache.tables:
            return cos_sin(self.spec, positions, seq_len=seq_len, arithmetic=self.arithmetic)
        if self.cache.tables[0].is_meta:
            cache = materialized(self.cache, checked("cos_sin", self.spec, positions).device)
            if torch.compiler.is_dynamo_compiling() or _has_memory(cache.tables[0]):
                self.cache = cache
        return lookup(self.cache, positions, out_of_range=self.out_of_range)

    def forward(self, x: Heads, positions: Positions, *, seq_len: Length = None) -> Heads:
        """x rotated by its positions, in its shape and dtype."""
        cos, sin = self.cos_sin(positions, seq_len=seq_len)
        return rotate(
            self.spec, x, cos, sin, heads_axis=self.heads_axis, arithmetic=self.arithmetic
        )

    def grow(self, length: Count) -> None:
        """Make the table serve `length` positions; without a table nothing happens."""
        self.cache = grow_cache(self.cache, length)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RotaryEmbedding":
        """`.to()`, `.cuda()`, ...: rebuild the table if the device changes; a cast leaves it."""
        super()._apply(fn, recurse)
        if self.cache.tables:
            before = self.cache.tables[0].device
            device = fn(torch.empty(0, dtype=torch.int64, device=before)).device
            if device != before:
                self.cache = init_cache(self.spec, self.cache.strategy, self.cache.capacity, device)
        return self


def _has_memory(table: Tensor) -> bool:
    """Whether a tensor outlives this call: one of `torch.export` or `torch.func` does not."""
    try:
        return table.data_ptr() != 0
    except RuntimeError:
        return False


def _ignore_inv_freq(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Drop the frequencies that transformers and the lesson's class once saved."""
    for name in ("inv_freq", "original_inv_freq"):
        state_dict.pop(prefix + name, None)
