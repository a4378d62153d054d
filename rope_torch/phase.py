"""Exact cos and sin in PyTorch: the integers of `rope_spec.phase`, in int64."""

from __future__ import annotations

from functools import reduce

import torch
from jaxtyping import Float32, Int64, Integer
from torch import Tensor

from rope_spec.phase import COS, SIN, fixed_point


def phase_of(positions: Integer[Tensor, "*batch pairs"], turns: Int64[Tensor, " pairs"]) -> Int64[Tensor, "*batch pairs"]:
    """The phase `round(position * turns / 2 ** 32)`, modulo a turn, in units of 2 ** -32 turns; int64 products wrap."""
    return (positions.long() * turns + 2**31) >> 32


def phase_cos_sin(
    phase: Int64[Tensor, "*batch pairs"], attention_factor: float = 1.0
) -> tuple[Float32[Tensor, "*batch pairs"], Float32[Tensor, "*batch pairs"]]:
    """float32 cos and sin of a phase, times the attention factor; line for line `rope_spec.phase.phase_cos_sin`."""
    quadrant = (phase + 2**29) >> 30
    remainder = phase - (quadrant << 30)
    u = remainder.abs() << 2
    z = (u * u) >> 32 << 1
    cos, sin = 2**31 - 1 - ((_horner(COS, z) * z) >> 32), (_horner(SIN, z) * u) >> 32
    multiplier, scale = fixed_point(attention_factor)
    if multiplier:
        cos, sin = (cos * multiplier + 2**31) >> 32, (sin * multiplier + 2**31) >> 32
    sin = torch.where(remainder < 0, -sin, sin)
    odd, cos_negative, sin_negative = quadrant & 1, (quadrant + 1) & 2, quadrant & 2
    cos, sin = torch.where(odd != 0, sin, cos), torch.where(odd != 0, cos, sin)
    cos, sin = torch.where(cos_negative != 0, -cos, cos), torch.where(sin_negative != 0, -sin, sin)
    return cos.float() * scale, sin.float() * scale


def _horner(coefficients: tuple[int, ...], z: Int64[Tensor, "..."]) -> Int64[Tensor, "..."]:
    first = torch.full_like(z, coefficients[-1])
    return reduce(lambda value, c: c - ((value * z) >> 32), coefficients[-2::-1], first)
