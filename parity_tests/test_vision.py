"""Vision transformers with real coordinates: DINOv3, its kin and SAM 3 of transformers, timm's."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, Sam3ViTConfig

from parity_tests.float32_angles import allowed, expect_rotation
from parity_tests.timm_ropes import CENTRES, COLUMNS, ROWS, TIMM, counted, loaded, tables
from rope_spec import cos_sin, grid_coordinates, spec_from_config, spec_from_timm

DINOV3 = {  # the class of each model type that has DINOv3's embedding
    "dinov3_vit": "DINOv3ViTRopePositionEmbedding",
    "eomt_dinov3": "EomtDinov3RotaryEmbedding",
    "sapiens2": "Sapiens2RopePositionEmbedding",
}
PREFIX = 5  # class and register tokens, at the coordinate 0


@pytest.mark.parametrize("theta", [{}, {"rope_theta": 50.0}])
@pytest.mark.parametrize("model_type, name", DINOV3.items())
def test_dinov3_of_transformers(model_type, name, theta, rng):
    """A coordinate of 1 is one turn of the first pair; coordinates, table and rotation are theirs.
    What they leave alone, class and register tokens, has the coordinate 0.
    """
    sizes = {"hidden_size": 128, "num_attention_heads": 2, "patch_size": 16}
    config = AutoConfig.for_model(model_type, **sizes, **theta)
    module = import_module(f"transformers.models.{model_type}.modeling_{model_type}")
    embedding = getattr(module, name)(config).eval()  # in training it moves coordinates
    cos, sin = embedding(torch.zeros(1, 3, 16 * ROWS, 16 * COLUMNS))
    spec = spec_from_config(config)
    assert spec == spec_from_config({"model_type": model_type, **sizes, **theta})
    whole = np.concatenate([np.zeros((PREFIX, 2), np.float32), CENTRES])
    tables = (
        torch.cat([f(torch.zeros(PREFIX, 64)), t])[:, :32]
        for f, t in ((torch.cos, cos), (torch.sin, sin))
    )
    rotate = lambda x: module.apply_rotary_pos_emb(x, x, cos, sin)[0]
    expect_rotation(spec, whole, tables, rotate, rng)


@pytest.mark.parametrize("window", [24, 0])
def test_sam3_of_transformers(window, rng):
    """Columns and rows of a window; a layer without windows stretches them to its size."""
    module = import_module("transformers.models.sam3.modeling_sam3")
    config = Sam3ViTConfig(hidden_size=128, num_attention_heads=2, intermediate_size=8)
    layer = module.Sam3ViTLayer(config, window)
    cos, sin = layer.rotary_emb(torch.zeros(1), layer.position_ids)
    side = window or config.image_size // config.patch_size
    axis = counted(side) * np.float32(24 / side)
    columns_first = np.ascontiguousarray(grid_coordinates(axis, axis)[:, ::-1])
    assert np.array_equal(columns_first, layer.position_ids.numpy())
    rotate = lambda x: module.apply_rotary_pos_emb_2d(x, x, cos, sin)[0]
    tables = (cos[0, :, ::2], sin[0, :, ::2])
    expect_rotation(spec_from_config(config), columns_first, tables, rotate, rng)


@pytest.fixture(scope="module")
def timm() -> Iterator[Any]:
    if find_spec("timm") is None:
        pytest.skip("timm is not installed: make test-libraries")
    with loaded() as module:
        yield module


@pytest.mark.parametrize("arguments, of_grid, positions", TIMM.values(), ids=TIMM)
def test_timm(timm, arguments, of_grid, positions, rng):
    sizes = {"dim": 128, "num_heads": 2}
    spec = spec_from_timm(**sizes, **arguments)
    theirs = timm.create_rope_embed(**sizes, **arguments, **of_grid).get_embed([ROWS, COLUMNS])
    is_half = spec.read == "half"
    rotate = lambda x: timm.apply_rot_embed_cat(x, theirs, half=is_half)
    expect_rotation(spec, positions, tables(theirs, is_half), rotate, rng)


def test_a_spec_of_other_arguments_is_another(timm):
    """The check above can fail."""
    theirs = timm.create_rope_embed("dinov3", dim=64, num_heads=1).get_embed([ROWS, COLUMNS])
    for wrong in ({"temperature": 90.0}, {"min_period": 0.5, "max_period": 90.0}):
        spec = spec_from_timm("dinov3", dim=64, num_heads=1, **wrong)
        difference = np.abs(cos_sin(spec, CENTRES)[0] - theirs[:, 64:96].numpy())
        assert difference.max() > 100 * allowed(spec, CENTRES).max()


def test_the_positions_of_timms_mrope_are_counted():
    spec = spec_from_timm("mrope", dim=64, num_heads=1)
    with pytest.raises(TypeError, match="positions: got float32, expected integers"):
        cos_sin(spec, np.zeros((4, 3), np.float32))


@pytest.mark.unchecked
def test_what_timm_learns_is_refused():
    with pytest.raises(ValueError, match="got rope_type='mixed', expected 'cat', 'dinov3' or 'mro"):
        spec_from_timm("mixed", dim=64, num_heads=1)
    with pytest.raises(TypeError, match="ref_feat_shape"):
        spec_from_timm("cat", dim=64, num_heads=1, ref_feat_shape=(16, 16))
