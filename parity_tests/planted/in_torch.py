"""torch: a module with `rotate_half`, as most models have, and complex numbers, as Meta has."""

import numpy as np
import torch
from torch import Tensor, nn

from .case import Function
from .rope import Rope
from .steps import Steps, call_length, coordinate


def rounded(tensor: Tensor, dtype: str) -> Tensor:
    return tensor.to(getattr(torch, dtype)).to(tensor.dtype) if dtype else tensor


def angles_of(positions: Tensor, rope: Rope, steps: Steps) -> tuple[Tensor, Tensor]:
    """Angles (B, S, P), and where the position lies beyond the table."""
    row = coordinate(positions + rope.offset, rope)
    beyond = row >= steps.rows if steps.rows else torch.zeros_like(row, dtype=torch.bool)
    if steps.rows:
        row = row % steps.rows if steps.end == "wrapped" else row.clamp(max=steps.rows - 1)
    w = torch.from_numpy(rope.frequencies(call_length(positions, rope), np.float32))
    w = rounded(w, steps.frequencies)
    angles = rounded(rounded(row.float(), steps.positions) * w, steps.angles)
    return rope.sign * angles, beyond


def parts(x: Tensor, rope: Rope) -> tuple[Tensor, Tensor, Tensor]:
    """The channels before, in and after the rotated ones, these as halves."""
    before, turned, after = x.tensor_split([rope.start, rope.start + 2 * rope.pairs], dim=-1)
    if rope.read == "interleaved":
        turned = turned.unflatten(-1, (rope.pairs, 2)).transpose(-1, -2).flatten(-2)
    return before, turned, after


def joined(before: Tensor, turned: Tensor, after: Tensor, rope: Rope) -> Tensor:
    if rope.write == "interleaved":
        turned = turned.unflatten(-1, (2, rope.pairs)).transpose(-1, -2).flatten(-2)
    return torch.cat([before, turned.to(before.dtype), after], dim=-1)


def rotate_half(x: Tensor) -> Tensor:
    near, far = x.chunk(2, dim=-1)
    return torch.cat([-far, near], dim=-1)


class RotaryEmbedding(nn.Module):
    """cos and sin of full width, and `x cos + rotate_half(x) sin`."""

    def __init__(self, rope: Rope, steps: Steps):
        super().__init__()
        self.rope, self.steps = rope, steps

    def cos_sin(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angles, beyond = angles_of(positions, self.rope, self.steps)
        cos, sin = angles.cos() * self.rope.factor, angles.sin() * self.rope.factor
        if self.rope.exchanged:
            cos, sin = sin, cos
        cos, sin = (rounded(table, self.steps.table) for table in (cos, sin))
        if (lost := {"zero": 0.0, "nan": float("nan")}.get(self.steps.end)) is not None:
            cos, sin = cos.masked_fill(beyond, lost), sin.masked_fill(beyond, lost)
        return torch.cat([cos, cos], dim=-1), torch.cat([sin, sin], dim=-1)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        cos, sin = (self.steps.spread(table) for table in self.cos_sin(positions))
        return self.rotate(x, cos, sin)

    def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        before, turned, after = parts(x, self.rope)
        inside = getattr(torch, self.steps.products or "float32")
        turned, cos, sin = turned.to(inside), cos.to(inside), sin.to(inside)
        return joined(before, turned * cos + rotate_half(turned) * sin, after, self.rope)


def module(rope: Rope, steps: Steps) -> Function:
    return RotaryEmbedding(rope, steps)


def complex_numbers(rope: Rope, steps: Steps) -> Function:
    """`view_as_complex(x) * polar(factor, angles)`; no table, and no products to round."""
    given = Steps(steps.layout, steps.positions, steps.frequencies, steps.angles)
    assert steps == given and not rope.exchanged, f"complex numbers cannot have {steps}"

    def fn(x: Tensor, positions: Tensor) -> Tensor:
        angles, _ = angles_of(positions, rope, steps)
        turn = torch.polar(torch.full_like(angles, rope.factor), angles)
        before, turned, after = parts(x, rope)
        pair = turned.float().unflatten(-1, (2, rope.pairs)).transpose(-1, -2).contiguous()
        pair = torch.view_as_real(torch.view_as_complex(pair) * steps.spread(turn))
        return joined(before, pair.transpose(-1, -2).flatten(-2), after, rope)

    return fn
