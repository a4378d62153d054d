"""From a raw config.json to a spec, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import DeepseekV32Config, LlamaConfig
from transformers.models.deepseek_v32 import modeling_deepseek_v32

from rope_parity.cases import CONFIGS
from rope_spec import (
    Arithmetic,
    Linear,
    Llama3,
    Pairs,
    RopeSpec,
    Yarn,
    context_length,
    inverse_frequencies,
    layer_labels,
    reference_arithmetic,
    spec_from_config,
    specs_from_config,
)
from rope_spec.config import towers

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
LLAMA_SPEC = RopeSpec(
    head_dim=128,
    theta=500000.0,
    pairs=Pairs.single(rotary_dim=128),
    rule=Llama3(8.0, 1.0, 4.0, 8192),
)


def changed(scaling=None, **changes):
    rope_scaling = None if scaling == {} else LLAMA["rope_scaling"] | (scaling or {})
    return LLAMA | {"rope_scaling": rope_scaling} | changes


def test_a_path_and_what_it_holds():
    path = CONFIGS / "llama-3.1-8b.json"
    assert (
        spec_from_config(path)
        == spec_from_config(str(path))
        == spec_from_config(json.loads(path.read_text()))
        == LLAMA_SPEC
    )


def test_new_and_old_spelling():
    old = {key: value for key, value in LLAMA.items() if key not in ("rope_theta", "rope_scaling")}
    new = old | {"rope_parameters": LLAMA["rope_scaling"] | {"rope_theta": 500000.0}}
    typed = changed({"rope_type": None, "type": "llama3"})
    assert spec_from_config(new) == spec_from_config(typed) == LLAMA_SPEC


def test_deepseek():
    spec = spec_from_config(CONFIGS / "deepseek-v3.json")
    rule = Yarn(40.0, 4096, mscale=1.0, mscale_all_dim=1.0, scales_softmax=True)
    expected = RopeSpec(
        head_dim=64,
        theta=10000.0,
        pairs=Pairs.single(rotary_dim=64),
        rule=rule,
        read="interleaved",
        write="half",
    )
    assert spec == expected
    frequencies = inverse_frequencies(spec)
    assert (
        frequencies.attention_factor == 1.0 and round(frequencies.softmax_scale_factor, 3) == 1.874
    )


def test_the_indexer_of_deepseek_does_not_scale_its_softmax():
    """The attention beside it does: both as in transformers, whose scale is `width ** -0.5` of
    that.
    """
    v3 = json.loads((CONFIGS / "deepseek-v3.json").read_text())
    raw = v3 | {"model_type": "deepseek_v32", "index_head_dim": 128}
    small = {"hidden_size": 8, "q_lora_rank": 8, "kv_lora_rank": 8, "num_attention_heads": 1}
    with torch.device("meta"):
        attention = modeling_deepseek_v32.DeepseekV32Attention(DeepseekV32Config(**raw | small), 0)
    theirs = {
        "text": attention.scaling * attention.qk_head_dim**0.5,
        "indexer": attention.indexer.softmax_scale * attention.indexer.head_dim**0.5,
    }
    for label, spec in specs_from_config(raw).items():
        ours = inverse_frequencies(spec).softmax_scale_factor
        assert abs(ours / theirs.pop(label) - 1) <= 8 * 2.0**-53  # powers, a logarithm, products
    assert not theirs


def test_a_head_width_that_is_given_twice():
    """transformers saves DeepSeek's under two names; they have to agree."""
    config = json.loads((CONFIGS / "deepseek-v3.json").read_text())
    assert spec_from_config(config | {"head_dim": config["qk_rope_head_dim"]}) == spec_from_config(
        config
    )
    with pytest.raises(
        ValueError, match="got {'head_dim': 56, 'qk_rope_head_dim': 64}, expected one head width"
    ):
        spec_from_config(config | {"head_dim": 56})


def test_no_scaling():
    assert spec_from_config(changed({})) == replace(LLAMA_SPEC, rule=None)


def test_reference_arithmetic():
    assert reference_arithmetic(LLAMA) == Arithmetic(angles="float32", rotate_in="input")


