"""DeepSeek-V3's attention (MLA) in Flax NNX: the cache holds latents and one rotated key.

Letters beside those of `layers`: R width of the latents, P rotated channels of a head, U channels
that are not rotated.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32

from rope_jax import cos_sin, rotate
from rope_spec import RopeSpec, inverse_frequencies, spec_from_config

from .layers import MLP, Block, Decoder, Kept, append, linear, visible


class Attention(nnx.Module):
    """Multi-head latent attention, absorbed: latents are never expanded to keys and values."""

    def __init__(self, config: Any, rope: RopeSpec, rngs: nnx.Rngs):
        width, heads = config.hidden_size, config.num_attention_heads
        self.rope, self.heads, self.rank = rope, heads, config.kv_lora_rank
        self.kept_shapes = (self.rank,), (rope.head_dim,)
        self.unrotated = config.qk_nope_head_dim
        head_dim = self.unrotated + rope.head_dim
        # The rotary embedding: YaRN multiplies the scale of the attention as well
        self.scale = head_dim**-0.5 * inverse_frequencies(rope).softmax_scale_factor
        self.q_a_proj = linear(width, config.q_lora_rank, rngs)
        self.q_a_layernorm = nnx.RMSNorm(config.q_lora_rank, epsilon=1e-6, rngs=rngs)
        self.q_b_proj = linear(config.q_lora_rank, heads * head_dim, rngs)
        self.kv_a_proj_with_mqa = linear(width, self.rank + rope.head_dim, rngs)
        self.kv_a_layernorm = nnx.RMSNorm(self.rank, epsilon=1e-6, rngs=rngs)
        self.kv_b_proj = linear(self.rank, heads * (self.unrotated + config.v_head_dim), rngs)
        self.o_proj = linear(heads * config.v_head_dim, width, rngs)

    def __call__(
        self, x: Float[Array, "B S D"], table, kept: Kept, start: Int32[Array, ""]
    ) -> tuple[Float[Array, "B S D"], Kept]:
        q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        q = q.reshape(*x.shape[:2], self.heads, -1)
        q_unrotated, q_rotated = q[..., : self.unrotated], q[..., self.unrotated :]
        latent, key = jnp.split(self.kv_a_proj_with_mqa(x), [self.rank], axis=-1)
        # The rotary embedding: read interleaved, written in halves; the key has no axis of heads
        q_rotated = rotate(self.rope, q_rotated, *table)
        key = rotate(self.rope, key, *table, heads_axis=None)
        latents = append(kept[0], self.kv_a_layernorm(latent), start)
        keys = append(kept[1], key, start)
        y = self._attend(q_unrotated, q_rotated, latents, keys, start)
        return self.o_proj(y.reshape(*x.shape[:2], -1)), (latents, keys)

    def _attend(
        self,
        q_unrotated: Float[Array, "B S N U"],
        q_rotated: Float[Array, "B S N P"],
        latents: Float[Array, "B C R"],
        keys: Float[Array, "B C P"],
        start: Int32[Array, ""],
    ) -> Float[Array, "B S N H"]:
        expand = self.kv_b_proj.kernel[...].reshape(self.rank, self.heads, -1)
        to_key, to_value = expand[..., : self.unrotated], expand[..., self.unrotated :]
        q_latent = jnp.einsum("bsnu,rnu->bsnr", q_unrotated, to_key)
        scores = jnp.einsum("bsnr,bcr->bnsc", q_latent, latents)
        scores = (scores + jnp.einsum("bsnp,bcp->bnsc", q_rotated, keys)) * self.scale
        mask = visible(keys.shape[1], q_rotated.shape[1], start)
        weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1)
        return jnp.einsum("bnsc,bcr,rnh->bsnh", weights, latents, to_value)


class DeepSeek(Decoder):
    """From a configuration of transformers whose layers are all dense, or an object like it."""

    def __init__(self, config: Any, rngs: nnx.Rngs):
        self.rope = spec_from_config(config)
        blocks = [
            Block(Attention(config, self.rope, rngs), MLP(config, rngs), config, rngs)
            for _ in range(config.num_hidden_layers)
        ]
        super().__init__(config, blocks, rngs)

    def tables(self, positions: Int32[Array, "B S"], length: Int32[Array, ""]) -> Sequence[Any]:
        """One table of cos and sin, computed once for all layers."""
        return [cos_sin(self.rope, positions)] * len(self.layers)
