"""The faults of descriptions: what public programs take for the rotary embedding of a model."""

import numpy as np

from . import rules
from .coordinates import sections
from .fault import described, finished, given, one_times, powered, ruled, unscaled
from .rope import yarn_factor

SAME_LADDER = "theta to another power is another theta"
HALVES = described(
    "layout_read layout_write | layout_read", read=given("half"), write=given("half")
)
INTERLEAVED = described(
    "layout_read layout_write | layout_read", read=given("interleaved"), write=given("interleaved")
)
READS_HALF = described("layout_read", read=given("half"))
WRITES_INTERLEAVED = described("layout_write", write=given("interleaved"))

LADDER_FOLLOWS = "the ladder follows the width, and may be named as well"
WHOLE_HEAD = described(
    "rotated_width | rotated_width exponent | rotated_width theta",
    LADDER_FOLLOWS,
    pairs=lambda rope: rope.head_dim // 2,
    dim=lambda rope: rope.head_dim,
)
TWICE_AS_WIDE = described(
    "rotated_width | rotated_width exponent | rotated_width theta",
    LADDER_FOLLOWS,
    pairs=lambda rope: 2 * rope.pairs,
    dim=lambda rope: 2 * rope.dim,
)
HALF_AS_WIDE = described(
    "rotated_width | rotated_width exponent | rotated_width theta",
    LADDER_FOLLOWS,
    pairs=lambda rope: rope.pairs // 2,
    dim=lambda rope: rope.dim // 2,
)
AT_THE_END = described("start", start=lambda rope: rope.head_dim - 2 * rope.pairs)
LAST_PAIR_STILL = finished(
    "rotated_width | frequencies",
    lambda w: np.where(np.arange(len(w)) == len(w) - 1, 0, w),
    "a pair that stands still is a frequency of 0, or no pair at all",
)
COMPACT = described(
    "rotated_width | layout_read layout_write | layout_read",
    "the pairs that turn are halves of the first channels, not of the head",
    pairs=given(64),
    rule=lambda rope: lambda ladder: ladder.plain,
)

THETA_10000 = described("theta", theta=given(10000.0))
THETA_LARGE = described("theta", theta=given(1000000.0))
THETA_500 = described("theta", theta=given(500000.0))
LADDER_OF_HEAD = described("exponent | theta", SAME_LADDER, dim=lambda rope: rope.head_dim)
LADDER_OF_PART = described("exponent | theta", SAME_LADDER, dim=given(128))
PADDED = described("exponent | theta", SAME_LADDER, dim=given(128))
K_OVER_D = powered("exponent | theta", lambda k, d: k / d, SAME_LADDER)
D_MINUS_2 = powered("exponent | theta", lambda k, d: 2 * k / (d - 2), SAME_LADDER)
ONE_UP = powered(
    "exponent | rule_parameter",
    lambda k, d: 2 * (k + 1) / d,
    "every frequency is divided by theta to 2 / d, which is linear scaling by that number",
)

WITH_FACTOR = "the factor of cos and sin belongs to the scaling that is missing"
NO_SCALING = unscaled("rule_missing")
NO_YARN = unscaled("rule_missing | rule_missing attention_factor", WITH_FACTOR)
INVERTED = ruled("rule_parameter", factor=0.25)
FACTOR_8 = ruled("rule_parameter", factor=8.0)
FACTOR_32 = ruled("rule_parameter", factor=32.0)
BANDS_EXCHANGED = ruled("rule_parameter | frequencies", low=4.0, high=1.0)
WHOLE_CONTEXT = ruled("rule_parameter", original=131072)
BETAS_EXCHANGED = ruled("rule_parameter | frequencies", fast=1.0, slow=32.0)
TRUNCATED = ruled("rule_parameter", truncate=True)
NOT_TRUNCATED = ruled("rule_parameter", truncate=False)
INTERPOLATED = described(
    "length_rule | rule_parameter | length_rule rule_parameter | rule_missing",
    "beyond the original context another rule holds",
    rule=lambda rope: lambda ladder: rules.interpolated_ntk(ladder, 4.0, 2048),
)
CAPACITY = ruled(
    "length_rule | theta rule_missing",
    "always the length of its table, so that it is a plain ladder of a larger theta",
    length=16384,
)
NEVER_LONG = described(
    "length_rule | rule_parameter", "the long factors are never used", follows_length=given(False)
)
ALWAYS_LONG = ruled("length_rule | rule_parameter", "the short factors are never used", original=0)

FACTOR_MISSING = described("attention_factor", factor=given(1.0))
FACTOR_SQUARED = described("attention_factor", factor=lambda rope: rope.factor**2)
MSCALE = described("attention_factor", factor=given(yarn_factor(40.0)))

FEW_DIGITS = finished(
    "frequencies | frequencies_rounded",
    lambda w: np.round(w.astype(np.float64), 4).astype(w.dtype),
    "multiples of 1e-4 are a rounding as well",
)
ONE_PAIR = finished("frequencies", one_times(5, 1.5))
ONE_SLOW_PAIR = finished("frequencies", one_times(29, 0.5))
NEGATIVE = described("sign", sign=lambda rope: -rope.sign)
EXCHANGED = described("cos_sin_exchanged", exchanged=given(True))
ONE_LATE = described("position_offset", offset=given(1))
ONE_EARLY = described("position_offset", offset=given(-1))

SECTIONS_EXCHANGED = described("axes", axis=given(sections(24, 24, 16)))
CONSECUTIVE = described("axes", axis=given(sections(24, 20, 20)))
LAST_TWO_EXCHANGED = described(
    "axes", axis=lambda rope: tuple((0, 2, 1)[axis] for axis in rope.axis)
)
ROWS_FOR_COLUMNS = described("axes", axis=lambda rope: tuple(1 - axis for axis in rope.axis))
ONE_COORDINATE = described("axes", axis=lambda rope: (0,) * rope.pairs)
