"""Configurations of diffusers: each mutation is read or refused; what is not described says why.
`test_diffusers.py` compares with the classes, where diffusers is installed.
"""

import json
from pathlib import Path

import pytest

from rope_spec import (
    Pairs,
    RopeSpec,
    context_length,
    inverse_frequencies,
    layer_labels,
    reference_arithmetic,
    spec_from_config,
    specs_from_config,
)

ROOT = Path(__file__).parent.parent
# as published on the Hugging Face hub; keys that say nothing of the rotation are left out
FLUX = {
    "_class_name": "FluxTransformer2DModel",
    "_diffusers_version": "0.30.0",
    "attention_head_dim": 128,
    "axes_dims_rope": [16, 56, 56],
    "num_attention_heads": 24,
}
WAN = {"_class_name": "WanTransformer3DModel", "attention_head_dim": 128, "rope_max_seq_len": 1024}
COGVIDEOX = {
    "_class_name": "CogVideoXTransformer3DModel",
    "attention_head_dim": 64,
    "use_rotary_positional_embeddings": True,
}
LUMINA2 = {
    "_class_name": "Lumina2Transformer2DModel",
    "axes_dim_rope": [32, 32, 32],
    "axes_lens": [300, 512, 512],
    "hidden_size": 2304,
    "num_attention_heads": 24,
}


def test_published_configurations(tmp_path):
    interleaved = {"head_dim": 128, "read": "interleaved"}
    flux = RopeSpec(pairs=Pairs.widths((16, 56, 56)), **interleaved)
    assert spec_from_config(FLUX) == spec_from_config(FLUX, "transformer") == flux
    assert specs_from_config(FLUX) == {"transformer": flux}
    assert spec_from_config(WAN) == RopeSpec(pairs=Pairs.widths((44, 42, 42)), **interleaved)
    lumina2 = {"_class_name": "Lumina2Transformer2DModel"}  # its class has 2304 / 24 by default
    assert spec_from_config(LUMINA2).head_dim == spec_from_config(lumina2).head_dim == 96
    cogvideox = spec_from_config(COGVIDEOX)
    assert cogvideox.real and cogvideox.pairs == Pairs.widths((16, 24, 24))  # 1/4, 3/8, 3/8
    assert not spec_from_config(COGVIDEOX | {"patch_size_t": 2}).real
    (tmp_path / "config.json").write_text(json.dumps(FLUX))
    assert spec_from_config(tmp_path) == flux


REFUSED = {
    "widths that do not sum": (
        FLUX | {"axes_dims_rope": [16, 56, 54]},
        "for heads of 128 channels",
    ),
    "a head of another width": (FLUX | {"attention_head_dim": 64}, "expected as many channels"),
    "a width that is not whole": (
        FLUX | {"axes_dims_rope": [16.5, 55.5, 56]},
        r"got axes_dims_rope",
    ),
    "another number of axes": (
        FLUX | {"axes_dims_rope": [64, 64]},
        "expected whole numbers for 3 axes, as the positions",
    ),
    "a head of no channels": (FLUX | {"attention_head_dim": 0}, "head_dim: got 0, expected 1 to"),
    "a quarter that is not whole": (COGVIDEOX | {"attention_head_dim": 66}, "a multiple of 16"),
    "two scales": (
        {"_class_name": "CosmosTransformer3DModel", "rope_scale": [2.0, 1.0]},
        "got rope_scale=.*expected 3 numbers",
    ),
    "a width that would be cut off": (
        FLUX | {"axes_dims_rope": [16.5, 56, 56]},
        r"got axes_dims_rope=\[16.5, 56.0, 56.0\], expected whole numbers for 3 axes",
    ),
    "an odd width": (
        FLUX | {"axes_dims_rope": [15, 57, 56]},
        "expected an even number of channels",
    ),
    "a key that nothing reads": (
        FLUX | {"rope_theta": 5e5},
        "got 'rope_theta', which nothing here",
    ),
    "a scaling": (
        WAN | {"rope_scaling": {"factor": 2.0}},
        "got 'rope_scaling', which nothing here",
    ),
    "widths of another class": (
        WAN | {"axes_dims_rope": [44, 42, 42]},
        "got 'axes_dims_rope', which",
    ),
    "another rotation of layers": (
        FLUX | {"_class_name": "QwenImageTransformer2DModel", "use_layer3d_rope": True},
        "got 'use_layer3d_rope', which nothing here reads",
    ),
    "added positions": (
        COGVIDEOX | {"use_rotary_positional_embeddings": False},
        "use_rotary_positional_embeddings=False, expected true: this model adds its positions",
    ),
    "sums over axes": (
        {"_class_name": "MochiTransformer3DModel"},
        "expected a rotation by one coordinate for each pair.*sums over axes, with learned freq",
    ),
    "frequencies for each head": (
        {"_class_name": "LTX2VideoTransformer3DModel"},
        "each of its heads has frequencies of its own",
    ),
    "an unknown class": (
        {"_class_name": "UNet2DConditionModel"},
        "got 'UNet2DConditionModel', expected one of CogVideoXTransformer3DModel, .*Pairs.widths",
    ),
}


