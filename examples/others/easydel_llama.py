"""EasyDeL's Llama, in Flax NNX."""

import os
from unittest.mock import patch

os.environ["EASYDEL_AUTO"] = "0"  # it would set flags that XLA does not know on a CPU
import jax.numpy as jnp  # noqa: E402
from easydel.layers.rotary import Llama3RotaryEmbedding  # noqa: E402
from easydel.modules.llama import LlamaConfig, LlamaForCausalLM  # noqa: E402
from flax import nnx  # noqa: E402

from rope_jax import cos_sin, rotate  # noqa: E402
from rope_spec import spec_from_config  # noqa: E402

from . import LLAMA, SIZES  # noqa: E402

PUBLISHED = LLAMA
SPEC = spec_from_config(PUBLISHED)
CONFIG = LlamaConfig(
    num_hidden_layers=2,
    vocab_size=SIZES["vocabulary"],
    hidden_size=SIZES["width"],
    intermediate_size=SIZES["hidden"],
    num_attention_heads=SIZES["heads"],
    num_key_value_heads=SIZES["kv_heads"],
    head_dim=SIZES["head_dim"],
    max_position_embeddings=PUBLISHED["max_position_embeddings"],
    rope_theta=PUBLISHED["rope_theta"],
    rope_scaling=PUBLISHED["rope_scaling"],
    attn_mechanism="vanilla",
    attn_dtype=jnp.float32,
)


# The adapter, with a table in bfloat16 as theirs
def ours(layer, positions, query, key, **_):
    table = [t.astype(jnp.bfloat16) for t in cos_sin(SPEC, positions)]
    return rotate(SPEC, query, *table), rotate(SPEC, key, *table)


SWAPPED = patch.object(Llama3RotaryEmbedding, "__call__", ours)
FREQUENCIES = CONFIG.get_basic_frequencies()


def their_rope(x, positions):
    """The rotation as its attention calls it."""
    rotary = CONFIG.get_basic_rope(x.dtype, x.shape[-1])
    return rotary(positions=positions, query=x, key=x, frequencies=FREQUENCIES)[0]


def network():
    """A small model with random weights, from tokens to logits."""
    llama = LlamaForCausalLM(CONFIG, dtype=jnp.float32, param_dtype=jnp.float32, rngs=nnx.Rngs(0))

    def logits(tokens):
        with CONFIG.mesh:
            return llama(input_ids=tokens).logits

    return logits
