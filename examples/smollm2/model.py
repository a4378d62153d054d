"""A Llama in Flax NNX: grouped queries, RMSNorm, SwiGLU, tied embeddings, rotary positions from
`rope_jax`, explicit KV cache.

Letters: B batch, S sequence, C capacity of the cache, D width, N heads, K heads of keys and values,
H head_dim, V vocabulary.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32

from rope_jax import cos_sin, rotate
from rope_spec import RopeSpec


@dataclass(frozen=True)
class Config:
    """Sizes of a Llama, and its rotary embedding."""

    vocabulary: int
    width: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    epsilon: float
    rope: RopeSpec


class KVCache(NamedTuple):
    """Rotated keys, and values, of all positions so far: a value, so that growing, shifting and
    forgetting are functions.
    """

    keys: list[Float[Array, "B C K H"]]  # one for each layer
    values: list[Float[Array, "B C K H"]]
    length: Int32[Array, ""]  # positions in use; the next token is written here


def empty_cache(config: Config, batch: int, capacity: int, dtype=jnp.float32) -> KVCache:
    """A cache without tokens, for `capacity` positions."""
    empty = lambda: jnp.zeros((batch, capacity, config.kv_heads, config.rope.head_dim), dtype)
    keys, values = ([empty() for _ in range(config.layers)] for _ in range(2))
    return KVCache(keys, values, jnp.array(0, jnp.int32))


class Attention(nnx.Module):
    """Grouped-query attention: each head of keys and values serves N / K heads of queries."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        head_dim, self.rope = config.rope.head_dim, config.rope
        self.q = nnx.LinearGeneral(
            config.width, (config.heads, head_dim), use_bias=False, rngs=rngs
        )
        self.k = nnx.LinearGeneral(
            config.width, (config.kv_heads, head_dim), use_bias=False, rngs=rngs
        )
        self.v = nnx.LinearGeneral(
            config.width, (config.kv_heads, head_dim), use_bias=False, rngs=rngs
        )
        self.out = nnx.LinearGeneral(
            (config.heads, head_dim), config.width, axis=(-2, -1), use_bias=False, rngs=rngs
        )

    def __call__(
        self,
        x: Float[Array, "B S D"],
        table: tuple[Float[Array, "1 S pairs"], Float[Array, "1 S pairs"]],
        keys: Float[Array, "B C K H"],
        values: Float[Array, "B C K H"],
        start: Int32[Array, ""],
    ) -> tuple[Float[Array, "B S D"], Float[Array, "B C K H"], Float[Array, "B C K H"]]:
        """Attends to what the cache holds before `start`, and to x; returns the cache with x in
        it.
        """
        query = rotate(self.rope, self.q(x), *table)
        keys = jax.lax.dynamic_update_slice_in_dim(
            keys, rotate(self.rope, self.k(x), *table), start, axis=1
        )
        values = jax.lax.dynamic_update_slice_in_dim(values, self.v(x), start, axis=1)
        seen = jnp.arange(keys.shape[1]) <= start + jnp.arange(x.shape[1])[:, None]  # (S, C)
        return (
            self.out(jax.nn.dot_product_attention(query, keys, values, mask=seen[None, None])),
            keys,
            values,
        )


class MLP(nnx.Module):
    """SwiGLU."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.gate = nnx.Linear(config.width, config.hidden, use_bias=False, rngs=rngs)
        self.up = nnx.Linear(config.width, config.hidden, use_bias=False, rngs=rngs)
        self.down = nnx.Linear(config.hidden, config.width, use_bias=False, rngs=rngs)

    def __call__(self, x: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
        return self.down(nnx.silu(self.gate(x)) * self.up(x))


class Block(nnx.Module):
    """Attention and MLP, each after a norm and beside a residual."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.attention_norm = nnx.RMSNorm(config.width, epsilon=config.epsilon, rngs=rngs)
        self.attention = Attention(config, rngs)
        self.mlp_norm = nnx.RMSNorm(config.width, epsilon=config.epsilon, rngs=rngs)
        self.mlp = MLP(config, rngs)

    def __call__(self, x, table, keys, values, start):
        attended, keys, values = self.attention(self.attention_norm(x), table, keys, values, start)
        x = x + attended
        return x + self.mlp(self.mlp_norm(x)), keys, values


class Llama(nnx.Module):
    """Tokens and a cache to hidden states and the cache with these tokens; `logits` turns hidden
    states into scores.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.config = config
        self.embedding = nnx.Embed(config.vocabulary, config.width, rngs=rngs)
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.layers)])
        self.norm = nnx.RMSNorm(config.width, epsilon=config.epsilon, rngs=rngs)

    def __call__(
        self, tokens: Int32[Array, "B S"], cache: KVCache
    ) -> tuple[Float[Array, "B S D"], KVCache]:
        """The positions of the tokens follow those in the cache; cos and sin are computed once for
        all layers.
        """
        x = self.embedding(tokens)
        table = cos_sin(self.config.rope, cache.length + jnp.arange(tokens.shape[1])[None])
        keys, values = list(cache.keys), list(cache.values)
        for i, block in enumerate(self.blocks):
            x, keys[i], values[i] = block(x, table, keys[i], values[i], cache.length)
        return self.norm(x), KVCache(keys, values, cache.length + tokens.shape[1])

    def logits(self, hidden: Float[Array, "*batch D"]) -> Float[Array, "*batch V"]:
        """Scores of the next token; the embedding is tied."""
        return self.embedding.attend(hidden)
