"""Phi-3 in Flax NNX: LongRoPE, whose frequencies change when the text grows past its first context.

Keys that were rotated before that are then rotated anew, once; decoding goes on from there.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32

from rope_jax import cos_sin, rerotate, rotate
from rope_spec import RopeSpec, spec_from_config

from .layers import Block, Cache, Decoder, Kept, append, linear, visible


class Attention(nnx.Module):
    """Grouped-query attention, with one projection for q, k and v."""

    def __init__(self, config: Any, rope: RopeSpec, rngs: nnx.Rngs):
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        head_dim = rope.head_dim
        self.rope, self.kept_shapes = rope, ((kv_heads, head_dim),) * 2
        self.ends = heads * head_dim, (heads + kv_heads) * head_dim
        self.qkv_proj = linear(config.hidden_size, self.ends[1] + kv_heads * head_dim, rngs)
        self.o_proj = linear(heads * head_dim, config.hidden_size, rngs)

    def __call__(
        self, x: Float[Array, "B S D"], table, kept: Kept, start: Int32[Array, ""]
    ) -> tuple[Float[Array, "B S D"], Kept]:
        heads = lambda projected: projected.reshape(*x.shape[:2], -1, self.rope.head_dim)
        q, k, v = map(heads, jnp.split(self.qkv_proj(x), self.ends, axis=-1))
        # The rotary embedding: the table is that of the current length
        q, k = rotate(self.rope, q, *table), rotate(self.rope, k, *table)
        keys, values = append(kept[0], k, start), append(kept[1], v, start)
        mask = visible(keys.shape[1], x.shape[1], start)
        y = jax.nn.dot_product_attention(q, keys, values, mask=mask)
        return self.o_proj(y.reshape(*x.shape[:2], -1)), (keys, values)


class MLP(nnx.Module):
    """SwiGLU, with one projection for gate and up."""

    def __init__(self, config: Any, rngs: nnx.Rngs):
        self.gate_up_proj = linear(config.hidden_size, 2 * config.intermediate_size, rngs)
        self.down_proj = linear(config.intermediate_size, config.hidden_size, rngs)

    def __call__(self, x: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
        gate, up = jnp.split(self.gate_up_proj(x), 2, axis=-1)
        return self.down_proj(nnx.silu(gate) * up)


class Phi3(Decoder):
    """From a configuration of transformers, or an object with its names."""

    def __init__(self, config: Any, rngs: nnx.Rngs):
        self.rope = spec_from_config(config)
        blocks = [
            Block(Attention(config, self.rope, rngs), MLP(config, rngs), config, rngs)
            for _ in range(config.num_hidden_layers)
        ]
        super().__init__(config, blocks, rngs)

    def tables(self, positions: Int32[Array, "B S"], length: Int32[Array, ""]) -> Sequence[Any]:
        """One table of cos and sin at the length after these tokens, which may be traced."""
        # The rotary embedding: the set of factors follows from the current length
        return [cos_sin(self.rope, positions, seq_len=length)] * len(self.layers)


def lengthened(rope: RopeSpec, cache: Cache) -> Cache:
    """The cache for the text beyond the first context: each key rotated by the long factors.

    The first layer's keys are then what they would be, had the whole text been computed anew, as
    transformers does. Those of later layers were computed from what earlier layers saw before.
    """
    assert (original := rope.original_length)
    positions = jnp.arange(cache.layers[0][0].shape[1])[None]
    rotated = lambda keys: rerotate(
        rope, keys, positions, positions, seq_len=original, to_seq_len=original + 1
    )
    return cache._replace(layers=[(rotated(keys), values) for keys, values in cache.layers])