@pytest.mark.parametrize("read", [spec_from_config, reference_arithmetic])
@pytest.mark.parametrize(
    "config, label, expected",
    [
        (LLAMA, "typo", "one of 'text'. See"),
        ({"model_type": "gemma3_text"}, None, "one of 'full_attention', 'sliding_attention'. See"),
        ({"model_type": "bert"}, None, "a model that has a rotary embedding"),
    ],
)
def test_no_label_is_guessed(read, config, label, expected):
    message = f"{read.__name__}: got label={label!r}, expected {expected}"
    with pytest.raises(ValueError, match=message):
        read(config, label)


@pytest.mark.parametrize("value", ["abc", 0, [1]])
def test_an_object_around_a_key_that_is_none(value):
    config = {"model_type": "dbrx", "d_model": 64, "n_heads": 2, "max_seq_len": 512}
    with pytest.raises(TypeError, match="config: got attn_config=.*, expected an object. Correct"):
        spec_from_config(config | {"attn_config": value})


BAD = {
    "model type": (
        changed(model_type="lama"),
        ValueError,
        "got model_type='lama', expected one of the",
    ),
    "no model type": ({"hidden_size": 8}, ValueError, "got no 'model_type', expected a string"),
    "rope type": (
        changed({"rope_type": "ntk"}),
        ValueError,
        "got rope type 'ntk', expected one of default, linear",
    ),
    "no factor": (
        changed({"factor": None}),
        ValueError,
        "got no 'factor', expected a number.*Add the key to the config",
    ),
    "factor": (changed({"factor": "8"}), TypeError, "got factor='8', expected a number"),
    "bool factor": (changed({"factor": True}), TypeError, "got factor=True, expected a number"),
    "null for true or false": (
        LLAMA | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "truncate": None}},
        TypeError,
        "got truncate=None, expected true or false",
    ),
    "an original length of 0": (
        changed({"original_max_position_embeddings": 0}),
        ValueError,
        "got original_max_position_embeddings=0, expected 1 or more",
    ),
    "a share of more than the head": (
        LLAMA | {"rope_scaling": {"rope_type": "proportional", "partial_rotary_factor": 1.5}},
        ValueError,
        "got partial_rotary_factor=1.5, expected 0 to 1",
    ),
    "zero factor": (
        changed({"factor": 0}),
        ValueError,
        "Llama3.factor: got 0.0, expected a finite number above 0",
    ),
    "theta": (changed(rope_theta=[1]), TypeError, r"got rope_theta=\[1\], expected a number"),
    "huge theta": (changed(rope_theta=10**400), TypeError, "expected a number"),
    "nan theta": (
        changed(rope_theta=float("nan")),
        TypeError,
        "got rope_theta=nan, expected a number",
    ),
    "unread key": (
        changed(rope_ratio=50),
        ValueError,
        "got 'rope_ratio', which nothing here reads",
    ),
    "xPos": (changed(use_xpos=True), ValueError, "got 'use_xpos', which nothing here reads"),
    "xPos as a rule": (
        changed({"rope_type": "xpos"}),
        ValueError,
        "got rope type 'xpos', expected one of default",
    ),
    "LongRoPE of PhiMoE": (
        changed({"rope_type": "longrope", "short_mscale": 1.2}, model_type="phimoe"),
        ValueError,
        "got rope type 'longrope', expected one of default",
    ),
    "unread rope key": (
        changed({"beta": 1}),
        ValueError,
        "rope_scaling: got 'beta', which nothing here reads",
    ),
    "scaling": (
        changed(rope_scaling="llama3"),
        TypeError,
        "got rope_scaling='llama3', expected an object",
    ),
    "head width": (
        {"model_type": "llama", "hidden_size": 4096},
        ValueError,
        "got none of head_dim, hidden_size/num_attention_heads",
    ),
    "heads": (
        changed(num_attention_heads=32.5),
        TypeError,
        "got num_attention_heads=32.5, expected a whole number",
    ),
    "two spellings": (
        changed(rope_parameters={"rope_type": "default"}),
        ValueError,
        "got both rope_parameters and rope_scaling",
    ),
    "no object": (
        [1],
        TypeError,
        "got list, expected a JSON object with a model_type: the path of a config.json or",
    ),
    "factor alone": (
        changed(rope_scaling={"factor": 8.0}),
        ValueError,
        "got a factor without a rope_type, .* what the factor does",
    ),
    "no sections": (
        {"model_type": "qwen2_vl_text", "head_dim": 16, "rope_theta": 1e6},
        ValueError,
        r"got sections \[16, 24, 24\], from mrope_section or as this .* that sum to the 8",
    ),
    "sections in fractions": (
        {
            "model_type": "qwen2_vl_text",
            "head_dim": 16,
            "rope_theta": 1e6,
            "rope_scaling": {"mrope_section": [2.5, 2.5, 3]},
        },
        ValueError,
        r"got mrope_section=\[2.5, 2.5, 3.0\], expected 3 whole lengths",
    ),
}


