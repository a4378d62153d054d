"""What a verdict says about each departure, by its name and by what is special about it."""

LAYOUT = {
    "half": "halves (channel j with j + d / 2)",
    "interleaved": "neighbours (channel 2 j with 2 j + 1)",
    "half_per_axis": "halves of the block of each coordinate",
    "other": "neither halves nor neighbours",
    "half, exchanged": "halves, the second one first",
    "interleaved, exchanged": "neighbours, the second one first",
    "half_per_axis, exchanged": "halves of each block, the second one first",
}

# By the name of a departure, then by what is special about it (`VARIANTS`); "" is any other.
# The fields are those of `_fields`.
TEXTS: dict[str, dict[str, str]] = {
    "layout_read": {
        "": "The two channels of a pair are read as {layout}; the model has {expected_layout}. "
        "Change the order that the function takes, or convert the weights of the q and k "
        "projections with rope_spec.convert_projection, not both."
    },
    "layout_write": {
        "": "The rotated channels are written as {layout}; the model writes {expected_layout}. "
        "Put the two halves of the result back in that order."
    },
    "rotated_width": {
        "compact": "The {found} rotated channels are the first ones; the model pairs channel j "
        "with channel j + {half}, and most of its pairs stand still. Give the other pairs a "
        "frequency of 0.",
        "": "{found} channels are rotated, {expected} should be. Look at head_dim and "
        "partial_rotary_factor.",
    },
    "start": {"": "The rotated channels begin at channel {found}, they should at {expected}."},
    "theta": {
        "axes": "theta of the coordinates is {found}, the config says {expected}. A model may "
        "multiply its theta by a number for each coordinate.",
        "": "theta is {found}, the config says {expected}. Look for rope_theta.",
    },
    "exponent": {"": "The exponent of theta is {d.found}."},
    "rule_missing": {
        "otherwise": "The scaling {expected} is described, but {d.how}.",
        "": "The scaling {expected} of the config is not applied: the frequencies are those of a "
        "plain ladder.",
    },
    "rule_parameter": {
        "unknown": "The scaling of the frequencies has another number ({d.how}). Compare it with "
        "the config.",
        "": "The scaling of the frequencies has another number ({d.how}): found {found}, described "
        "{expected}. Compare it with the config.",
    },
    "frequencies": {
        "list": "The frequencies are others than described, and there are more or fewer of them.",
        "unknown": "Some pairs have other frequencies, which nothing simpler explains.",
        "reversed": "{d.count} pairs have other frequencies; the first is {found} instead of "
        "{expected} radians per position. They are in reverse order.",
        "permuted": "{d.count} pairs have other frequencies; the first is {found} instead of "
        "{expected} radians per position. They are in another order.",
        "": "{d.count} pairs have other frequencies; the first is {found} instead of {expected} "
        "radians per position. No simpler explanation was found.",
    },
    "attention_factor": {
        "cos and sin": "cos and sin have different factors, {found}. Multiply both alike.",
        "twice": "The attention factor {expected} is applied twice. Multiply cos and sin by it "
        "once.",
        "": "cos and sin are multiplied by {found}, not by {expected}. Look at attention_factor "
        "and mscale.",
    },
    "sign": {
        "": "Pairs turn the other way round. Exchange the signs of the two products with sin."
    },
    "cos_sin_exchanged": {"": "cos stands where sin belongs, and the reverse. Exchange them."},
    "position_offset": {
        "": "Every position is taken for position {signed}. Count positions from 0."
    },
    "positions_rounded": {
        "": "Positions are rounded to {d.how}. Keep them as integers, or in float32."
    },
    "frequencies_rounded": {
        "": "Frequencies are rounded to {d.how}. Compute and keep inv_freq in float32."
    },
    "angles_rounded": {
        "": "Angles are rounded to {d.how}. Multiply positions and inv_freq in float32."
    },
    "table_rounded": {"": "cos and sin are rounded to {d.how}. Keep the table in float32."},
    "products_rounded": {
        "": "x or the products with it are rounded to {d.how}. Rotate in the dtype of x, or in "
        "float32."
    },
    "table_ends": {
        how: f"A table of {{found}} rows: {after}. Make it as long as the context, or compute the "
        "angles without one."
        for how, after in {
            "clamped": "every later position is given row {last}",
            "wrapped": "later positions begin again at 0",
            "zero": "later positions come out as zeros",
            "nan": "later positions come out as NaN",
            "still": "later positions are not rotated",
        }.items()
    },
    "axes": {
        "sum": "Pairs follow the sum of several coordinates of a position; each should follow one.",
        "": "Pairs follow another coordinate of the position than described. Compare the sections "
        "of the config.",
    },
    "length_rule": {
        "not described": "The frequencies change with the current length; the config has no such "
        "rule.",
        "short factors": "Beyond the original context the short factors are still used, not the "
        "long ones.",
        "long factors": "Within the original context the long factors are used, not the short "
        "ones.",
        "the border": "The frequencies change at another length than described.",
        "": "The frequencies depend on the current length in another way than described.",
    },
    "state": {
        how: f"{what} Look for a cache whose key lacks the length, the dtype or theta. Two calls "
        "show it:"
        for how, what in {
            "length": "The result depends on the calls before it.",
            "dtype": "The result depends on the dtype of an earlier call.",
            "instance": "Two instances with different theta answer alike.",
        }.items()
    },
    "not_linear": {"": "The result is not linear in x: something beside a rotation is applied."},
    "neighbour": {
        "": "A token comes out different when other tokens change: rows depend on each other."
    },
    "batch_row": {
        "": "A batch row is not rotated by its own positions, or depends on another row."
    },
    "heads": {
        "": "Heads are treated differently, or depend on each other. Look at the order of the axes."
    },
    "dtype": {"": "The result is {found} for x in {expected}. Cast it back to the dtype of x."},
    "pass_through": {
        "": "Channels that are not rotated come back changed ({d.how}). Copy them as they are."
    },
    "not_a_rotation": {
        "": "This is no rotation of pairs of channels. Often cos and sin are repeated for halves "
        "and the channels are paired as neighbours, or the reverse; or a minus sign is missing."
    },
    "unexplained": {"": "It differs, and no explanation was found. The figures are in the JSON."},
}
