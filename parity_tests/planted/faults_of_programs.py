"""The faults of arithmetic, of programs and of memory."""

from . import memories, programs
from .fault import computed, fed, programmed, returned

POSITIONS_BFLOAT16 = computed("positions_rounded", positions="bfloat16")
POSITIONS_FLOAT16 = computed("positions_rounded", positions="float16")
FREQUENCIES_BFLOAT16 = computed("frequencies_rounded", frequencies="bfloat16")
FREQUENCIES_FLOAT16 = computed("frequencies_rounded", frequencies="float16")
ANGLES_BFLOAT16 = computed("angles_rounded", angles="bfloat16")
TABLE_BFLOAT16 = computed("table_rounded", table="bfloat16")
TABLE_FLOAT16 = computed("table_rounded", table="float16")
PRODUCTS_BFLOAT16 = computed("products_rounded", products="bfloat16")
PRODUCTS_FLOAT16 = computed("products_rounded", products="float16")


def ends(how: str, rows: int = 8192):
    """A table of `rows` rows."""
    return computed("table_ends", how, rows=rows, end=how)


CLAMPED, WRAPPED, ZERO, NAN = map(ends, ("clamped", "wrapped", "zero", "nan"))
CLAMPED_256 = ends("clamped", 256)

SMEARED = fed("neighbour", programs.smeared)
LATE = fed("neighbour", programs.last_channels_late)
NORMALISED = fed("not_linear", programs.normalised)
CAPPED = fed("not_linear", programs.capped)
FIRST_ROW = programmed("batch_row", programs.first_row_for_all)
HEADS_SCALED = returned("heads", programs.each_head_scaled)
FIRST_HEAD = returned("heads", programs.first_head_alone)
FLOAT32_BACK = returned("dtype", programs.comes_back("float32"))
FLOAT64_BACK = returned("dtype", programs.comes_back("float64"))
OUTSIDE_ZERO = returned("pass_through", programs.outside_times(0.0))
OUTSIDE_SCALED = returned("pass_through", programs.outside_times(None))
ONE_SCALED = returned("not_a_rotation", programs.second_channels_times(0.9))
MINUS_LOST = programmed("not_a_rotation", programs.minus_lost)

POISONED = programmed("state", memories.poisoned)
NEVER_SHRINKS = programmed("state | state length_rule", memories.never_shrinks)
FIRST_LENGTH = programmed("state | state length_rule", memories.first_length_decides)
NOT_GROWN = programmed("state | state table_ends", memories.not_grown)
FIRST_POSITIONS = programmed("state", memories.first_positions_kept)
CONTINUES = programmed("state | state position_offset", memories.continues)
SHARED_CACHE = programmed(
    "state | theta",
    memories.shared_with(10000.0),
    "the other layer is part of each fresh instance, so that alone it is another theta",
)