@pytest.mark.parametrize("config, message", REFUSED.values(), ids=REFUSED)
def test_what_is_not_described_is_refused(config, message):
    for read in (spec_from_config, specs_from_config):
        with pytest.raises(ValueError, match=message):
            read(config)


@pytest.mark.parametrize(
    "key, value", [("axes_dims_rope", "16"), ("axes_dims_rope", ["16", 56, 56]), ("_class_name", 3)]
)
def test_values_of_the_wrong_kind_are_refused(key, value):
    with pytest.raises(TypeError, match=f"got {key}="):
        spec_from_config(FLUX | {key: value})


def test_a_key_that_is_known_to_change_nothing_can_be_ignored():
    config = FLUX | {"rope_note": "trained with care"}
    assert spec_from_config(config, ignore=("rope_note",)) == spec_from_config(FLUX)


NOT_OF_LANGUAGE = {
    "spec_from_config": lambda config: spec_from_config(config, "vision"),
    "layer_labels": layer_labels,
    "context_length": context_length,
    "reference_arithmetic": reference_arithmetic,
}


@pytest.mark.parametrize("name, read", NOT_OF_LANGUAGE.items())
def test_what_is_about_language_models_names_diffusers(name, read):
    """With a model_type, the config is read as that."""
    message = f"{name}: got _class_name='FluxTransformer2DModel', a transformer of diffusers, exp"
    with pytest.raises(ValueError, match=message):
        read(FLUX)
    assert context_length(FLUX | {"max_position_embeddings": 64}, model_type="llama") == 64


def test_null_is_no_default():
    """diffusers hands a null to the constructor, which fails."""
    with pytest.raises(ValueError, match="got no 'axes_dims_rope', expected a list"):
        spec_from_config(FLUX | {"axes_dims_rope": None})
    with pytest.raises(ValueError, match="got no 'hidden_size', expected a whole number"):
        spec_from_config(LUMINA2 | {"hidden_size": None})


@pytest.mark.unchecked
def test_ignored_keys_are_names():
    with pytest.raises(TypeError, match="ignore: got 'rope_note', expected names of keys"):
        spec_from_config(FLUX, ignore="rope_note")


def test_a_key_that_is_null_or_false_says_nothing():
    silent = {"rope_scaling": None, "use_rope": False}
    assert spec_from_config(FLUX | silent) == spec_from_config(FLUX)


def test_a_model_type_counts_before_the_name_of_a_class():
    """Where a configuration has both, it is one of transformers."""
    llama = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 1}
    assert spec_from_config(llama | {"_class_name": "LlamaModel"}) == spec_from_config(llama)


def test_thirds_are_rounded_down_to_an_even_number():
    """Wan: `h_dim = w_dim = 2 * (attention_head_dim // 6)`, and time has the rest."""
    spec = spec_from_config(WAN | {"attention_head_dim": 64})
    assert spec.pairs == Pairs.widths((24, 20, 20))


def test_the_page_on_which_rope_is_which():
    """Its code runs, and its numbers of the two that are taken for each other hold."""
    page = (Path(__file__).parent.parent / "docs" / "which_rope_is_which.md").read_text(
        encoding="utf-8"
    )
    exec(page.split("```python")[1].split("```")[0], {})
    shared = RopeSpec(head_dim=128, pairs=Pairs.sections(mrope_section=(8, 28, 28)))
    own = spec_from_config(FLUX)
    numbers = [inverse_frequencies(spec).inv_freq[7] for spec in (shared, own)]
    assert [f"{number:.3g}" for number in numbers] == ["0.365", "0.000316"]
