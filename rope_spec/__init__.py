"""A rotary position embedding as a value, with its frequencies and its exact phase; NumPy only."""

from .config import (
    Config as Config,
    context_length as context_length,
    layer_labels as layer_labels,
    read_config as read_config,
    reference_arithmetic as reference_arithmetic,
    spec_from_config as spec_from_config,
    spec_from_timm as spec_from_timm,
    specs_from_config as specs_from_config,
)
from .frequencies import Frequencies as Frequencies, inverse_frequencies as inverse_frequencies
from .grids import (
    centred_coordinates as centred_coordinates,
    cogvideox_coordinates as cogvideox_coordinates,
    flux2_positions as flux2_positions,
    flux_positions as flux_positions,
    grid_coordinates as grid_coordinates,
    ltx_coordinates as ltx_coordinates,
    lumina2_positions as lumina2_positions,
    qwen_image_positions as qwen_image_positions,
)
from .pairs import Pairs as Pairs
from .phase import cos_sin as cos_sin
from .positions import (
    grid_positions as grid_positions,
    inverse_order as inverse_order,
    mrope_delta as mrope_delta,
    mrope_positions as mrope_positions,
    positions_from_cu_seqlens as positions_from_cu_seqlens,
    positions_from_mask as positions_from_mask,
    positions_from_segments as positions_from_segments,
    striped_order as striped_order,
    zigzag_order as zigzag_order,
)
from .rules import (
    DynamicNTK as DynamicNTK,
    Explicit as Explicit,
    Linear as Linear,
    Llama3 as Llama3,
    LongRope as LongRope,
    PerAxis as PerAxis,
    Proportional as Proportional,
    Rule as Rule,
    Yarn as Yarn,
)
from .spec import (
    Angles as Angles,
    Arithmetic as Arithmetic,
    Layout as Layout,
    RopeSpec as RopeSpec,
    RotateIn as RotateIn,
    Unit as Unit,
)
from .strategies import OutOfRange as OutOfRange, Strategy as Strategy
from .weights import (
    channel_order as channel_order,
    convert_fused_projection as convert_fused_projection,
    convert_projection as convert_projection,
)
