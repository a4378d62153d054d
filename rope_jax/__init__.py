"""RoPE for JAX: functional, explicit state, safe under `jit`; bit for bit what `rope_torch` computes."""

from . import deepseek as deepseek
from .functional import apply_rotary_pos_emb as apply_rotary_pos_emb
from .functional import cos_sin as cos_sin
from .functional import rotate as rotate
