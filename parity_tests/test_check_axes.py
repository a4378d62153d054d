"""The referee on ropes of images and video: right ones, read back, and wrong ones."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import rope_jax
from rope_parity import check_rope, identify
from rope_spec import Pairs, PerAxis, spec_from_config, spec_from_timm

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
        "pairs have other frequencies",
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
    assert not verdict.right and text in verdict.text
