"""The same model in transformers, read from the same file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .weights import gguf_path


def tokenizer() -> Any:
    """The tokenizer that is in the file."""
    from transformers import AutoTokenizer

    path = gguf_path()
    return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def load() -> Any:
    """transformers' LlamaForCausalLM in float32."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    path = gguf_path()
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    model.generation_config.eos_token_id = None  # go on to the number of tokens that is asked for
    return model


def generate(model: Any, prompt: Sequence[int], count: int) -> list[int]:
    """The `count` most likely next tokens, by `model.generate`."""
    tokens = torch.tensor([list(prompt)])
    options = {
        "max_new_tokens": count,
        "do_sample": False,
        "pad_token_id": 0,
        "attention_mask": torch.ones_like(tokens),
    }
    with torch.inference_mode():
        return model.generate(tokens, **options)[0, len(prompt) :].tolist()
