"""SmolLM3 in Flax NNX: every fourth layer has no rotary embedding (NoPE)."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, Int32

from rope_jax import cos_sin, rotate
from rope_spec import RopeSpec, layer_labels, specs_from_config

from .layers import MLP, Block, Decoder, Kept, append, linear, visible


class Attention(nnx.Module):
    """Grouped-query attention; `rope` is None in the layers that do not rotate."""

    def __init__(self, config: Any, rope: RopeSpec | None, rngs: nnx.Rngs):
        width, heads = config.hidden_size, config.num_attention_heads
        self.head_dim, self.rope = width // heads, rope
        self.kept_shapes = ((config.num_key_value_heads, self.head_dim),) * 2
        self.q_proj = linear(width, heads * self.head_dim, rngs)
        self.k_proj = linear(width, config.num_key_value_heads * self.head_dim, rngs)
        self.v_proj = linear(width, config.num_key_value_heads * self.head_dim, rngs)
        self.o_proj = linear(heads * self.head_dim, width, rngs)

    def __call__(
        self, x: Float[Array, "B S D"], table, kept: Kept, start: Int32[Array, ""]
    ) -> tuple[Float[Array, "B S D"], Kept]:
        heads = lambda projected: projected.reshape(*x.shape[:2], -1, self.head_dim)
        q, k, v = (heads(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        # The rotary embedding: a layer without one has no table, and its q and k stay as they are
        if self.rope is not None:
            q, k = rotate(self.rope, q, *table), rotate(self.rope, k, *table)
        keys, values = append(kept[0], k, start), append(kept[1], v, start)
        mask = visible(keys.shape[1], x.shape[1], start)
        y = jax.nn.dot_product_attention(q, keys, values, mask=mask)
        return self.o_proj(y.reshape(*x.shape[:2], -1)), (keys, values)


class SmolLM3(Decoder):
    """From a configuration of transformers, or an object with its names."""

    def __init__(self, config: Any, rngs: nnx.Rngs):
        # The rotary embedding: a spec for each layer, which is None where the label is "nope"
        specs = specs_from_config(config)
        self.ropes = tuple(specs[label] for label in layer_labels(config))
        attentions = [Attention(config, rope, rngs) for rope in self.ropes]
        blocks = [Block(attention, MLP(config, rngs), config, rngs) for attention in attentions]
        super().__init__(config, blocks, rngs)

    def tables(self, positions: Int32[Array, "B S"], length: Int32[Array, ""]) -> Sequence[Any]:
        """One table of cos and sin, computed once for all layers that rotate."""
        rotating = {rope for rope in self.ropes if rope is not None}
        tables: dict[Any, Any] = {rope: cos_sin(rope, positions) for rope in rotating}
        return [tables.get(rope) for rope in self.ropes]
