"""The examples' models in transformers: its own configuration classes, small, random weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers

SIZES: dict[str, Any] = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,  # large, so that attention depends on positions
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IMAGE, VIDEO, VISION = 200, 201, 202  # tokens of Qwen2-VL


def small(config: Any, **own: Any) -> Any:
    """A configuration of these sizes, and what the model has of its own."""
    return config(**SIZES | own)


def smollm3() -> Any:
    """Eight layers, of which every fourth does not rotate."""
    return small(transformers.SmolLM3Config, num_hidden_layers=8)


def gemma3() -> Any:
    """Seven layers, of which the sixth is global; the window is shorter than the text."""
    ropes = {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
    }
    return small(
        transformers.Gemma3TextConfig, initializer_range=0.05, num_hidden_layers=7, head_dim=32,
        sliding_window=64, rope_parameters=ropes, query_pre_attn_scalar=32,
    )  # fmt: skip


def deepseek() -> Any:
    """Two dense layers; YaRN with the factors of the published DeepSeek-V3."""
    rope = {
        "rope_type": "yarn", "rope_theta": 10_000.0, "factor": 8.0, "beta_fast": 32,
        "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 64,
    }  # fmt: skip
    return small(
        transformers.DeepseekV3Config, num_key_value_heads=4, num_hidden_layers=2,
        first_k_dense_replace=2, q_lora_rank=48, kv_lora_rank=32, qk_rope_head_dim=32,
        qk_nope_head_dim=16, v_head_dim=16, rope_parameters=rope,
    )  # fmt: skip


def phi3(layers: int = 1) -> Any:
    """LongRoPE whose first context is 128 tokens.

    In one layer the keys depend on the rotary embedding by their rotation alone, so that rotating
    them anew gives what transformers gets by computing everything again.
    """
    rope = {
        "rope_type": "longrope", "rope_theta": 10_000.0, "original_max_position_embeddings": 128,
        "short_factor": [1.0 + i / 10 for i in range(8)],
        "long_factor": [1.5 + i for i in range(8)],
    }  # fmt: skip
    return small(
        transformers.Phi3Config, num_hidden_layers=layers, original_max_position_embeddings=128,
        rope_parameters=rope, sliding_window=None,
    )  # fmt: skip


def qwen2_vl() -> Any:
    """Two layers of text and two of the vision tower."""
    text = SIZES | {
        "num_hidden_layers": 2,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [2, 3, 3],
        },
    }  # fmt: skip
    vision: dict[str, Any] = {
        "depth": 2, "embed_dim": 64, "num_heads": 4, "hidden_size": 64, "patch_size": 4,
        "initializer_range": 0.2,
    }  # fmt: skip
    return transformers.Qwen2VLConfig(
        text_config=text, vision_config=vision, image_token_id=IMAGE, video_token_id=VIDEO,
        vision_start_token_id=VISION, vision_end_token_id=VISION + 1, tie_word_embeddings=True,
    )  # fmt: skip


CONFIGS = {f.__name__: f for f in (smollm3, gemma3, deepseek, phi3, qwen2_vl)}
MODELS = {
    "smollm3": transformers.SmolLM3ForCausalLM,
    "gemma3": transformers.Gemma3ForCausalLM,
    "deepseek": transformers.DeepseekV3ForCausalLM,
    "phi3": transformers.Phi3ForCausalLM,
    "qwen2_vl": transformers.Qwen2VLForConditionalGeneration,
}


def load(name: str, config: Any) -> Any:
    """The model with random weights, in which norms and biases are random too."""
    torch.manual_seed(0)
    model = MODELS[name](config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    model.generation_config.eos_token_id = None  # go on to the number of tokens that is asked for
    return model


def tensors(model: Any) -> dict[str, np.ndarray]:
    """The weights by name, without the head, which is the embedding."""
    return {
        name.removeprefix("model."): tensor.numpy()
        for name, tensor in model.state_dict().items()
        if not name.startswith("lm_head.")
    }


def logits(model: Any, tokens: Sequence[int], **images: Any) -> np.ndarray:
    """Scores after each token, `(S, V)`."""
    with torch.inference_mode():
        return model(torch.tensor([list(tokens)]), **images).logits[0].numpy()


def generate(model: Any, prompt: Sequence[int], count: int, **images: Any) -> list[int]:
    """The `count` most likely next tokens, by `model.generate`."""
    tokens = torch.tensor([list(prompt)])
    with torch.inference_mode():
        found = model.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=count, do_sample=False,
            pad_token_id=0, **images,
        )  # fmt: skip
    return found[0, len(prompt) :].tolist()
