"""The referee on ropes of images and video: right ones, read back, and wrong ones."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers.models.dinov3_vit import modeling_dinov3_vit

import rope_jax
from rope_parity import check_rope, identify
from rope_spec import Pairs, PerAxis, inverse_frequencies, spec_from_config, spec_from_timm

FLUX = spec_from_config({"_class_name": "FluxTransformer2DModel"})
WAN = spec_from_config({"_class_name": "WanTransformer3DModel"})
COSMOS = spec_from_config({"_class_name": "CosmosTransformer3DModel"})
DINOV3 = spec_from_timm("dinov3", dim=64, num_heads=1)
SPECS = {"Flux": FLUX, "Wan": WAN, "Cosmos": COSMOS, "DINOv3": DINOV3}
WRONG = {
    "sections for widths": (
        replace(FLUX, pairs=Pairs.sections(mrope_section=(8, 28, 28))),
        FLUX,
        "63 pairs have other frequencies",
    ),
    "a base": (
        replace(COSMOS, rule=PerAxis((2e4, 1e4, 1e4))),
        COSMOS,
        "theta of the coordinates is 20000, 10000 and 10000, the config says 20671.2,",
    ),
    "theta": (replace(DINOV3, theta=110.0), DINOV3, "theta is 110, the config says 100"),
}


def function(spec):
    def rope(x, positions):
        table = rope_jax.cos_sin(spec, jnp.asarray(positions))
        return np.asarray(rope_jax.rotate(spec, jnp.asarray(x), *table))

    return rope


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_right_function_is_right(spec):
    assert check_rope(function(spec), spec).right


@pytest.mark.parametrize("spec", [FLUX, WAN], ids=["Flux", "Wan"])
def test_widths_are_read_back(spec):
    assert identify(function(spec), spec.head_dim, axes=3).spec == spec


@pytest.mark.parametrize("theirs, spec, text", WRONG.values(), ids=WRONG)
def test_a_wrong_function_is_wrong(theirs, spec, text):
    verdict = check_rope(function(theirs), spec)
    assert len(verdict.findings) == 1 and text in verdict.text


TIMM = {
    "EVA": {"rope_type": "cat", "in_pixels": False},
    "pixels": {"rope_type": "cat"},
    "pixels, linear": {"rope_type": "cat", "linear_bands": True, "max_res": 384},
    "DINOv3": {"rope_type": "dinov3"},
    "DINOv3, interleaved": {"rope_type": "dinov3", "rotate_half": False},
    "DINOv3, periods": {"rope_type": "dinov3", "min_period": 0.5, "max_period": 90.0},
}
REAL = {name: spec_from_timm(dim=128, num_heads=2, **given) for name, given in TIMM.items()}
REAL["Cosmos"] = COSMOS


@pytest.mark.parametrize("spec", REAL.values(), ids=REAL)
def test_real_coordinates_are_read_back(spec):
    """The frequencies to 1e-6, and their rule where it has one: without a rule the spec itself."""
    found = identify(function(spec), spec.head_dim, axes=spec.pairs.axes, positions="real").spec
    assert found is not None and found.real
    expected, got = (inverse_frequencies(one).inv_freq for one in (spec, found))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert (found.read, found.write, found.pairs.axis) == (spec.read, spec.write, spec.pairs.axis)
    assert spec.rule is not None or found == spec
    assert isinstance(found.rule, PerAxis) == isinstance(spec.rule, PerAxis)
    assert check_rope(function(spec), found).right


def test_dinov3_of_transformers_is_read_back(monkeypatch):
    """Their tables at coordinates of ours, and their rotation."""
    config = modeling_dinov3_vit.DINOv3ViTConfig(hidden_size=64, num_attention_heads=1)
    rotary = modeling_dinov3_vit.DINOv3ViTRopePositionEmbedding(config).eval()

    def tables(coordinates, dtype):
        name = "get_patches_center_coordinates"
        monkeypatch.setattr(modeling_dinov3_vit, name, lambda *_, **__: coordinates)
        return rotary(torch.zeros(1, 3, 16, 16, dtype=dtype))

    def rope(x, positions):
        of_rows = zip(*(tables(row, x.dtype) for row in positions), strict=True)
        cos, sin = (torch.stack(table)[:, None] for table in of_rows)
        return modeling_dinov3_vit.apply_rotary_pos_emb(x, x, cos, sin)[0]

    given = {"layout": "BNSH", "framework": "torch"}
    assert identify(rope, 64, axes=2, positions="real", **given).spec == DINOV3
    assert check_rope(rope, DINOV3, **given).right
    assert check_rope(rope, replace(DINOV3, theta=110.0), **given).names == ("theta",)
