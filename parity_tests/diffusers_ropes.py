"""The ropes of diffusers: its own tables and rotations, at positions that are ours."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models import embeddings
from diffusers.models.transformers import (
    transformer_hidream_image,
    transformer_kandinsky,
    transformer_ltx,
    transformer_qwenimage,
    transformer_wan,
    transformer_z_image,
)
from diffusers.pipelines.cogvideo import pipeline_cogvideox

from parity_tests.float32_angles import EXACT, HALF_ULP
from rope_spec import (
    PerAxis,
    cogvideox_coordinates,
    flux2_positions,
    flux_positions,
    grid_coordinates,
    ltx_coordinates,
    lumina2_positions,
    qwen_image_positions,
)

SMALL = {"num_layers": 0, "num_attention_heads": 1}
GRID = (3, 4, 7)
count = np.arange
VIDEO = grid_coordinates(*map(count, GRID))
latent = lambda: torch.zeros(1, 16, 3, 8, 14)


class Theirs(NamedTuple):
    """What a class of diffusers makes of positions that are ours, and how it rotates."""

    positions: np.ndarray
    cos: torch.Tensor  # (S, P)
    sin: torch.Tensor
    rotate: Callable[[torch.Tensor], torch.Tensor]  # x (1, S, N, H)
    error: float | None = EXACT + HALF_ULP  # of their table; None: angles in float32
    rule: PerAxis | None = None  # divisors that are arguments of a call
    rounding: float = 0.0  # of their result, relative


class Rope(NamedTuple):
    """A class of diffusers, the arguments of a small model of it, and what such a model does."""

    kind: str
    sizes: dict[str, Any]
    theirs: Callable[[Any], Theirs]

    def model(self) -> Any:
        """The model itself."""
        return getattr(diffusers, self.kind)(**self.sizes)


def interleaved(tables: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """A column for each pair, where both channels of a pair have one."""
    cos, sin = (t.reshape(-1, t.shape[-1])[:, ::2] for t in tables)
    return cos, sin


def applied(tables: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function that most of its processors call."""
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


def flux(model: Any) -> Theirs:
    positions = flux_positions(5, 4, 7)
    tables = model.pos_embed(torch.from_numpy(positions))
    return Theirs(positions, *interleaved(tables), applied(tables))


def flux2(model: Any) -> Theirs:
    positions = flux2_positions(5, 4, 7)
    tables = model.pos_embed(torch.from_numpy(positions))
    return Theirs(positions, *interleaved(tables), applied(tables))


def wan(model: Any) -> Theirs:
    tables = model.rope(latent())
    rotate = processed(transformer_wan.WanAttnProcessor, rotary_emb=tables)
    return Theirs(VIDEO, *interleaved(tables), rotate)


def hunyuan(model: Any) -> Theirs:
    tables = model.rope(latent())
    return Theirs(VIDEO, *interleaved(tables), applied(tables), None)


def cogvideox(model: Any) -> Theirs:
    """Its pipeline makes the tables, of version 1.5 where time has patches as well."""
    make, head_dim = embeddings.get_3d_rotary_pos_embed, model.config.attention_head_dim
    if model.config.patch_size_t is not None:
        tables = make(head_dim, None, (4, 7), 3, grid_type="slice", max_size=(30, 45))
        return Theirs(VIDEO, *interleaved(tables), applied(tables), None)
    crops = pipeline_cogvideox.get_resize_crop_region_for_grid(GRID[1:], 45, 30)
    tables = make(head_dim, crops, GRID[1:], GRID[0])
    return Theirs(cogvideox_coordinates(*GRID), *interleaved(tables), applied(tables), None)


def qwen(model: Any) -> Theirs:
    grids = [(1, 4, 7), (9, 5, 3)]  # more frames than half a side, which do not move the text
    table = torch.cat(model.pos_embed([grids], torch.device("cpu"), max_txt_seq_len=6))
    rotate = lambda x: transformer_qwenimage.apply_rotary_emb_qwen(x, table, use_real=False)
    return Theirs(qwen_image_positions(grids, 6), table.real, table.imag, rotate, None)


def lumina2(model: Any) -> Theirs:
    image, mask = torch.zeros(1, 16, 8, 14), torch.ones(1, 5, dtype=torch.bool)
    table = model.rope_embedder(image, mask)[3][0]
    table64 = table[None].to(torch.complex64)
    rotate = lambda x: embeddings.apply_rotary_emb(x, table64, use_real=False)
    return Theirs(lumina2_positions(5, 4, 7), table.real, table.imag, rotate, EXACT)


def z_image(model: Any) -> Theirs:
    positions = lumina2_positions(5, 4, 7)
    table = model.rope_embedder(torch.from_numpy(positions))
    rotate = processed(transformer_z_image.ZSingleStreamAttnProcessor, freqs_cis=table[None])
    return Theirs(positions, table.real, table.imag, rotate, None)


