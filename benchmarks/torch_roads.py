"""The roads in PyTorch, eager and compiled: ours, transformers' own functions, and complex
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

import rope_torch
from rope_parity.backends import tensor
from rope_parity.measure import DTYPES
from rope_spec import Arithmetic, RotateIn

from .shapes import DECODE, LAYOUTS, MLA, VISION, Shape, prefill
from .timing import RULER, SWEEP, Job

Rotate = Callable[[Tensor, Tensor, Tensor, Tensor], object]  # q and k, and cos and sin (B, S, P)


def transformers_function(layout: str, rotate_in: str) -> Rotate | None:
    """transformers' function for a layout, in x.dtype, or on float32 copies and back."""
    from transformers.models.glm.modeling_glm import apply_rotary_pos_emb as interleaved
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb as half

    function = {"half": half, "interleaved": interleaved}.get(layout)

    def call(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> object:
        assert function is not None
        cos, sin = torch.cat([cos, cos], dim=-1), torch.cat([sin, sin], dim=-1)
        if rotate_in == "input":
            return function(q, k, cos.to(q.dtype), sin.to(q.dtype))
        return [y.to(q.dtype) for y in function(q.float(), k.float(), cos, sin)]

    return call if function else None


def as_complex(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> object:
    """As Llama's first code had it."""
    turn = torch.complex(cos, sin)[:, None]
    pairs = (torch.view_as_complex(x.float().unflatten(-1, (-1, 2))) for x in (q, k))
    return [torch.view_as_real(x * turn).flatten(-2).to(q.dtype) for x in pairs]


def rotation(
    shape: Shape, dtype: str, rotate_in: RotateIn = "float32", compiled: bool = False
) -> Job:
    """From given cos and sin to q and k, `(B, N, S, H)`."""

    def roads() -> dict[str, Callable[[], object]]:
        q, k = map(tensor, shape.arrays(DTYPES[dtype], "BNSH", 0))
        cos, sin = rope_torch.cos_sin(shape.spec, tensor(shape.positions()))
        ours = lambda x, cos, sin: rope_torch.rotate(
            shape.spec, x, cos, sin, arithmetic=Arithmetic("exact", rotate_in)
        )
        forms: dict[str, Rotate] = {
            RULER: lambda q, k, c, s: (q + 1, k + 1),
            "rope_torch": lambda q, k, c, s: (ours(q, c, s), ours(k, c, s)),
        }
        if peer := transformers_function(shape.layout, rotate_in):
            forms["transformers"] = peer
        if shape.layout == "interleaved" and rotate_in == "float32":
            forms["complex"] = as_complex
        return _timed(forms, compiled, q, k, cos, sin)

    return Job(
        shape.name,
        "BNSH",
        shape.layout,
        dtype,
        rotate_in,
        "forward",
        "torch.compile" if compiled else "torch",
        roads,
    )


def from_positions(shape: Shape, dtype: str) -> Job:
    """From positions to q and k; our tables have 131072 rows."""

    def roads() -> dict[str, Callable[[], object]]:
        spec, positions = shape.spec, tensor(shape.positions())
        q, k = map(tensor, shape.arrays(DTYPES[dtype], "BNSH", 0))
        forms: dict[str, Callable[..., object]] = {RULER: lambda q, k, p: (q + 1, k + 1)}

        def ours(cache, q, k, p):
            table = rope_torch.lookup(cache, p)
            return [rope_torch.rotate(spec, x, *table) for x in (q, k)]

        for strategy in ("fixed", "split_table", "table_free"):
            forms[f"rope_torch, {strategy}"] = partial(
                ours, rope_torch.init_cache(spec, strategy, 131_072)
            )
        if shape.layout == "half":
            forms["transformers"] = transformers_class(shape)
        return _timed(forms, False, q, k, positions)

    return Job(shape.name, "BNSH", shape.layout, dtype, "float32", "from positions", "torch", roads)


def transformers_class(shape: Shape, device: str = "cpu") -> Callable[..., object]:
    """LlamaRotaryEmbedding and its function, in x.dtype."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    parameters = {"rope_type": "default", "rope_theta": shape.spec.theta}
    rotary = LlamaRotaryEmbedding(
        LlamaConfig(head_dim=shape.spec.head_dim, rope_parameters=parameters)
    ).to(device)
    return lambda q, k, p: apply_rotary_pos_emb(q, k, *rotary(q, p))


def _timed(
    forms: dict[str, Callable[..., object]], compiled: bool, q: Tensor, k: Tensor, *tables: Tensor
) -> dict[str, Callable[[], object]]:
    torch._dynamo.reset()
    found: dict[str, Callable[[], object]] = {
        SWEEP: partial(torch.zeros(2 * (q.numel() + k.numel())).add_, 1)
    }
    for name, form in forms.items():
        found[name] = partial(torch.compile(form) if compiled else form, q, k, *tables)
    return found


def jobs() -> Iterator[Job]:
    """Every job of this framework."""
    for compiled in (False, True):
        for layout in LAYOUTS:
            for dtype in DTYPES:
                yield rotation(prefill(2048, layout), dtype, compiled=compiled)
        for layout in ("half", "interleaved"):
            for dtype in ("bfloat16", "float16"):
                yield rotation(prefill(2048, layout), dtype, rotate_in="input", compiled=compiled)
    for shape in (prefill(2048), prefill(8192), DECODE, MLA, VISION):
        for dtype in DTYPES:
            yield from_positions(shape, dtype)
