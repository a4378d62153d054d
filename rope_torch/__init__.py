"""RoPE for PyTorch: pure functions and one module; the same bits as `rope_jax`."""

from .cache import (
    RopeCache as RopeCache,
    cached_cos_sin as cached_cos_sin,
    grow_cache as grow_cache,
    init_cache as init_cache,
    lookup as lookup,
)
from .deepseek import DeepseekV3RotaryEmbedding as DeepseekV3RotaryEmbedding
from .full_tables import FullTables as FullTables, TableForm as TableForm
from .functional import (
    apply_rotary_pos_emb as apply_rotary_pos_emb,
    cos_sin as cos_sin,
    rotate as rotate,
)
from .module import RotaryEmbedding as RotaryEmbedding
from .rerotation import rerotate as rerotate, unrotate as unrotate
from .swap import swap_rotary as swap_rotary
