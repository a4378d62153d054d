"""keras-hub's Llama, on JAX."""

import os
from unittest.mock import patch

os.environ["KERAS_BACKEND"] = "jax"
import jax.numpy as jnp  # noqa: E402
import keras  # noqa: E402
import keras_hub  # noqa: E402
from keras_hub.src.models.llama.llama_rotary_embedding import LlamaRotaryEmbedding  # noqa: E402

from rope_jax import cos_sin, rotate  # noqa: E402
from rope_spec import spec_from_config  # noqa: E402

from . import LLAMA, SIZES  # noqa: E402

PUBLISHED = LLAMA
SPEC = spec_from_config(PUBLISHED)
SCALING = {
    "max_wavelength": 500_000,
    "frequency_adjustment_factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "pretraining_sequence_length": 8192,
}


# The adapter
def ours(layer, x, start_index=0, positions=None):
    positions = start_index + jnp.arange(x.shape[1])[None] if positions is None else positions
    return rotate(SPEC, x, *cos_sin(SPEC, positions))


SWAPPED = patch.object(LlamaRotaryEmbedding, "call", ours)


def their_rope(x, positions):
    """The rotation as its attention calls it."""
    return LlamaRotaryEmbedding(**SCALING, dtype=x.dtype.name)(x, positions=positions)


def network():
    """A small model with random weights, from tokens to logits."""
    keras.utils.set_random_seed(0)
    llama = keras_hub.models.LlamaBackbone(
        vocabulary_size=SIZES["vocabulary"],
        num_layers=2,
        num_query_heads=SIZES["heads"],
        num_key_value_heads=SIZES["kv_heads"],
        hidden_dim=SIZES["width"],
        intermediate_dim=SIZES["hidden"],
        **{f"rope_{name}": value for name, value in SCALING.items()},
        dtype="float32",
    )

    def logits(tokens):
        inputs = {"token_ids": tokens, "padding_mask": jnp.ones_like(tokens)}
        return llama.token_embedding(llama(inputs), reverse=True)

    return logits
