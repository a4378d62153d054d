"""RoPE for JAX: functional, explicit state, safe under `jit`; bit for bit what `rope_torch` computes."""

from . import deepseek as deepseek
from .cache import RopeCache as RopeCache
from .cache import cached_cos_sin as cached_cos_sin
from .cache import grow_cache as grow_cache
from .cache import init_cache as init_cache
from .cache import lookup as lookup
from .functional import apply_rotary_pos_emb as apply_rotary_pos_emb
from .functional import cos_sin as cos_sin
from .functional import rotate as rotate
