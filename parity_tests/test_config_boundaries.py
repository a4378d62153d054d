"""Which of two values counts, which layers have a label, and what is refused."""

import copy
from typing import Any

import pytest
from transformers import AutoConfig

from parity_tests.agreement import disagreement
from rope_spec import layer_labels, spec_from_config, specs_from_config
from rope_spec.config.keys import Keys

LLAMA = {"model_type": "llama", "head_dim": 64, "max_position_embeddings": 8192}
GEMMA3 = {"model_type": "gemma3_text", "head_dim": 64, "num_hidden_layers": 12}
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 1024}
LOCAL = {"rope_type": "default", "rope_theta": 1e4}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0 + pair / 48 for pair in range(48)],
    "long_factor": [2.0 + pair for pair in range(48)],
}
PHI3: dict[str, Any] = {"model_type": "phi3", "hidden_size": 384, "num_attention_heads": 4}
PHI3 |= {"max_position_embeddings": 8192, "rope_scaling": LONG}


def theirs(config: dict[str, Any]) -> Any:
    """transformers' object for the values of a configuration."""
    values = copy.deepcopy(config)
    return AutoConfig.for_model(values.pop("model_type"), **values)


READ = {  # and transformers has the same, at both ends of a length that decides
    "an original length outside comes first": PHI3 | {"original_max_position_embeddings": 1024},
    "before the one inside": PHI3
    | {"original_max_position_embeddings": 1024}
    | {"rope_scaling": LONG | {"original_max_position_embeddings": 512}},
    "before the one inside, of any model": LLAMA
    | {"original_max_position_embeddings": 512, "rope_scaling": YARN},
    "else the one inside": LLAMA | {"rope_scaling": YARN},
    "else the context": LLAMA | {"rope_scaling": {"rope_type": "yarn", "factor": 8.0}},
    "by label the one inside": GEMMA3
    | {"original_max_position_embeddings": 512}
    | {
        "rope_parameters": {
            "full_attention": YARN | {"rope_theta": 1e6},
            "sliding_attention": LOCAL,
        }
    },
    "theta of a label, else the one outside": GEMMA3
    | {"rope_theta": 777.0}
    | {"rope_parameters": {"full_attention": YARN, "sliding_attention": LOCAL}},
    "no object of a label is its default": GEMMA3
    | {"rope_parameters": {"full_attention": None, "sliding_attention": LOCAL}},
    "a theta of the whole for its part": {
        "model_type": "voxtral",
        "text_config": {"model_type": "llama", "rope_parameters": {"rope_type": "default"}},
    },
    "a rule in place of the object of the whole": {
        "model_type": "glmasr",
        "text_config": {"model_type": "llama", "rope_theta": 777.0, "rope_scaling": YARN},
    },
    "one theta, and a rule for some layers": {
        "model_type": "step3p5",
        "num_hidden_layers": 4,
        "layer_types": ["full_attention", "sliding_attention"] * 2,
        "rope_theta": 777.0,
        "rope_scaling": YARN | {"rope_theta": 5e5},
    },
    "a share that says the width": {
        "model_type": "mistral4",
        "max_position_embeddings": 8192,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 192,
        "rope_parameters": YARN | {"rope_theta": 1e4, "partial_rotary_factor": 0.25},
    },
}


@pytest.mark.parametrize("config", READ.values(), ids=READ)
def test_which_value_counts(config):
    for label, spec in specs_from_config(config).items():
        assert spec is not None and disagreement(config, label, spec) is None, label


def by_label(full: dict[str, Any], **around: Any) -> dict[str, Any]:
    return GEMMA3 | {
        "rope_parameters": {"full_attention": full, "sliding_attention": LOCAL, **around}
    }