@pytest.mark.parametrize("config, error, message", BAD.values(), ids=BAD)
def test_what_is_refused(config, error, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    with pytest.raises(error, match=message):
        spec_from_config(path)


def test_a_file_that_is_no_json_is_named(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# no JSON")
    with pytest.raises(
        ValueError, match="README.md, which holds no JSON: .* expected the JSON of a config.json"
    ):
        spec_from_config(path)


def test_a_configuration_of_transformers_is_what_its_file_holds(tmp_path):
    config = LlamaConfig(
        head_dim=64, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e5}
    )
    config.save_pretrained(tmp_path)
    assert spec_from_config(config) == spec_from_config(tmp_path / "config.json")
    assert reference_arithmetic(config) == reference_arithmetic(tmp_path / "config.json")


def test_labels_of_layers():
    """Every sixth layer of Gemma-3 is global; every fourth of SmolLM3 does not rotate."""
    gemma = CONFIGS / "gemma-3-4b.json"
    labels, specs = layer_labels(gemma), specs_from_config(gemma)
    assert labels == ["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(34)]
    assert (specs["full_attention"].theta, specs["full_attention"].rule) == (1e6, Linear(8.0))
    assert (specs["sliding_attention"].theta, specs["sliding_attention"].rule) == (1e4, None)
    smollm3 = changed({}, model_type="smollm3", num_hidden_layers=5)
    assert layer_labels(smollm3) == ["rope", "rope", "rope", "nope", "rope"]
    assert layer_labels(smollm3 | {"no_rope_layers": [0, 1, 1, 0, 1]}) == [
        "nope",
        "rope",
        "rope",
        "nope",
        "rope",
    ]
    assert (
        specs_from_config(smollm3)["nope"] is None
        and spec_from_config(smollm3) == specs_from_config(smollm3)["rope"]
    )
    assert layer_labels(changed(num_hidden_layers=3)) == ["text"] * 3
    with pytest.raises(
        ValueError, match="got layers .*'odd'.*, 1 of them, expected 5 of nope, rope"
    ):
        layer_labels(smollm3 | {"no_rope_layers": None, "layer_types": ["odd"]})


def test_published_models_by_hand():
    """What each file means, as its model card and code have it."""
    spec = lambda name: spec_from_config(CONFIGS / f"{name}.json")
    pythia, glm, phi = spec("pythia-1b"), spec("glm-4-9b"), spec("phi-2")
    assert (pythia.head_dim, pythia.rotary_dim, pythia.start) == (256, 64, 0)
    assert (glm.head_dim, glm.rotary_dim, glm.start, glm.read) == (128, 64, 0, "interleaved")
    assert (phi.head_dim, phi.rotary_dim) == (80, 32)
    assert (
        spec("gpt-oss-20b").rule == Yarn(32.0, 4096, truncate=False)
        and spec("gpt-oss-20b").theta == 150000.0
    )
    assert spec("command-r").read == "interleaved" and spec("command-r").theta == 8e6
    assert spec("qwen2-vl-7b").pairs == Pairs.sections(mrope_section=(16, 24, 24)) and spec(
        "qwen3-vl-8b"
    ).pairs == Pairs.strided((24, 20, 20))
    long = spec("phi-3.5-mini").rule
    assert long.original_max_position_embeddings == 4096 and long.factor == 32.0
    short, stretched = (
        inverse_frequencies(spec("phi-3.5-mini"), length).inv_freq for length in (4096, 4097)
    )
    assert short / stretched == pytest.approx(
        [b / a for a, b in zip(long.short_factor, long.long_factor, strict=True)]
    )


def test_a_vision_tower_is_a_label_of_its_own():
    vision = {"embed_dim": 1280, "num_heads": 16, "hidden_size": 3584}
    config = json.loads((CONFIGS / "qwen2-vl-7b.json").read_text()) | {"vision_config": vision}
    assert spec_from_config(config, "vision") == RopeSpec(
        head_dim=80, theta=10000.0, pairs=Pairs.axial(rotary_dim=80)
    )
    assert spec_from_config(config) == spec_from_config(config, "text")


def test_what_is_known_and_not_described_says_why():
    with pytest.raises(
        ValueError,
        match="model_type='ultrabert', which is not described: it lists theta layer by layer",
    ):
        specs_from_config({"model_type": "ultrabert"})


SMOLLM3 = changed(model_type="smollm3", num_hidden_layers=8)
NO_ROTATION = {  # layers without a rotation, with rope keys of their own, in both spellings
    "smollm3, old spelling": (SMOLLM3, ["nope"]),
    "smollm3, for all": (
        {k: v for k, v in SMOLLM3.items() if k not in ("rope_scaling", "rope_theta")}
        | {"rope_parameters": LLAMA["rope_scaling"] | {"rope_theta": 5e6}},
        ["nope"],
    ),
    "cohere2, by label": (
        {"model_type": "cohere2", "head_dim": 128, "sliding_window": 4096, "num_hidden_layers": 8}
        | {
            "rope_parameters": {
                "full_attention": {"rope_type": "yarn", "rope_theta": 5e4, "factor": 2.0, "odd": 3},
                "sliding_attention": {"rope_type": "default", "rope_theta": 5e4},
            }
        },
        ["full_attention"],
    ),
    "esm": (
        {"model_type": "esm", "hidden_size": 320, "num_attention_heads": 20, "rope_theta": 1e4}
        | {"position_embedding_type": "absolute"},
        ["text"],
    ),
    "granitemoehybrid": (
        {
            "model_type": "granitemoehybrid",
            "hidden_size": 64,
            "num_attention_heads": 2,
            "rope_theta": 1e4,
        }
        | {
            "position_embedding_type": "nope",
            "rope_scaling": {"rope_type": "linear", "factor": 2.0},
        },
        ["text"],
    ),
    "nemotron_h": (
        {"model_type": "nemotron_h", "rope_theta": 1e4, "partial_rotary_factor": 1.0},
        ["text"],
    ),
}


@pytest.mark.parametrize("config, labels", NO_ROTATION.values(), ids=NO_ROTATION)
def test_rope_keys_of_layers_that_do_not_rotate_are_no_error(config, labels):
    assert [label for label, spec in specs_from_config(config).items() if spec is None] == labels


def test_a_model_without_a_rotary_embedding_has_no_spec_to_give():
    with pytest.raises(
        ValueError, match="got label=None, expected a model that has a rotary embedding"
    ):
        spec_from_config({"model_type": "nemotron_h"})


@pytest.mark.parametrize(
    "key, value", [("rope_interleaved", False), ("use_mrope", False), ("rope_interleaved", None)]
)
def test_a_key_that_changes_nothing_with_its_value(key, value):
    """Published files of SmolLM2-135M and Qwen2.5-0.5B have them."""
    assert spec_from_config(LLAMA | {key: value}) == LLAMA_SPEC


@pytest.mark.parametrize("value", [True, 0, 0.0, [], "false", {}])
def test_another_value_of_it_is_an_error(value):
    with pytest.raises(ValueError, match="got 'rope_interleaved', which nothing here reads"):
        spec_from_config(LLAMA | {"rope_interleaved": value})


def test_a_key_can_be_ignored_by_name():
    odd = changed({"finetuned": True}, use_rope_scaling=False)
    with pytest.raises(
        ValueError, match=r"got 'use_rope_scaling'.* pass ignore=\('use_rope_scaling',\), else"
    ):
        spec_from_config(odd)
    with pytest.raises(
        ValueError, match=r"rope_scaling: got 'finetuned'.* pass ignore=\('finetuned',\), else"
    ):
        spec_from_config(odd, ignore=("use_rope_scaling",))
    ignore = ("use_rope_scaling", "finetuned")
    assert (
        spec_from_config(odd, ignore=ignore)
        == specs_from_config(odd, ignore=ignore)["text"]
        == LLAMA_SPEC
    )
    assert reference_arithmetic(odd, ignore=ignore) == reference_arithmetic(LLAMA)
    assert layer_labels(odd | {"num_hidden_layers": 2}, ignore=ignore) == ["text", "text"]


@pytest.mark.parametrize("key", ["rope_theta", "factor", "rope_scaling"])
def test_what_decides_the_rotation_cannot_be_ignored(key):
    with pytest.raises(ValueError, match=f"ignore: got '{key}', which decides the rotation"):
        spec_from_config(LLAMA, ignore=(key,))
    with pytest.raises(
        TypeError, match=r'ignore: got .*, expected names of keys, such as \("some_key",\)'
    ):
        spec_from_config(LLAMA, ignore=key)


def test_an_unknown_type_is_read_as_a_known_one():
    mine = LLAMA | {"model_type": "my_lama"}
    with pytest.raises(
        ValueError, match=r"got model_type='my_lama', .*Nearest in name: .*model_type=\""
    ):
        spec_from_config(mine)
    assert spec_from_config(mine, model_type="llama") == LLAMA_SPEC
    assert context_length(mine, model_type="llama") == 131072


def test_a_folder_and_a_missing_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert spec_from_config(tmp_path) == spec_from_config(str(tmp_path)) == LLAMA_SPEC
    for missing in (tmp_path / "none.json", tmp_path / "none"):
        with pytest.raises(
            FileNotFoundError,
            match="got .*none.*, which is missing, expected a config.json or a folder",
        ):
            spec_from_config(missing)


HOSTILE = {
    "wide head": (
        LLAMA | {"head_dim": 10**9},
        "got a head width of 1000000000, expected 1 to 65536",
    ),
    "negative head": (LLAMA | {"head_dim": -64}, "got a head width of -64, expected 1 to 65536"),
    "huge number": (
        LLAMA | {"num_attention_heads": 10**5000},
        "got num_attention_heads=int that is too long to print",
    ),
    "deep value": (
        LLAMA | {"rope_theta": json.loads("[" * 500 + "]" * 500)},
        r"got rope_theta=\[\[\[.*expected a number",
    ),
}


@pytest.mark.parametrize("config, message", HOSTILE.values(), ids=HOSTILE)
def test_hostile_values_cost_nothing(config, message):
    with pytest.raises((ValueError, TypeError), match=message):
        spec_from_config(config)


@pytest.mark.parametrize("count", [10**9, 0, -1])
def test_a_number_of_layers_that_is_none(count):
    with pytest.raises(ValueError, match="got num_hidden_layers=.*, expected 1 to 65536"):
        layer_labels(LLAMA | {"num_hidden_layers": count})


@pytest.mark.parametrize("text", ["[" * 10**5 + "]" * 10**5, '{"a": ' + "9" * 5000 + "}", "\udcff"])
def test_files_that_hold_no_json_that_python_reads(text, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="which holds no JSON"):
        spec_from_config(path)


GEMMA4 = {"model_type": "gemma4_text", "head_dim": 256, "num_hidden_layers": 12}
FULL = {"5": {"head_dim": 320}, "11": {"head_dim": 320}}


def test_a_head_width_of_single_layers():
    """What save_pretrained writes of Gemma-4 in transformers 5.24."""
    specs = specs_from_config(GEMMA4 | {"per_layer_config": FULL})
    assert (specs["full_attention"].head_dim, specs["sliding_attention"].head_dim) == (320, 256)
    with pytest.raises(
        ValueError,
        match="got head_dim as .* in per_layer_config, expected one for all layers of full",
    ):
        specs_from_config(GEMMA4 | {"per_layer_config": {"5": {"head_dim": 320}}})
    with pytest.raises(
        ValueError,
        match="got head_dim in per_layer_config, expected one rotation for each kind of layer",
    ):
        specs_from_config(LLAMA | {"per_layer_config": {"0": {"head_dim": 64}}})


def test_a_part_with_defaults_of_the_whole():
    """Voxtral's text model has other defaults than Llama's."""
    spec = spec_from_config({"model_type": "voxtral", "text_config": {"model_type": "llama"}})
    assert (spec.head_dim, spec.theta) == (128, 1e8)


REFUSED = {
    "one object where labels have their own": (
        {
            "model_type": "gemma3_text",
            "head_dim": 64,
            "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
        },
        "got one rope_parameters for all layers, expected rope_parameters with one for each of "
        "full_attention, sliding",
    ),
    "a type whose code rotates": (
        {"model_type": "xlm-roberta", "position_embedding_type": "rotary"},
        "got position_embedding_type='rotary', and model_type='xlm-roberta' has no rotary "
        "embedding",
    ),
    "alpha of another rule": (
        {"model_type": "hunyuan_v1_dense", "head_dim": 128, "max_position_embeddings": 4096}
        | {"rope_scaling": {"type": "linear", "alpha": 1e3, "factor": 2.0}},
        "got 'alpha', which nothing here reads",
    ),
    "an object of a model that reads none": (
        {
            "model_type": "esm",
            "hidden_size": 64,
            "num_attention_heads": 2,
            "position_embedding_type": "rotary",
        }
        | {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        "got 'rope_scaling', which nothing here reads",
    ),
    "two thetas": (
        {
            "model_type": "dbrx",
            "d_model": 64,
            "n_heads": 2,
            "rope_theta": 1e4,
            "attn_config": {"rope_theta": 5e5},
        },
        "got attn_config.rope_theta=500000.0 and rope_theta=10000.0, expected one number: "
        "transformers reads",
    ),
}


@pytest.mark.parametrize("config, message", REFUSED.values(), ids=REFUSED)
def test_what_a_model_would_drop_in_silence(config, message):
    with pytest.raises(ValueError, match=message):
        specs_from_config(config)


def test_no_tower_hides_another():
    """The talker of Qwen3-Omni has a text model too; the thinker's is `text`."""
    text = {"head_dim": 128, "hidden_size": 2048, "num_attention_heads": 16, "rope_theta": 777.0}
    talker = {"hidden_size": 1024, "num_attention_heads": 16, "rope_theta": 5.0}
    config = {"model_type": "qwen3_omni_moe", "thinker_config": {"text_config": text}}
    specs = specs_from_config(config | {"talker_config": {"text_config": talker}})
    assert {label: spec.theta for label, spec in specs.items()} == {
        "text": 777.0,
        "talker.text": 5.0,
    }
    assert spec_from_config(config).theta == 777.0
    with pytest.raises(ValueError, match="head_dim=73"):
        specs_from_config(config | {"thinker_config": {"text_config": text | {"head_dim": 73}}})


def test_no_rotated_channels_are_an_error():
    gptj = {"model_type": "gptj", "n_embd": 64, "n_head": 2}
    assert spec_from_config(gptj | {"rotary_dim": 16}).rotary_dim == 16
    with pytest.raises(ValueError, match="got a head width of 0, expected 1"):
        spec_from_config(gptj | {"rotary_dim": 0})


def test_axes_that_another_model_has_are_an_error():
    rope = {"mrope_section": [24, 20, 20], "mrope_interleaved": False, "rope_theta": 5e6}
    text = {"model_type": "qwen3_vl_text", "head_dim": 128, "rope_parameters": rope}
    message = "mrope_interleaved=False, expected True: so is this model. Correct the value"
    with pytest.raises(ValueError, match=message):
        spec_from_config(text)


@pytest.mark.parametrize("read", [spec_from_config, specs_from_config, reference_arithmetic])
def test_a_file_is_read_once(read, monkeypatch):
    opened, loaded = [], towers._loaded
    monkeypatch.setattr(towers, "_loaded", lambda path: [opened.append(path), loaded(path)][1])
    read(CONFIGS / "llama-3.1-8b.json")
    assert len(opened) == 1
