"""RoPE for JAX: pure functions, explicit state, safe under `jit`; the same bits as `rope_torch`.

The modules for Flax are `rope_jax.nnx` and `rope_jax.linen`.
"""

from . import deepseek as deepseek
from .cache import (
    RopeCache as RopeCache,
    cached_cos_sin as cached_cos_sin,
    grow_cache as grow_cache,
    init_cache as init_cache,
    lookup as lookup,
)
from .functional import (
    apply_rotary_pos_emb as apply_rotary_pos_emb,
    cos_sin as cos_sin,
    rotate as rotate,
)
from .rerotation import rerotate as rerotate, unrotate as unrotate
