"""Transformers of diffusers: the spec that we read from their configuration, and our positions,
against the tables and rotations of their own classes. Broken ones: `MUTATIONS=20000 SEED=7`.
"""

import inspect
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import rope_torch
from parity_tests.float32_angles import U, allowed
from rope_spec import Pairs, cogvideox_coordinates, cos_sin, spec_from_config, specs_from_config

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: make test-libraries"
)
ropes = pytest.importorskip("parity_tests.diffusers_ropes")
ROPES = ropes.ROPES


@pytest.mark.parametrize("rope", ROPES.values(), ids=ROPES)
@pytest.mark.filterwarnings("ignore")
def test_table_and_rotation_are_theirs(rope, rng):
    model = rope.model()
    theirs, config = rope.theirs(model), json.loads(model.to_json_string())
    spec = spec_from_config(config)
    assert specs_from_config(config) == {"transformer": spec}
    if theirs.rule:
        spec = replace(spec, rule=theirs.rule)
    bound = allowed(spec, theirs.positions) if theirs.error is None else theirs.error
    tables = cos_sin(spec, theirs.positions)
    for ours, table in zip(tables, (theirs.cos, theirs.sin), strict=True):
        assert ours.shape == table.shape and (np.abs(ours - table.numpy()) <= bound).all()
    x = torch.from_numpy(rng.standard_normal((1, len(ours), 3, spec.head_dim)).astype(np.float32))
    x = x[:, :, :1] if "LTX" in rope.kind else x  # all heads are one array there
    own = rope_torch.cos_sin(spec, torch.from_numpy(theirs.positions))
    y = rope_torch.rotate(spec, x, *own, heads_axis=-2)
    longest = float(x.abs().max()) * math.sqrt(2)
    allowance = math.sqrt(2) * np.max(bound) + 4 * U + theirs.rounding
    assert (y - theirs.rotate(x)).abs().max() <= allowance * longest


@pytest.mark.parametrize("kind", sorted({rope.kind for rope in ROPES.values()}))
def test_what_a_configuration_leaves_out_is_the_default_of_the_class(kind):
    """Two axes of 32 channels do not fill the heads of 128 that HiDream's class has by default."""
    named = {"_class_name": kind}
    named |= {"use_rotary_positional_embeddings": True} if "CogVideoX" in kind else {}
    named |= {"axes_dims_rope": [64, 32, 32]} if "HiDream" in kind else {}
    parameters = inspect.signature(getattr(diffusers, kind).__init__).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    assert spec_from_config(named) == spec_from_config(json.loads(json.dumps(defaults)) | named)


@pytest.mark.parametrize("name", ["Flux", "Wan", "Qwen-Image", "HiDream"])
@pytest.mark.filterwarnings("ignore")
def test_one_list_of_frequencies_for_all_axes_is_another_rotation(name):
    """The check above can fail: sections of M-RoPE have the same shapes."""
    model = ROPES[name].model()
    theirs, spec = ROPES[name].theirs(model), spec_from_config(json.loads(model.to_json_string()))
    lengths = tuple(spec.pairs.axis.count(axis) for axis in range(spec.pairs.axes))
    wrong = replace(spec, pairs=Pairs.sections(mrope_section=lengths))
    assert np.abs(cos_sin(wrong, theirs.positions)[0] - theirs.cos.numpy()).max() > 0.5


@pytest.mark.parametrize("grid", [(13, 30, 45), (1, 60, 90), (2, 45, 30), (3, 7, 4), (1, 1, 1)])
def test_coordinates_of_cogvideox(grid):
    """The region by diffusers' own function; both round the ends of an axis, and then a point."""
    _, rows, columns = grid
    region = ropes.pipeline_cogvideox.get_resize_crop_region_for_grid((rows, columns), 45, 30)
    ours = cogvideox_coordinates(*grid).reshape(*grid, 3)
    for axis, count in ((1, rows), (2, columns)):
        start, end = (corner[axis - 1] for corner in region)
        theirs = torch.linspace(start, end * (count - 1) / count, count, dtype=torch.float64)
        along = np.moveaxis(ours[..., axis], axis, 0).reshape(count, -1)
        assert (np.abs(along - theirs.numpy()[:, None]) <= U * np.abs(along)).all()


def test_broken_configurations():
    """Their own rotation, or an error that helps: never a third thing. In a process of its own."""
    if find_spec("timm") is None:
        pytest.skip("timm is not installed: make test-libraries")
    count, seed = os.environ.get("MUTATIONS", "200"), os.environ.get("SEED", "0")
    command = [sys.executable, "-m", "parity_tests.broken_ropes", count, seed]
    root = Path(__file__).parent.parent
    out = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert out.returncode == 0, out.stderr[-2000:]
    found = json.loads(out.stdout)
    assert not found["failures"], found["failures"][:20]
    assert found["compared"] > int(count) / 4
