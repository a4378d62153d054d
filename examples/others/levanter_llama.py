"""levanter's Llama, on equinox and haliax."""

from unittest.mock import patch

import haliax as hax
import jax
from levanter.layers.attention import AttentionMask
from levanter.layers.rotary import Llama3RotaryEmbeddings, RotaryEmbeddingsConfig
from levanter.models.llama import LlamaConfig, LlamaLMHeadModel

from rope_jax import cos_sin, rotate
from rope_spec import spec_from_config

from . import LLAMA, SIZES

PUBLISHED = LLAMA
SPEC = spec_from_config(PUBLISHED)
ROPE = RotaryEmbeddingsConfig.from_hf_config(LLAMA["rope_theta"], LLAMA["rope_scaling"])


# The adapter
def ours(spec):
    def rotated(layer, x, positions):
        rows = x.rearrange((..., *positions.axes, layer.HeadDim))
        table = cos_sin(spec, positions.array)
        return hax.named(rotate(spec, rows.array, *table, heads_axis=None), rows.axes)

    return rotated


SWAPPED = patch.object(Llama3RotaryEmbeddings, "__call__", ours(SPEC))


def their_rope(x, positions, rope=ROPE):
    """The rotation as its attention calls it."""
    named = hax.named(x, ("batch", "position", "heads", "head_size"))
    rotation = rope.build(named.resolve_axis("head_size"))
    return rotation(named, hax.named(positions, ("batch", "position"))).rearrange(named.axes).array


def network(rope=ROPE):
    """A small model with random weights, from tokens to logits."""
    config = LlamaConfig(
        num_layers=2,
        hidden_dim=SIZES["width"],
        intermediate_dim=SIZES["hidden"],
        num_heads=SIZES["heads"],
        num_kv_heads=SIZES["kv_heads"],
        head_dim=SIZES["head_dim"],
        rope=rope,
    )
    vocabulary = hax.Axis("vocabulary", SIZES["vocabulary"])
    llama = LlamaLMHeadModel.init(vocabulary, config, key=jax.random.key(0))

    def logits(tokens):
        return llama(hax.named(tokens, ("batch", "position")), AttentionMask.causal()).array

    return logits
