"""RoPE for PyTorch: bit for bit what `rope_jax` computes, and the lesson's `DeepseekV3RotaryEmbedding` as written."""

from .deepseek import DeepseekV3RotaryEmbedding as DeepseekV3RotaryEmbedding
from .functional import apply_rotary_pos_emb as apply_rotary_pos_emb
from .functional import cos_sin as cos_sin
from .functional import rotate as rotate
