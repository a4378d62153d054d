"""Rotary embeddings of kornia: three against their own classes, and one that is learned."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from parity_tests.float32_angles import expect_rotation
from rope_spec import Pairs, RopeSpec, grid_coordinates, grid_positions

pytest.importorskip("kornia", reason="kornia is not installed: make test-libraries")
ROWS, COLUMNS = 4, 6


def test_gemma(rng):
    module = import_module("kornia.models.paligemma.modeling_paligemma")
    positions = np.arange(300)
    cos, sin = module.GemmaRotaryEmbedding(64)(torch.zeros(1), torch.from_numpy(positions)[None])
    rotate = lambda x: module.apply_rotary_pos_emb(x, x, cos, sin)[0]
    tables = (cos[0, :, :32], sin[0, :, :32])
    expect_rotation(RopeSpec(head_dim=64), positions, tables, rotate, rng)


def test_moonvit(rng):
    """Kimi-VL: each frequency for the column, then for the row."""
    module = import_module("kornia.models.kimi_vl.moonvit")
    cos, sin = module.MoonViTRotaryEmbedding(64)(ROWS, COLUMNS, torch.device("cpu"))
    columns_first = grid_coordinates(np.arange(ROWS), np.arange(COLUMNS))[:, ::-1].copy()
    spec = RopeSpec(head_dim=64, pairs=Pairs.axial_alternating(rotary_dim=64), read="interleaved")
    rotate = lambda x: module.apply_rotary_pos_emb(x, cos, sin)
    expect_rotation(spec, columns_first, (cos, sin), rotate, rng)


def test_qwen25_vision(rng, monkeypatch):
    """The queries that its attention computes with, in the order in which it merges patches."""
    module = import_module("kornia.models.qwen25.vision")
    config = SimpleNamespace(hidden_size=128, num_heads=2, rope_theta=10000.0, spatial_merge_size=2)
    tables = module.Qwen25VisionTransformer._rotary_tables(
        SimpleNamespace(config=config), ROWS, COLUMNS, torch.device("cpu"), torch.float32
    )
    attend = lambda query, key, value, **_: query
    monkeypatch.setattr(module, "F", SimpleNamespace(scaled_dot_product_attention=attend))
    thrice = lambda x: torch.cat([x, x, x], -1)
    own = SimpleNamespace(num_heads=3, head_dim=64, qkv=thrice, proj=torch.nn.Identity())

    def rotate(x):
        y = module.Qwen25VisionAttention.forward(own, x.transpose(1, 2).flatten(2), *tables)
        return y.unflatten(-1, (3, 64)).transpose(1, 2)

    positions = grid_positions((1, ROWS, COLUMNS), merge=2)
    spec = RopeSpec(head_dim=64, pairs=Pairs.axial(rotary_dim=64))
    halves = tuple(table[:, :32] for table in tables)
    expect_rotation(spec, positions, halves, rotate, rng)


def test_lightglue_is_learned():
    """An angle is a sum over both coordinates, by weights: no spec has that."""
    module = import_module("kornia.feature.lightglue")
    encoding = module.LearnableFourierPositionalEncoding(2, 64)
    assert [tuple(weight.shape) for weight in encoding.parameters()] == [(32, 2)]
    x = torch.tensor([[0.25, -1.5]])
    assert torch.equal(encoding(x)[0, 0, :, ::2], encoding.Wr(x).cos())