def hidream(model: Any) -> Theirs:
    positions = flux_positions(5, 4, 7)
    table = model.pe_embedder(torch.from_numpy(positions)[None])  # (1, S, 1, P, 2, 2)
    rotate = lambda x: transformer_hidream_image.apply_rope(x, x, table)[0]
    return Theirs(positions, table[0, :, 0, :, 0, 0], table[0, :, 0, :, 1, 0], rotate)


def cosmos(model: Any, fps: int | None = None) -> Theirs:
    tables = model.rope(latent(), fps)
    time = count(3) if fps is None else count(3, dtype=np.float32) / np.float32(fps) * 24
    rotate = lambda x: embeddings.apply_rotary_emb(
        x, tables, use_real_unbind_dim=-2, sequence_dim=1
    )
    positions = grid_coordinates(time, count(4), count(7))
    positions = positions if fps is None else positions.astype(np.float32)
    cos, sin = (table[:, : table.shape[-1] // 2] for table in tables)
    return Theirs(positions, cos, sin, rotate, None)


def ltx(model: Any) -> Theirs:
    tables = model.rope(torch.zeros(1, 84, 8), *GRID, (8 / 25, 32, 32))
    cos, sin = (t[0, :, t.shape[-1] % 6 :: 2] for t in tables)
    rotate = lambda x: transformer_ltx.apply_rotary_emb(x[:, :, 0], tables)[:, :, None]
    return Theirs(ltx_coordinates(*GRID), cos, sin, rotate, None)


def kandinsky(model: Any) -> Theirs:
    """Its rotation returns bfloat16, whatever x is."""
    places, divisors = [torch.arange(n) for n in (3, 4, 7)], (1.0, 2.0, 2.0)
    table = model.visual_rope_embeddings((1, 3, 4, 7), places, divisors).flatten(1, 3)
    rotate = processed(transformer_kandinsky.Kandinsky5AttnProcessor, rotary_emb=table)
    cos, sin = table[0, :, 0, :, 0, 0], table[0, :, 0, :, 1, 0]
    return Theirs(VIDEO, cos, sin, rotate, None, PerAxis((10000.0,) * 3, divisors), 2.0**-9)


HUNYUAN = {"num_single_layers": 0, "num_refiner_layers": 0, "text_embed_dim": 8, **SMALL}
COGVIDEOX = {"use_rotary_positional_embeddings": True, "text_embed_dim": 8, **SMALL}
LUMINA2 = {"num_layers": 0, "num_refiner_layers": 0, "num_kv_heads": 1}
Z_IMAGE = {"n_layers": 0, "n_refiner_layers": 0, "n_kv_heads": 1, "cap_feat_dim": 8}
HIDREAM = {"num_single_layers": 0, "patch_size": 2, "caption_channels": [8, 8], "llama_layers": []}
COSMOS = {"text_embed_dim": 8, "extra_pos_embed_type": None, **SMALL}
LTX = {"num_layers": 0, "cross_attention_dim": 8, "caption_channels": 8}
KANDINSKY = {"ff_dim": 8, "num_text_blocks": 0, "num_visual_blocks": 0}

ROPES = {
    "Flux": Rope("FluxTransformer2DModel", {"num_single_layers": 0, **SMALL}, flux),
    "Flux 2": Rope("Flux2Transformer2DModel", {"num_single_layers": 0, **SMALL}, flux2),
    "Wan": Rope("WanTransformer3DModel", {"ffn_dim": 8, "text_dim": 8, **SMALL}, wan),
    "HunyuanVideo": Rope("HunyuanVideoTransformer3DModel", HUNYUAN, hunyuan),
    "CogVideoX 1.0": Rope("CogVideoXTransformer3DModel", COGVIDEOX, cogvideox),
    "CogVideoX 1.5": Rope(
        "CogVideoXTransformer3DModel",
        COGVIDEOX | {"patch_size_t": 2, "patch_bias": False},
        cogvideox,
    ),
    "Qwen-Image": Rope("QwenImageTransformer2DModel", {"joint_attention_dim": 8, **SMALL}, qwen),
    "Lumina 2": Rope(
        "Lumina2Transformer2DModel",
        LUMINA2 | {"hidden_size": 96, "num_attention_heads": 1},
        lumina2,
    ),
    "Z-Image": Rope("ZImageTransformer2DModel", Z_IMAGE | {"dim": 128, "n_heads": 1}, z_image),
    "HiDream": Rope(
        "HiDreamImageTransformer2DModel",
        HIDREAM | {"axes_dims_rope": (64, 32, 32), **SMALL},
        hidream,
    ),
    "Cosmos, images": Rope("CosmosTransformer3DModel", COSMOS, cosmos),
    "Cosmos, 30 frames a second": Rope(
        "CosmosTransformer3DModel", COSMOS, lambda model: cosmos(model, 30)
    ),
    "LTX-Video": Rope("LTXVideoTransformer3DModel", LTX | {"num_attention_heads": 2}, ltx),
    "Kandinsky 5": Rope("Kandinsky5Transformer3DModel", KANDINSKY | {"model_dim": 64}, kandinsky),
}
