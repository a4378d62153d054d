"""google-tunix's Llama-3 in Flax NNX."""

from unittest.mock import patch

import jax.numpy as jnp
from flax import nnx
from tunix.models.llama3 import model

from rope_jax import cos_sin, rotate
from rope_spec import RopeSpec

from . import LLAMA, SIZES

# Its attention leaves the theta of the configuration to the default of apply_rope, which is 1e6
SPEC = RopeSpec(head_dim=SIZES["head_dim"], theta=1e6)
PUBLISHED = LLAMA


# The adapter
def ours(x, positions, head_dim, **_):
    return rotate(SPEC, x, *cos_sin(SPEC, positions))


SWAPPED = patch.object(model, "apply_rope", ours)


def their_rope(x, positions):
    """The rotation as its attention calls it."""
    return model.apply_rope(x, positions, head_dim=x.shape[-1])


def network():
    """A small model with random weights, from tokens to logits."""
    config = model.ModelConfig(
        num_layers=2,
        vocab_size=SIZES["vocabulary"],
        embed_dim=SIZES["width"],
        hidden_dim=SIZES["hidden"],
        num_heads=SIZES["heads"],
        head_dim=SIZES["head_dim"],
        num_kv_heads=SIZES["kv_heads"],
        rope_theta=500_000,
        norm_eps=1e-5,
        weight_tying=True,
    )
    llama = model.Llama3(config, rngs=nnx.Rngs(0))

    def logits(tokens):
        length = tokens.shape[1]
        mask = jnp.tril(jnp.ones((1, length, length), bool))
        return llama(tokens, jnp.arange(length)[None], None, mask)[0]

    return logits
