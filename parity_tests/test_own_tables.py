"""RoFormer and the vision tower of Llama-4, whose tables transformers makes from sizes alone.

`rope_parity.reference` asks a class for the table of some positions, so it has nothing to ask here.
"""

import numpy as np
import torch
from transformers import Llama4VisionConfig, RoFormerConfig
from transformers.models.llama4.modeling_llama4 import (
    Llama4VisionRotaryEmbedding,
    vision_apply_rotary_emb,
)
from transformers.models.roformer.modeling_roformer import (
    RoFormerSelfAttention,
    RoFormerSinusoidalPositionalEmbedding,
)

from rope_parity import bounds
from rope_parity.backends import Torch
from rope_parity.measure import compare
from rope_spec import Arithmetic, inverse_frequencies, reference_arithmetic, spec_from_config
from rope_spec.phase import pair_positions

LENGTH = 512


def exact(spec, positions):
    return np.stack(Torch().cos_sin(spec, positions, None, Arithmetic()))


def queries(rng, length, head_dim):
    return rng.standard_normal((1, length, 2, head_dim)).astype(np.float32)


def test_roformer(rng):
    """Its table is computed in float64, then rounded: half an ULP from the exact value."""
    config = RoFormerConfig(hidden_size=288, num_attention_heads=6)
    spec, positions = spec_from_config(config), np.arange(LENGTH)[None]
    table = RoFormerSinusoidalPositionalEmbedding(LENGTH, spec.head_dim)
    weight = table.create_weight().numpy()
    sin, cos = weight[None, :, : spec.head_dim // 2], weight[None, :, spec.head_dim // 2 :]
    bound = bounds.U + bounds.exact_table(1.0)
    assert compare(exact(spec, positions), np.stack([cos, sin]), 1.0, bound).ok
    x = queries(rng, LENGTH, spec.head_dim)
    apply = RoFormerSelfAttention.apply_rotary_position_embeddings
    heads_first = torch.from_numpy(x).transpose(1, 2)
    theirs, _ = apply(torch.from_numpy(weight)[None, None], heads_first, heads_first)
    ours = Torch().rotate(x, (cos, sin), spec, reference_arithmetic(config))
    assert compare(ours, theirs.transpose(1, 2).numpy(), 1.0, 0.0).ok


def test_the_vision_tower_of_llama4(rng):
    """Row and column count from 1, and the class token, the last one, is at (0, 0)."""
    config = Llama4VisionConfig(
        image_size=224, patch_size=14, hidden_size=768, num_attention_heads=8
    )
    spec = spec_from_config(config)
    grid = np.stack(np.meshgrid(np.arange(16), np.arange(16), indexing="ij"), -1).reshape(-1, 2)
    positions = np.concatenate([grid + 1, [[0, 0]]])[None]
    table = Llama4VisionRotaryEmbedding(config)(torch.zeros(1))
    cos, sin = (part.numpy()[None, :, 0] for part in (table.real, table.imag))
    inv_freq = inverse_frequencies(spec).inv_freq
    error = inv_freq * bounds.float32_ladder(spec)
    bound = bounds.float32_table(pair_positions(spec, positions), inv_freq, error, 1.0)
    bound = bound + bounds.exact_table(1.0)
    assert compare(exact(spec, positions), np.stack([cos, sin]), 1.0, bound).ok
    x = queries(rng, 257, spec.head_dim)
    theirs, _ = vision_apply_rotary_emb(torch.from_numpy(x), torch.from_numpy(x), table)
    ours = Torch().rotate(x, (cos, sin), spec, reference_arithmetic(config, "vision"))
    assert compare(ours, theirs.numpy(), 1.0, 0.0).ok
