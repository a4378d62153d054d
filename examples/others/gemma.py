"""Google DeepMind's Gemma 3, in Flax Linen: two rotary embeddings, by layer."""

from unittest.mock import patch

import jax
import jax.numpy as jnp
from gemma.gm.math import _positional_embeddings
from gemma.gm.nn._config import TransformerConfig
from gemma.gm.nn._modules import AttentionType
from gemma.gm.nn._transformer import Transformer

from rope_jax import cos_sin, rotate
from rope_spec import specs_from_config

from . import SIZES

# Gemma-3-4B, as published
PUBLISHED = {
    "model_type": "gemma3_text",
    "head_dim": 256,
    "hidden_size": 2560,
    "num_attention_heads": 8,
    "max_position_embeddings": 131072,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
}
LABEL = "full_attention"
SPECS = {spec.theta: spec for spec in specs_from_config(PUBLISHED).values()}


# The adapter
def ours(x, positions, *, base_frequency, **_):
    spec = SPECS[base_frequency]
    return rotate(spec, x, *cos_sin(spec, positions))


SWAPPED = patch.object(_positional_embeddings, "apply_rope", ours)


def their_rope(x, positions):
    """The rotation as the attention of its global layers calls it."""
    theta, factor = PUBLISHED["rope_theta"], PUBLISHED["rope_scaling"]["factor"]
    return _positional_embeddings.apply_rope(
        x, positions, base_frequency=theta, scale_factor=factor
    )


def network():
    """A small model with random weights, a local and a global layer, from tokens to logits."""
    config = TransformerConfig(
        num_embed=SIZES["vocabulary"],
        embed_dim=SIZES["width"],
        hidden_dim=SIZES["hidden"],
        num_heads=SIZES["heads"],
        num_kv_heads=SIZES["kv_heads"],
        head_dim=PUBLISHED["head_dim"],
        final_logit_softcap=None,
        use_post_attn_norm=True,
        use_post_ffw_norm=True,
        use_qk_norm=True,
        attention_types=[AttentionType.LOCAL_SLIDING, AttentionType.GLOBAL],
        sliding_window_size=64,
        local_base_frequency=10_000,
        global_base_frequency=1_000_000,
        global_scale_factor=8.0,
    )
    model = Transformer(config=config, dtype=jnp.float32)
    weights = model.init(jax.random.key(0), jnp.ones((1, 1), jnp.int32))
    return lambda tokens: model.apply(weights, tokens).logits
