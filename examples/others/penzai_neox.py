"""penzai's GPT-NeoX, which rotates a part of each head."""

from unittest.mock import patch

import jax
import jax.numpy as jnp
from penzai import pz
from penzai.models.transformer.variants import gpt_neox

from rope_jax import cos_sin, rotate
from rope_spec import spec_from_config

from . import SIZES

# Pythia-160m, as published
PUBLISHED = {
    "model_type": "gpt_neox",
    "hidden_size": 768,
    "num_attention_heads": 12,
    "max_position_embeddings": 2048,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
}
SPEC = spec_from_config(PUBLISHED)


# The adapter: penzai maps a function of one token over all the axes that have names
def ours(layer, x, *, token_positions, **_):
    def rotated(head, position):
        return rotate(SPEC, head[None], *cos_sin(SPEC, position[None]), heads_axis=None)[0]

    return pz.nx.nmap(rotated)(x.untag("projection"), token_positions).tag("projection")


SWAPPED = patch.object(pz.nn.ApplyRoPEToSubset, "__call__", ours)


def their_rope(x, positions):
    """The rotation as its attention calls it."""
    layer = pz.nn.ApplyRoPEToSubset(
        embedding_axis="projection",
        max_wavelength=PUBLISHED["rotary_emb_base"],
        rope_subset_size=int(PUBLISHED["rotary_pct"] * x.shape[-1]),
        positions_input_name="token_positions",
    )
    axes = ("batch", "seq", "heads", "projection")
    named, positions = pz.nx.wrap(x).tag(*axes), pz.nx.wrap(positions).tag("batch", "seq")
    return layer(named, token_positions=positions).unwrap(*axes)


def network():
    """A small model with random weights, from tokens to logits."""
    config = gpt_neox.GPTNeoXTransformerConfig(
        num_attention_heads=SIZES["heads"],
        embedding_dim=SIZES["width"],
        projection_dim=SIZES["head_dim"],
        mlp_hidden_dim=SIZES["hidden"],
        num_decoder_blocks=2,
        vocab_size=SIZES["vocabulary"],
        activation_fn="gelu_exact",
        rope_subset_size=SPEC.rotary_dim,
        rope_wavelength=PUBLISHED["rotary_emb_base"],
        layernorm_epsilon=1e-5,
        parameter_dtype=jnp.float32,
        activation_dtype=jnp.float32,
    )
    model = gpt_neox.build_gpt_neox_transformer(config, jax.random.key(0))

    def logits(tokens):
        return model(pz.nx.wrap(tokens).tag("batch", "seq")).unwrap("batch", "seq", "vocabulary")

    return logits
