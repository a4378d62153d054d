"""Transformers of diffusers: the spec that we read from their configuration, and our positions,
against the tables and rotations of their own classes.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import rope_torch
from parity_tests.float32_angles import EXACT, HALF_ULP, U, allowed
from rope_spec import (
    Pairs,
    PerAxis,
    cos_sin,
    flux2_positions,
    flux_positions,
    grid_coordinates,
    lumina2_positions,
    qwen_image_positions,
    spec_from_config,
    specs_from_config,
)

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed: make test-vision")
embeddings = pytest.importorskip("diffusers.models.embeddings")

SMALL = {"num_layers": 0, "num_attention_heads": 1}
count = np.arange


class Theirs(NamedTuple):
    """What a class of diffusers makes of positions that are ours, and how it rotates."""

    model: Any
    positions: np.ndarray
    cos: torch.Tensor  # (S, P)
    sin: torch.Tensor
    rotate: Callable[[torch.Tensor], torch.Tensor]  # x (1, S, N, H)
    error: float | None = EXACT + HALF_ULP  # of their table; None: angles in float32
    rule: PerAxis | None = None  # divisors that are arguments of a call
    rounding: float = 0.0  # of their result, relative


def interleaved(tables: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """A column for each pair, where both channels of a pair have one."""
    cos, sin = (t.reshape(-1, t.shape[-1])[:, ::2] for t in tables)
    return cos, sin


def applied(tables: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    flat = [t.reshape(-1, t.shape[-1]) for t in tables]
    return lambda x: embeddings.apply_rotary_emb(x, flat, sequence_dim=1)


IDENTITY = torch.nn.Identity()
PROJECTIONS = ("to_q", "to_k", "to_v", "to_query", "to_key", "to_value", "out_layer")
NORMS = ("norm_q", "norm_k", "query_norm", "key_norm")
ATTENTION = SimpleNamespace(  # what a processor reads, without weights
    heads=3,
    num_heads=3,
    add_k_proj=None,
    fused_projections=False,
    to_out=[IDENTITY, IDENTITY],
    **dict.fromkeys(PROJECTIONS + NORMS, IDENTITY),
)


def processed(processor: Any, **tables: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """The queries that a processor, whose rotation is a function within it, hands to attention."""

    def rotate(x: torch.Tensor) -> torch.Tensor:
        queries = []
        attend = lambda query, *others, **options: queries.append(query) or query
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules[processor.__module__], "dispatch_attention_fn", attend)
            processor()(ATTENTION, x.flatten(2), **tables)
        return queries[0]

    return rotate


def complex_applied(table: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: embeddings.apply_rotary_emb(x, table[None].to(torch.complex64), use_real=False)


def flux() -> Theirs:
    model = diffusers.FluxTransformer2DModel(num_single_layers=0, **SMALL)
    positions = flux_positions(5, 4, 7)
    tables = model.pos_embed(torch.from_numpy(positions))
    return Theirs(model, positions, *interleaved(tables), applied(tables))


def flux2() -> Theirs:
    model = diffusers.Flux2Transformer2DModel(num_single_layers=0, **SMALL)
    positions = flux2_positions(5, 4, 7)
    tables = model.pos_embed(torch.from_numpy(positions))
    return Theirs(model, positions, *interleaved(tables), applied(tables))


def wan() -> Theirs:
    from diffusers.models.transformers.transformer_wan import WanAttnProcessor

    model = diffusers.WanTransformer3DModel(ffn_dim=8, text_dim=8, **SMALL)
    tables = model.rope(torch.zeros(1, 16, 3, 8, 14))
    positions = grid_coordinates(count(3), count(4), count(7))
    rotate = processed(WanAttnProcessor, rotary_emb=tables)
    return Theirs(model, positions, *interleaved(tables), rotate)


def hunyuan() -> Theirs:
    model = diffusers.HunyuanVideoTransformer3DModel(
        num_single_layers=0, num_refiner_layers=0, text_embed_dim=8, **SMALL
    )
    tables = model.rope(torch.zeros(1, 16, 3, 8, 14))
    positions = grid_coordinates(count(3), count(4), count(7))
    return Theirs(model, positions, *interleaved(tables), applied(tables), None)


def cogvideox(version: str) -> Theirs:
    patch = {"patch_size_t": 2, "patch_bias": False} if version == "1.5" else {}
    model = diffusers.CogVideoXTransformer3DModel(
        use_rotary_positional_embeddings=True, text_embed_dim=8, **patch, **SMALL
    )
    if version == "1.5":
        tables = embeddings.get_3d_rotary_pos_embed(
            64, None, (4, 7), 3, grid_type="slice", max_size=(30, 45)
        )
        positions = grid_coordinates(count(3), count(4), count(7))
    else:
        tables = embeddings.get_3d_rotary_pos_embed(64, ((2, 0), (28, 45)), (4, 7), 3)
        axes = (torch.linspace(a, b * (n - 1) / n, n) for a, b, n in ((2, 28, 4), (0, 45, 7)))
        time = torch.linspace(0, 3 * 2 / 3, 3)
        positions = grid_coordinates(time.numpy(), *(axis.numpy() for axis in axes))
    return Theirs(model, positions, *interleaved(tables), applied(tables), None)


def qwen() -> Theirs:
    from diffusers.models.transformers.transformer_qwenimage import apply_rotary_emb_qwen

    model = diffusers.QwenImageTransformer2DModel(joint_attention_dim=8, **SMALL)
    grids = [(1, 4, 7), (2, 5, 3)]
    table = torch.cat(model.pos_embed([grids], torch.device("cpu"), max_txt_seq_len=6))
    rotate = lambda x: apply_rotary_emb_qwen(x, table, use_real=False)
    positions = qwen_image_positions(grids, 6)
    return Theirs(model, positions, table.real, table.imag, rotate, None)


def lumina2() -> Theirs:
    model = diffusers.Lumina2Transformer2DModel(
        num_layers=0, num_refiner_layers=0, hidden_size=96, num_attention_heads=1, num_kv_heads=1
    )
    image, mask = torch.zeros(1, 16, 8, 14), torch.ones(1, 5, dtype=torch.bool)
    table = model.rope_embedder(image, mask)[3][0]
    positions = lumina2_positions(5, 4, 7)
    return Theirs(model, positions, table.real, table.imag, complex_applied(table), EXACT)


def z_image() -> Theirs:
    from diffusers.models.transformers.transformer_z_image import ZSingleStreamAttnProcessor

    model = diffusers.ZImageTransformer2DModel(
        n_layers=0, n_refiner_layers=0, dim=128, n_heads=1, n_kv_heads=1, cap_feat_dim=8
    )
    positions = lumina2_positions(5, 4, 7)
    table = model.rope_embedder(torch.from_numpy(positions))
    rotate = processed(ZSingleStreamAttnProcessor, freqs_cis=table[None])
    return Theirs(model, positions, table.real, table.imag, rotate, None)


def hidream() -> Theirs:
    from diffusers.models.transformers import transformer_hidream_image as module

    model = diffusers.HiDreamImageTransformer2DModel(
        num_single_layers=0,
        patch_size=2,
        caption_channels=[8, 8],
        axes_dims_rope=(64, 32, 32),
        llama_layers=[],
        **SMALL,
    )
    positions = flux_positions(5, 4, 7)
    table = model.pe_embedder(torch.from_numpy(positions)[None])  # (1, S, 1, P, 2, 2)
    rotate = lambda x: module.apply_rope(x, x, table)[0]
    return Theirs(model, positions, table[0, :, 0, :, 0, 0], table[0, :, 0, :, 1, 0], rotate)


def cosmos(fps: int | None) -> Theirs:
    model = diffusers.CosmosTransformer3DModel(text_embed_dim=8, extra_pos_embed_type=None, **SMALL)
    cos, sin = model.rope(torch.zeros(1, 16, 3, 8, 14), fps)
    time = count(3) if fps is None else count(3, dtype=np.float32) / np.float32(fps) * 24
    rotate = lambda x: embeddings.apply_rotary_emb(
        x, (cos, sin), use_real_unbind_dim=-2, sequence_dim=1
    )
    positions = grid_coordinates(time, count(4), count(7))
    positions = positions if fps is None else positions.astype(np.float32)
    return Theirs(model, positions, cos[:, :64], sin[:, :64], rotate, None)


def ltx() -> Theirs:
    from diffusers.models.transformers import transformer_ltx as module

    model = diffusers.LTXVideoTransformer3DModel(
        num_layers=0, num_attention_heads=2, cross_attention_dim=8, caption_channels=8
    )
    scale = (8 / 25, 32, 32)
    tables = model.rope(torch.zeros(1, 84, 8), 3, 4, 7, scale)
    axes = [
        count(n, dtype=np.float32) * np.float32(s) / np.float32(base) * 2 - 1
        for n, s, base in zip((3, 4, 7), scale, (20, 2048, 2048), strict=True)
    ]
    cos, sin = (t[0, :, 128 % 6 :: 2] for t in tables)
    rotate = lambda x: module.apply_rotary_emb(x[:, :, 0], tables)[:, :, None]
    return Theirs(model, grid_coordinates(*axes), cos, sin, rotate, None)


def kandinsky() -> Theirs:
    """Its rotation returns bfloat16, whatever x is."""
    from diffusers.models.transformers.transformer_kandinsky import Kandinsky5AttnProcessor

    model = diffusers.Kandinsky5Transformer3DModel(
        model_dim=64, ff_dim=8, num_text_blocks=0, num_visual_blocks=0
    )
    places = [torch.arange(n) for n in (3, 4, 7)]
    table = model.visual_rope_embeddings((1, 3, 4, 7), places, (1.0, 2.0, 2.0)).reshape(
        84, 1, 32, 2, 2
    )
    rotate = processed(Kandinsky5AttnProcessor, rotary_emb=table[None])
    positions = grid_coordinates(*(place.numpy() for place in places))
    rule = PerAxis((10000.0,) * 3, (1.0, 2.0, 2.0))
    cos, sin = table[:, 0, :, 0, 0], table[:, 0, :, 1, 0]
    return Theirs(model, positions, cos, sin, rotate, None, rule, 2.0**-9)


CASES: dict[str, Callable[[], Theirs]] = {
    "Flux": flux,
    "Flux 2": flux2,
    "Wan": wan,
    "HunyuanVideo": hunyuan,
    "CogVideoX 1.0": lambda: cogvideox("1.0"),
    "CogVideoX 1.5": lambda: cogvideox("1.5"),
    "Qwen-Image": qwen,
    "Lumina 2": lumina2,
    "Z-Image": z_image,
    "HiDream": hidream,
    "Cosmos, images": lambda: cosmos(None),
    "Cosmos, 30 frames a second": lambda: cosmos(30),
    "LTX-Video": ltx,
    "Kandinsky 5": kandinsky,
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.filterwarnings("ignore")
def test_table_and_rotation_are_theirs(case, rng):
    theirs = case()
    config = json.loads(theirs.model.to_json_string())
    spec = spec_from_config(config)
    assert specs_from_config(config) == {"transformer": spec}
    if theirs.rule:
        spec = replace(spec, rule=theirs.rule)
    bound = allowed(spec, theirs.positions) if theirs.error is None else theirs.error
    tables = cos_sin(spec, theirs.positions)
    for ours, table in zip(tables, (theirs.cos, theirs.sin), strict=True):
        assert ours.shape == table.shape and (np.abs(ours - table.numpy()) <= bound).all()
    x = torch.from_numpy(rng.standard_normal((1, len(ours), 3, spec.head_dim)).astype(np.float32))
    x = x[:, :, :1] if "LTX" in config["_class_name"] else x  # all heads are one array there
    own = rope_torch.cos_sin(spec, torch.from_numpy(theirs.positions))
    y = rope_torch.rotate(spec, x, *own, heads_axis=-2)
    longest = float(x.abs().max()) * math.sqrt(2)
    allowance = math.sqrt(2) * np.max(bound) + 4 * U + theirs.rounding
    assert (y - theirs.rotate(x)).abs().max() <= allowance * longest


@pytest.mark.parametrize("case", [flux, wan, qwen, hidream])
@pytest.mark.filterwarnings("ignore")
def test_one_ladder_for_all_axes_is_another_rotation(case):
    """The check above can fail: sections of M-RoPE have the same shapes."""
    theirs = case()
    spec = spec_from_config(json.loads(theirs.model.to_json_string()))
    lengths = tuple(spec.pairs.axis.count(axis) for axis in range(spec.pairs.axes))
    wrong = replace(spec, pairs=Pairs.sections(mrope_section=lengths))
    assert np.abs(cos_sin(wrong, theirs.positions)[0] - theirs.cos.numpy()).max() > 0.5
