"""Configurations with sizes of our own, from transformers' default objects, in both spellings."""

from typing import Any

Values = dict[str, Any]
WIDTHS = [
    *(
        "head_dim",
        "global_head_dim",
        "swa_head_dim",
        "qk_rope_head_dim",
        "qk_head_dim",
        "kv_channels",
        "rotary_dim",
    ),
    *("attn_rotary_emb", "attention_head_dim", "hidden_size", "d_model", "n_embd", "embed_dim"),
]
LENGTH = {"original_max_position_embeddings": 256}
DEFAULT: Values = {"rope_type": "default"}
RULES: list[Values] = [
    DEFAULT,
    {"rope_type": "linear", "factor": 4.0},
    {"rope_type": "dynamic", "factor": 4.0},
    {"rope_type": "yarn", "factor": 8.0, **LENGTH},
    {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        **LENGTH,
    },
]
KEPT = (
    "mrope_section",
    "mrope_interleaved",
    "partial_rotary_factor",
)  # of the default rope object, under another rule
BESIDE = (
    "rope_theta",
    "partial_rotary_factor",
    "rope_scaling",
)  # what may say the same as rope_parameters
THETA, LAYERS = 12345.0, 7


def text_of(config: Any) -> Any:
    """The configuration object of the text model, the decoder where there are several."""
    return config.get_text_config(decoder=True)


def in_text(config: Any, values: Values) -> Values:
    """The object of the text model, within the values of a configuration of transformers."""
    text = text_of(config)
    for key in () if text is config else config.sub_configs:
        inner = getattr(config, key, None)
        if inner is not None and text_of(inner) is text:
            return in_text(inner, values[key])
    return values


def with_own_sizes(config: Any, rule: Values | None, resize: bool, old: bool = False) -> Values:
    """A default configuration with another theta and rule; resized: twice as wide, with 7 layers.

    Args:
        config: a configuration object of transformers.
        rule: the rope object; `DEFAULT` keeps the model's own with another theta, None keeps theta
            too.
        resize: whether widths and layers change.
        old: `rope_theta`, `partial_rotary_factor` and `rope_scaling` beside each other, instead of
            `rope_parameters`.
    """
    values = config.to_dict()
    text = in_text(config, values)
    if resize:
        _resize(text)
    if rule is not None:
        _change_rope(text, rule, resize, old)
    return values


def _resize(text: Values) -> None:
    layers = text.get("num_hidden_layers")
    for key in [
        key for key, value in text.items() if isinstance(value, list) and len(value) == layers
    ]:
        del text[key]  # one value for each layer, which the class fills in
    text.pop("per_layer_config", None)
    if "partial_rotary_factor" in (text.get("rope_parameters") or {}):
        text.pop("rotary_dim", None)  # says the same
    text |= {key: 2 * text[key] for key in WIDTHS if isinstance(text.get(key), int)}
    if layers:
        text["num_hidden_layers"] = LAYERS


def _change_rope(text: Values, rule: Values, resize: bool, old: bool) -> None:
    rope = text.pop("rope_parameters", None) or {}
    for key in BESIDE:
        text.pop(key, None)
    by_label = any(isinstance(own, dict) for own in rope.values())
    labels = (
        {label: own and _changed(own, rule, resize) for label, own in rope.items()}
        if by_label
        else {}
    )
    if old:
        text |= _old_spelling(
            rule | {"rope_theta": THETA} if by_label else _changed(rope, rule, resize)
        )
    else:
        text["rope_parameters"] = labels or _changed(rope, rule, resize)


def _changed(rope: Values, rule: Values, resize: bool) -> Values:
    own = dict(rope) if rule is DEFAULT else {key: rope[key] for key in KEPT if key in rope} | rule
    if resize and "mrope_section" in own:
        own["mrope_section"] = [2 * length for length in own["mrope_section"]]
    return own | {"rope_theta": THETA}


def _old_spelling(rope: Values) -> Values:
    outside = {key: rope[key] for key in ("rope_theta", "partial_rotary_factor") if key in rope}
    inside = {key: value for key, value in rope.items() if key not in outside}
    return outside | ({} if inside in ({}, DEFAULT) else {"rope_scaling": inside})
