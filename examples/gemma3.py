"""Gemma-3 in Flax NNX: local layers and global ones have a theta of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int32

from rope_jax import cos_sin, rotate
from rope_spec import RopeSpec, layer_labels, spec_from_config

from .layers import MLP, Decoder, Kept, append, linear, norm, visible


class Attention(nnx.Module):
    """Grouped-query attention with norms of q and k, over a window in the local layers."""

    def __init__(self, config: Any, rope: RopeSpec, window: int | None, rngs: nnx.Rngs):
        width, self.head_dim = config.hidden_size, config.head_dim
        self.rope, self.window = rope, window
        self.scale = config.query_pre_attn_scalar**-0.5
        self.kept_shapes = ((config.num_key_value_heads, self.head_dim),) * 2
        self.q_proj = linear(width, config.num_attention_heads * self.head_dim, rngs)
        self.k_proj = linear(width, config.num_key_value_heads * self.head_dim, rngs)
        self.v_proj = linear(width, config.num_key_value_heads * self.head_dim, rngs)
        self.o_proj = linear(config.num_attention_heads * self.head_dim, width, rngs)
        self.q_norm, self.k_norm = (norm(self.head_dim, config, rngs) for _ in range(2))

    def __call__(
        self, x: Float[Array, "B S D"], table, kept: Kept, start: Int32[Array, ""]
    ) -> tuple[Float[Array, "B S D"], Kept]:
        heads = lambda projected: projected.reshape(*x.shape[:2], -1, self.head_dim)
        q, k, v = (heads(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        # The rotary embedding: the table is that of this layer's label
        q = rotate(self.rope, self.q_norm(q), *table)
        k = rotate(self.rope, self.k_norm(k), *table)
        keys, values = append(kept[0], k, start), append(kept[1], v, start)
        mask = visible(keys.shape[1], x.shape[1], start, self.window)
        y = jax.nn.dot_product_attention(q, keys, values, mask=mask, scale=self.scale)
        return self.o_proj(y.reshape(*x.shape[:2], -1)), (keys, values)


class Block(nnx.Module):
    """Attention and MLP, each between two norms and beside a residual."""

    def __init__(self, attention: Attention, config: Any, rngs: nnx.Rngs):
        self.self_attn, self.mlp = attention, MLP(config, rngs, jax.nn.gelu)
        width = config.hidden_size
        self.input_layernorm = norm(width, config, rngs)
        self.post_attention_layernorm = norm(width, config, rngs)
        self.pre_feedforward_layernorm = norm(width, config, rngs)
        self.post_feedforward_layernorm = norm(width, config, rngs)

    def __call__(self, x: Float[Array, "B S D"], table, kept: Kept, start: Int32[Array, ""]):
        attended, kept = self.self_attn(self.input_layernorm(x), table, kept, start)
        x = x + self.post_attention_layernorm(attended)
        changed = self.mlp(self.pre_feedforward_layernorm(x))
        return x + self.post_feedforward_layernorm(changed), kept


class Gemma3(Decoder):
    """From a text configuration of transformers, or an object with its names."""

    def __init__(self, config: Any, rngs: nnx.Rngs):
        # The rotary embedding: the spec of each layer's label, local or global
        labels = layer_labels(config)
        self.ropes = tuple(spec_from_config(config, label) for label in labels)
        windows = [config.sliding_window if "sliding" in label else None for label in labels]
        self.scale = config.hidden_size**0.5
        blocks = [
            Block(Attention(config, rope, window, rngs), config, rngs)
            for rope, window in zip(self.ropes, windows, strict=True)
        ]
        super().__init__(config, blocks, rngs)

    def tables(self, positions: Int32[Array, "B S"], length: Int32[Array, ""]) -> Sequence[Any]:
        """Two tables of cos and sin, each computed once for all layers that share it."""
        tables = {rope: cos_sin(rope, positions) for rope in set(self.ropes)}
        return [tables[rope] for rope in self.ropes]

    def embed(self, tokens: Int32[Array, "B S"]) -> Float[Array, "B S D"]:
        """Embeddings times the root of the width."""
        return self.embed_tokens(tokens) * jnp.float32(self.scale)

    @staticmethod
    def renamed(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The weights as they are used: Gemma stores the scales of its norms less 1."""
        return {name: t + 1 if "norm" in name else t for name, t in tensors.items()}