REFUSED = {
    "two thetas": (
        LLAMA | {"rope_theta": 1e4, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        "got rope_theta as 10000.0 and 500000.0, expected one number",
    ),
    "two thetas of a part": (
        {"model_type": "glmasr", "text_config": {"rope_theta": 5e5}},
        "got rope_theta as 10000.0 and 500000.0, expected one number",
    ),
    "a key of an object by label": (
        by_label({"rope_type": "default", "odd": 1}),
        "full_attention: got 'odd', which nothing here reads",
    ),
    "a key beside the labels": (
        by_label(LOCAL, odd=1),
        "rope_parameters: got 'odd', which nothing here reads",
    ),
    "a key of one object for all": (
        LLAMA | {"rope_scaling": YARN | {"odd": 1}},
        "rope_scaling: got 'odd', which nothing here reads",
    ),
    "a key around the text model": (
        {"model_type": "gemma3", "rope_odd": 1, "text_config": GEMMA3},
        "config: got 'rope_odd', which nothing here reads",
    ),
    "the older name of a rule": (
        GEMMA3 | {"rope_scaling": {"type": "linear", "factor": 8.0}},
        "got type='linear', which transformers reads as 'default'.* Rename the key",
    ),
    "a ramp that is not rounded": (
        by_label(YARN | {"truncate": False}),
        "got truncate=false, which transformers does not read .* expected true",
    ),
    "one older object where labels have their own": (
        {"model_type": "gemma4_text", "rope_scaling": YARN},
        "got one rope_scaling for all layers, expected rope_parameters with one for each of full",
    ),
    "no theta of a label": (
        {"model_type": "mellum", "rope_parameters": {"full_attention": {"rope_type": "default"}}},
        "full_attention: got null or no rope_theta, expected one number",
    ),
    "two shares": (
        {"model_type": "glm4_moe", "head_dim": 64, "rope_scaling": {"rope_type": "proportional"}},
        "got rope type 'proportional', whose share is of the whole head, expected another for",
    ),
    "a ramp over half a pair": (
        {"model_type": "glm4_moe", "head_dim": 42, "rope_scaling": YARN},
        "got yarn for 21 rotated channels, expected an even number",
    ),
    "an older name elsewhere": (
        LLAMA | {"rope_scaling": LONG | {"rope_type": "su"}},
        "got rope type 'su', expected one of",
    ),
    "a share that is not the width": (
        READ["a share that says the width"] | {"qk_nope_head_dim": 64},
        "got partial_rotary_factor=0.25 of a head of 128, expected the share that is 64 channels",
    ),
    "a type without an older spelling": (
        {"model_type": "mistral4", "rope_scaling": YARN},
        "got rope_scaling, expected rope_parameters: .* Rename the key",
    ),
    "a layout by a name": (
        {"model_type": "nemotron-nas", "head_dim": 64, "position_embedding_type": "none"},
        "got position_embedding_type='none', expected one of rope, rope_llama4, mistral_yarn",
    ),
}


@pytest.mark.parametrize("config, message", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        specs_from_config(config)


@pytest.mark.parametrize(
    "path, amount",
    [("a-b", 6), ("a+b", 6), ("a/b", None), ("2*a/b", None), ("a-c", None), ("2*a/d", 4)],
)
def test_an_expression_of_two_keys(path, amount):
    assert Keys({"a": 6, "b": 0, "c": None, "d": 3}, "config").computed(path, int) == amount


@pytest.mark.parametrize("value", [8, 8.0, True, [1], "yarn"])
def test_a_rope_object_of_a_part_that_is_none(value):
    config = {"model_type": "llava", "text_config": {"rope_scaling": value}}
    with pytest.raises(TypeError, match="text_config: got rope_scaling=.*, expected an object"):
        specs_from_config(config)


@pytest.mark.parametrize("model_type", ["flint", "laguna", "mellum", "mimo_v2_flash", "zaya"])
@pytest.mark.parametrize("count", [1, 2, 3, 13, 14])
def test_layers_that_no_list_names(model_type, count):
    config = {"model_type": model_type, "num_hidden_layers": count}
    assert layer_labels(config) == theirs(config | {"sliding_window": 64}).layer_types


@pytest.mark.parametrize(
    "kind, layout",
    [
        (None, "half"),
        ("rope", "half"),
        ("rope_llama4", "interleaved"),
        ("mistral_yarn", "interleaved"),
    ],
)
def test_the_layout_of_nemotron_nas(kind, layout):
    config = {"model_type": "nemotron-nas", "head_dim": 64, "position_embedding_type": kind}
    assert spec_from_config(config).read == layout


def test_a_tower_without_sizes_is_refused_when_it_is_asked_for():
    vision = {"model_type": "qwen2_5_vl_vision", "hidden_size": 1280, "num_heads": None}
    config = {"model_type": "qwen2_5_vl", "text_config": {"head_dim": 128}, "vision_config": vision}
    assert list(specs_from_config(config)) == ["text"]
    with pytest.raises(ValueError, match="vision_config: got none of head_dim, hidden_size/num_h"):
        spec_from_config(config, "vision")
    with pytest.raises(ValueError, match="vision_config: got 'rope_odd', which nothing here reads"):
        specs_from_config(config | {"vision_config": vision | {"rope_odd": 1}})
