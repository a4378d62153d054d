"""The roads in PyTorch on a GPU: our kernel, the formula, and the Triton kernels of other projects.

Where a project cannot be imported its road fails, and the benchmark says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import torch
from torch import Tensor

import rope_torch
from rope_spec import RopeSpec
from rope_torch.rotation import rotate_pairs

# q and k, cos and sin (B, S, P), to the rotated q and k
Rotate = Callable[[Tensor, Tensor, Tensor, Tensor], Sequence[Tensor]]


def ours(spec: RopeSpec) -> Rotate:
    return lambda q, k, cos, sin: [rope_torch.rotate(spec, x, cos, sin) for x in (q, k)]


def formula(spec: RopeSpec) -> Rotate:
    """As rope_torch computes where there is no Triton."""

    def call(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> Sequence[Tensor]:
        table = cos[:, None], sin[:, None]
        return [rotate_pairs(x, *table, spec.channels, "float32") for x in (q, k)]

    return call


def concatenate(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> Sequence[Tensor]:
    """The usual form, in float32 and cast once, so that it computes what ours does."""
    cos, sin = (torch.cat([table, table], dim=-1)[:, None] for table in (cos, sin))
    return [_concatenated(x.float(), cos, sin).to(x.dtype) for x in (q, k)]


def _concatenated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


def liger(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> Sequence[Tensor]:
    """In place where q and k lie as (B, S, N, H); else on copies."""
    function = import_module("liger_kernel.ops.rope").LigerRopeFunction
    cos, sin = torch.cat([cos, cos], dim=-1), torch.cat([sin, sin], dim=-1)
    return function.apply(q, k, cos, sin)


def flash_attn(interleaved: bool) -> Rotate:
    """One table for the whole batch; it takes (B, S, N, H)."""

    def call(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> Sequence[Tensor]:
        apply_rotary = import_module("flash_attn.ops.triton.rotary").apply_rotary
        rotate = lambda x: apply_rotary(x.transpose(1, 2), cos[0], sin[0], interleaved=interleaved)
        return [rotate(x) for x in (q, k)]

    return call


def eager(layout: str, spec: RopeSpec) -> dict[str, Rotate]:
    """The roads of a layout."""
    roads: dict[str, Rotate] = {"rope_torch": ours(spec), "rope_torch, formula": formula(spec)}
    if layout == "half":
        roads |= {"concatenate": concatenate, "Liger": liger}
    if layout in ("half", "interleaved"):
        roads["flash-attn"] = flash_attn(layout == "interleaved")
    return roads


def pullback(form: Rotate, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> Callable[[], object]:
    """The derivative for q and k, of a graph that was recorded once."""
    q, k = (x.detach().requires_grad_() for x in (q, k))
    results = form(q, k, cos, sin)
    gradients = [torch.randn_like(x) for x in (q, k)]
    return lambda: torch.autograd.grad(results, (q, k), gradients, retain_graph=True)
