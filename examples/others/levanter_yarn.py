"""levanter's YaRN, in its Llama."""

from functools import partial
from unittest.mock import patch

from levanter.layers.rotary import RotaryEmbeddingsConfig, YarnRotaryEmbeddings

from rope_parity import identify

from . import SIZES, levanter_llama

# Qwen2.5-7B-Instruct, with what its model card adds for long texts
PUBLISHED = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_attention_heads": 28,
    "max_position_embeddings": 131072,
    "rope_theta": 1000000.0,
    "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"},
}
ROPE = RotaryEmbeddingsConfig.from_hf_config(PUBLISHED["rope_theta"], PUBLISHED["rope_scaling"])
their_rope = partial(levanter_llama.their_rope, rope=ROPE)
network = partial(levanter_llama.network, ROPE)

# Its frequencies are not those of the paper: they are read back from calls
SPEC = identify(their_rope, SIZES["head_dim"], framework="jax").spec
SWAPPED = patch.object(YarnRotaryEmbeddings, "__call__", levanter_llama.ours(SPEC))
