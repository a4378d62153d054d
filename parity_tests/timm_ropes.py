"""The ropes of timm: its own module, arguments for it, and our coordinates."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from rope_spec import centred_coordinates, grid_coordinates

ROWS, COLUMNS = 5, 8
CENTRES = grid_coordinates(centred_coordinates(ROWS), centred_coordinates(COLUMNS))
counted = lambda n: np.arange(n, dtype=np.float32)


@contextmanager
def loaded() -> Iterator[Any]:
    """timm's file of ropes alone: the package around it needs torchvision."""
    found = find_spec("timm")
    assert found is not None and found.submodule_search_locations
    root = found.submodule_search_locations[0]
    with pytest.MonkeyPatch.context() as patch:
        for name, path in (("timm", root), ("timm.layers", f"{root}/layers")):
            package = ModuleType(name)
            package.__path__ = [path]
            patch.setitem(sys.modules, name, package)
        yield import_module("timm.layers.pos_embed_sincos")
        for name in [name for name in sys.modules if name.startswith("timm.layers.")]:
            patch.delitem(sys.modules, name)


def tables(embed: torch.Tensor, half: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin of each pair, from what timm's modules return."""
    sin, cos = embed.chunk(2, -1)
    pairs = sin.shape[-1] // 2
    return (cos[:, :pairs], sin[:, :pairs]) if half else (cos[:, ::2], sin[:, ::2])


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
    "DINOv3, one period says nothing": ({"rope_type": "dinov3", "min_period": 0.5}, {}, CENTRES),
    "M-RoPE": ({"rope_type": "mrope"}, {}, time),
    "M-RoPE, 12 each": ({"rope_type": "mrope", "mrope_section": (12, 12, 12)}, {}, time),
}
