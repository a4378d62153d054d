"""The names of faults: what is wrong with a rotary embedding, one sentence each."""

VOCABULARY = (
    ("layout_read", "The two channels of a pair are taken from other places in x."),
    ("layout_write", "The two channels of a pair are put in other places of the result."),
    ("rotated_width", "More or fewer channels are rotated."),
    ("start", "The rotated channels begin at another channel."),
    ("theta", "The base of the frequencies is another number."),
    ("exponent", "Frequencies are theta to another power than -2 k / d."),
    ("rule_missing", "The scaling of the frequencies for long contexts is not applied."),
    ("rule_parameter", "The scaling is applied with another number, or one is where none belongs."),
    ("frequencies", "Some frequencies are wrong, and nothing simpler describes them."),
    ("attention_factor", "The factor of cos and sin is another number, or missing."),
    ("sign", "Pairs are rotated by the negative angle."),
    ("cos_sin_exchanged", "Cosine stands where sine belongs, and the reverse."),
    ("position_offset", "Every position is off by a constant."),
    ("positions_rounded", "Positions are rounded to half precision."),
    ("frequencies_rounded", "Frequencies are rounded to few digits."),
    ("angles_rounded", "Angles are rounded to half precision."),
    ("table_rounded", "Cosines and sines are rounded to half precision for a wider x."),
    (
        "products_rounded",
        "The products of the rotation are rounded to half precision for a wider x.",
    ),
    ("table_ends", "From some position on the angle no longer follows the position."),
    ("axes", "A pair follows another coordinate of the position."),
    ("length_rule", "The frequencies depend on the length where they should not, or the reverse."),
    ("state", "The result depends on an earlier call, or on another instance."),
    ("not_linear", "The result is not linear in x."),
    ("neighbour", "The result at a position depends on x at another."),
    (
        "batch_row",
        "The result of a batch row depends on another row, or its positions are ignored.",
    ),
    ("heads", "The result depends on the index of the head."),
    ("dtype", "The result has another dtype than x."),
    ("pass_through", "Channels that are not rotated come back changed."),
    ("not_a_rotation", "Pairs are mapped by a matrix that is no rotation times a factor."),
)
NAMES = tuple(name for name, _ in VOCABULARY)
ENDS = ("clamped", "wrapped", "zero", "nan")  # how a table ends
