"""Vision transformers whose coordinates are real numbers: DINOv3 of transformers, and timm's."""

import math
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DINOv3ViTConfig
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTRopePositionEmbedding

import rope_torch
from parity_tests.float32_angles import U, allowed
from rope_spec import (
    Pairs,
    RopeSpec,
    centred_coordinates,
    cos_sin,
    grid_coordinates,
    spec_from_timm,
)

ROWS, COLUMNS = 5, 8
CENTRES = grid_coordinates(centred_coordinates(ROWS), centred_coordinates(COLUMNS))


def test_dinov3_of_transformers():
    """A coordinate of 1 is one turn of the first pair; coordinates and table are theirs."""
    config = DINOv3ViTConfig(hidden_size=64, num_attention_heads=1, patch_size=16)
    module = DINOv3ViTRopePositionEmbedding(config).eval()  # in training it moves coordinates
    tables = module(torch.zeros(1, 3, 16 * ROWS, 16 * COLUMNS))
    pairs = Pairs.axial(rotary_dim=64)
    spec = RopeSpec(head_dim=64, theta=100.0, pairs=pairs, real=True, unit="turn")
    bound = allowed(spec, CENTRES)
    for ours, theirs in zip(cos_sin(spec, CENTRES), tables, strict=True):
        assert (np.abs(ours - theirs[:, :32].numpy()) <= bound).all()


@pytest.fixture(scope="module")
def timm() -> Iterator[Any]:
    """timm's file of ropes alone: the package around it needs torchvision."""
    found = find_spec("timm")
    if found is None or not found.submodule_search_locations:
        pytest.skip("timm is not installed: make test-vision")
    root = found.submodule_search_locations[0]
    with pytest.MonkeyPatch.context() as patch:
        for name, path in (("timm", root), ("timm.layers", f"{root}/layers")):
            package = ModuleType(name)
            package.__path__ = [path]
            patch.setitem(sys.modules, name, package)
        yield import_module("timm.layers.pos_embed_sincos")
        for name in [name for name in sys.modules if name.startswith("timm.layers.")]:
            patch.delitem(sys.modules, name)


counted = lambda n: np.arange(n, dtype=np.float32)
resized = grid_coordinates(counted(ROWS) / ROWS * 16, counted(COLUMNS) / COLUMNS * 16)
pixels = grid_coordinates(*(torch.linspace(-1, 1, n).numpy() for n in (ROWS, COLUMNS)))
time = grid_coordinates(np.arange(1), np.arange(ROWS), np.arange(COLUMNS))
TIMM = {  # arguments that a spec has, those that move the grid, and our coordinates
    "EVA": ({"in_pixels": False}, {"ref_feat_shape": [16, 16]}, resized.astype(np.float32)),
    "EVA, halves": (
        {"in_pixels": False, "rotate_half": True, "temperature": 100.0},
        {},
        grid_coordinates(counted(ROWS), counted(COLUMNS)),
    ),
    "pixels": ({}, {}, pixels),
    "pixels, linear": ({"linear_bands": True, "max_res": 384}, {}, pixels),
    "DINOv3": ({"rope_type": "dinov3"}, {}, CENTRES),
    "DINOv3, interleaved": ({"rope_type": "dinov3", "rotate_half": False}, {}, CENTRES),
    "DINOv3, periods": (
        {"rope_type": "dinov3", "min_period": 0.5, "max_period": 90.0},
        {},
        CENTRES,
    ),
    "M-RoPE": ({"rope_type": "mrope"}, {}, time),
    "M-RoPE, 12 each": ({"rope_type": "mrope", "mrope_section": (12, 12, 12)}, {}, time),
}


@pytest.mark.parametrize("arguments, of_grid, positions", TIMM.values(), ids=TIMM)
def test_timm(timm, arguments, of_grid, positions, rng):
    sizes = {"dim": 128, "num_heads": 2}
    spec = spec_from_timm(**sizes, **arguments)
    theirs = timm.create_rope_embed(**sizes, **arguments, **of_grid).get_embed([ROWS, COLUMNS])
    sin, cos = theirs.chunk(2, -1)
    is_half = spec.read == "half"
    bound = allowed(spec, positions)
    for ours, table in zip(cos_sin(spec, positions), (cos, sin), strict=True):
        table = table[:, :32] if is_half else table[:, ::2]
        assert (np.abs(ours - table.numpy()) <= bound).all()
    x = torch.from_numpy(rng.standard_normal((2, 3, ROWS * COLUMNS, 64)).astype(np.float32))
    y = rope_torch.rotate(spec, x, *rope_torch.cos_sin(spec, torch.from_numpy(positions)))
    expected = timm.apply_rot_embed_cat(x, theirs, half=is_half)
    longest = float(x.abs().max()) * math.sqrt(2)
    assert (y - expected).abs().max() <= (math.sqrt(2) * bound.max() + 4 * U) * longest


def test_a_spec_of_other_arguments_is_another(timm):
    """The check above can fail."""
    theirs = timm.create_rope_embed("dinov3", dim=64, num_heads=1).get_embed([ROWS, COLUMNS])
    for wrong in ({"temperature": 90.0}, {"min_period": 0.5, "max_period": 90.0}):
        spec = spec_from_timm("dinov3", dim=64, num_heads=1, **wrong)
        difference = np.abs(cos_sin(spec, CENTRES)[0] - theirs[:, 64:96].numpy())
        assert difference.max() > 100 * allowed(spec, CENTRES).max()


@pytest.mark.unchecked
def test_what_timm_learns_is_refused():
    with pytest.raises(ValueError, match="got rope_type='mixed', expected 'cat', 'dinov3' or 'mro"):
        spec_from_timm("mixed", dim=64, num_heads=1)
    with pytest.raises(TypeError, match="ref_feat_shape"):
        spec_from_timm("cat", dim=64, num_heads=1, ref_feat_shape=(16, 16))
