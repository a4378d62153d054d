"""Qwen2-VL in Flax NNX: three coordinates for a token (M-RoPE), two for a patch of an image.

Letters beside those of `layers`: P patches of all images, C numbers of a patch's pixels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int32

from rope_jax import cos_sin, rotate
from rope_spec import RopeSpec, grid_positions, mrope_delta, mrope_positions, spec_from_config

from .layers import MLP, Block, Decoder, Kept, append, linear, visible

Grid = tuple[int, int, int]  # frames, rows and columns of patches


class Images(NamedTuple):
    """What a prompt shows, and where everything stands."""

    pixels: Float[Array, "P C"]
    patches: Int32[Array, "P 2"]  # row and column
    frame: Int32[Array, " P"]  # patches of the same frame see each other
    tokens: Int32[Array, "1 S 3"]  # time, row and column of each token
    delta: Int32[Array, ""]  # from the index of a later token to its position


def images(pixels: np.ndarray, parts: Sequence[int | Grid], bucket: int) -> Images:
    """Positions of a prompt: `parts` are numbers of text tokens, and grids of patches."""
    grids = [part for part in parts if not isinstance(part, int)]
    sizes = [rows * columns for frames, rows, columns in grids for _ in range(frames)]
    # The rotary embedding: row and column of a patch; time, row and column of a token
    patches = np.concatenate([grid_positions(grid, merge=2) for grid in grids])
    tokens = mrope_positions(parts, merge=2)
    delta = mrope_delta(tokens)
    tokens = np.pad(tokens, ((0, bucket - len(tokens)), (0, 0)))[None]
    frame = np.repeat(np.arange(len(sizes)), sizes)
    return Images(*map(jnp.asarray, (pixels, patches, frame, tokens, delta)))


class VisionAttention(nnx.Module):
    """Each patch attends to all patches of its frame."""

    def __init__(self, config: Any, rope: RopeSpec, rngs: nnx.Rngs):
        self.heads, self.rope = config.num_heads, rope
        self.qkv = linear(config.embed_dim, 3 * config.embed_dim, rngs, bias=True)
        self.proj = linear(config.embed_dim, config.embed_dim, rngs, bias=True)

    def __call__(self, x: Float[Array, "1 P D"], table, mask) -> Float[Array, "1 P D"]:
        q, k, v = jnp.unstack(self.qkv(x).reshape(*x.shape[:2], 3, self.heads, -1), axis=2)
        # The rotary embedding: the table has two axes, the rows and the columns
        q, k = rotate(self.rope, q, *table), rotate(self.rope, k, *table)
        return self.proj(jax.nn.dot_product_attention(q, k, v, mask=mask).reshape(x.shape))


class VisionMLP(nnx.Module):
    """One hidden layer."""

    def __init__(self, config: Any, rngs: nnx.Rngs):
        hidden = int(config.embed_dim * config.mlp_ratio)
        self.fc1 = linear(config.embed_dim, hidden, rngs, bias=True)
        self.fc2 = linear(hidden, config.embed_dim, rngs, bias=True)

    def __call__(self, x: Float[Array, "1 P D"]) -> Float[Array, "1 P D"]:
        x = self.fc1(x)
        return self.fc2(x * jax.nn.sigmoid(1.702 * x))  # the quick form of gelu


class VisionBlock(nnx.Module):
    """Attention and MLP, each after a norm and beside a residual."""

    def __init__(self, config: Any, rope: RopeSpec, rngs: nnx.Rngs):
        self.norm1, self.norm2 = (nnx.LayerNorm(config.embed_dim, rngs=rngs) for _ in range(2))
        self.attn, self.mlp = VisionAttention(config, rope, rngs), VisionMLP(config, rngs)

    def __call__(self, x: Float[Array, "1 P D"], table, mask) -> Float[Array, "1 P D"]:
        x = x + self.attn(self.norm1(x), table, mask)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nnx.Module):
    """A linear layer: a convolution whose stride is its size."""

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.proj = linear(inputs, outputs, rngs)


class Merger(nnx.Module):
    """Each square of patches becomes one token."""

    def __init__(self, config: Any, rngs: nnx.Rngs):
        self.width = config.embed_dim * config.spatial_merge_size**2
        self.ln_q = nnx.LayerNorm(config.embed_dim, rngs=rngs)
        first = linear(self.width, self.width, rngs, bias=True)
        last = linear(self.width, config.hidden_size, rngs, bias=True)
        self.mlp = nnx.Dict({"0": first, "2": last})

    def __call__(self, x: Float[Array, "1 P D"]) -> Float[Array, "1 tokens E"]:
        hidden = self.mlp["0"](self.ln_q(x).reshape(1, -1, self.width))
        return self.mlp["2"](jax.nn.gelu(hidden, approximate=False))


class Vision(nnx.Module):
    """Patches to the tokens that stand for them."""

    def __init__(self, config: Any, rope: RopeSpec, rngs: nnx.Rngs):
        self.rope = rope
        pixels = config.in_channels * config.temporal_patch_size * config.patch_size**2
        self.patch_embed = PatchEmbed(pixels, config.embed_dim, rngs)
        self.blocks = nnx.List([VisionBlock(config, rope, rngs) for _ in range(config.depth)])
        self.merger = Merger(config, rngs)

    def __call__(self, shown: Images) -> Float[Array, "1 tokens E"]:
        # The rotary embedding: one table for all blocks
        table = cos_sin(self.rope, shown.patches[None])
        x = self.patch_embed.proj(shown.pixels)[None]
        mask = (shown.frame[:, None] == shown.frame)[None, None]
        for block in self.blocks:
            x = block(x, table, mask)
        return self.merger(x)


class Attention(nnx.Module):
    """Grouped-query attention of the text model."""

    def __init__(self, config: Any, rope: RopeSpec, rngs: nnx.Rngs):
        width, self.rope, heads = config.hidden_size, rope, config.num_attention_heads
        kv_heads, head_dim = config.num_key_value_heads, rope.head_dim
        self.kept_shapes = ((kv_heads, head_dim),) * 2
        self.q_proj = linear(width, heads * head_dim, rngs, bias=True)
        self.k_proj = linear(width, kv_heads * head_dim, rngs, bias=True)
        self.v_proj = linear(width, kv_heads * head_dim, rngs, bias=True)
        self.o_proj = linear(heads * head_dim, width, rngs)

    def __call__(
        self, x: Float[Array, "B S D"], table, kept: Kept, start: Int32[Array, ""]
    ) -> tuple[Float[Array, "B S D"], Kept]:
        heads = lambda projected: projected.reshape(*x.shape[:2], -1, self.rope.head_dim)
        q, k, v = (heads(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        # The rotary embedding: the table has three axes
        q, k = rotate(self.rope, q, *table), rotate(self.rope, k, *table)
        keys, values = append(kept[0], k, start), append(kept[1], v, start)
        mask = visible(keys.shape[1], x.shape[1], start)
        y = jax.nn.dot_product_attention(q, keys, values, mask=mask)
        return self.o_proj(y.reshape(*x.shape[:2], -1)), (keys, values)


class VisionCache(NamedTuple):
    """`layers.Cache`, and the offset from the index of a token to its position."""

    layers: list[Kept]
    length: Int32[Array, ""]
    delta: Int32[Array, ""]


class Qwen2VL(nnx.Module):
    """From a configuration of transformers, or an object with its names."""

    def __init__(self, config: Any, rngs: nnx.Rngs):
        # The rotary embedding: a spec for the text model, and one for the vision tower
        self.rope = spec_from_config(config, "text")
        vision_rope = spec_from_config(config, "vision")
        text, self.image_token = config.text_config, config.image_token_id
        blocks = [
            Block(Attention(text, self.rope, rngs), MLP(text, rngs), text, rngs)
            for _ in range(text.num_hidden_layers)
        ]
        self.language_model = Decoder(text, blocks, rngs)
        self.visual = Vision(config.vision_config, vision_rope, rngs)
        self.logits = self.language_model.logits

    def empty_cache(self, batch: int, capacity: int) -> VisionCache:
        """A cache without tokens, for `capacity` positions."""
        empty = self.language_model.empty_cache(batch, capacity)
        return VisionCache(*empty, jnp.array(0, jnp.int32))

    def __call__(
        self,
        tokens: Int32[Array, "1 S"],
        cache: VisionCache,
        count: Int32[Array, ""] | None = None,
        shown: Images | None = None,
    ) -> tuple[Float[Array, "1 S D"], VisionCache]:
        """The first `count` tokens are real, all if None; images come with the first of them."""
        x, end = self.language_model.embed(tokens), cache.length
        end = end + (tokens.shape[1] if count is None else count)
        if shown is None:
            index = cache.length + cache.delta + jnp.arange(tokens.shape[1])
            positions = jnp.tile(index[None, :, None], 3)
        else:
            positions, cache = shown.tokens, cache._replace(delta=shown.delta)
            is_image = tokens[0] == self.image_token
            features = self.visual(shown)[0, jnp.cumsum(is_image) - 1]
            x = jnp.where(is_image[:, None], features, x)
        # The rotary embedding: one table for all layers of the text model
        tables = [cos_sin(self.rope, positions)] * len(self.language_model.layers)
        return self.language_model.run(x, tables, cache, end)
