"""The formula of the rotation, and how the two channels of each pair lie: what `torch.compile` fuses, and GPUs run."""

import torch
from jaxtyping import Float
from torch import Tensor

from rope_spec import RotateIn
from rope_spec.channels import Channels

Heads = Float[Tensor, "*batch head_dim"]
Half = Float[Tensor, "*#batch pairs"]  # cos or sin, broadcast against the pairs of x


def rotate_pairs(x: Heads, cos: Half, sin: Half, channels: Channels, rotate_in: RotateIn) -> Heads:
    """`y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin` for each pair; the other channels stay."""
    width, rotated = 2 * cos.shape[-1], channels.rotated(cos.shape[-1])
    if x.shape[-1] == width:
        a, b = _rotated(x, cos, sin, channels.read, rotate_in)
        return join(a, b, channels.write)
    if torch.compiler.is_compiling() and x.shape[-1] % width == channels.start % width == 0:
        return _rotate_slice(x, cos, sin, channels, rotate_in)
    a, b = _rotated(x[..., rotated], cos, sin, channels.read, rotate_in)
    y = join(a, b, channels.write)
    return torch.cat([x[..., : rotated.start], y, x[..., rotated.stop :]], dim=-1)


def _rotated(
    x: Heads, cos: Half, sin: Half, read: int, rotate_in: RotateIn
) -> tuple[Tensor, Tensor]:
    """The two channels of each pair, `(..., P)` each."""
    dtype = inside(x.dtype, rotate_in)
    (a, b), cos, sin = split(x.to(dtype), read), cos.to(dtype), sin.to(dtype)
    return (a * cos - b * sin).to(x.dtype), (b * cos + a * sin).to(x.dtype)


def _rotate_slice(x: Heads, cos: Half, sin: Half, channels: Channels, rotate_in: RotateIn) -> Heads:
    """One of several slices of the same width, chosen by index.

    A concatenation is compiled to a loop for each operand.
    """
    slices = x.unflatten(-1, (-1, 2 * cos.shape[-1]))
    index = torch.arange(slices.shape[-2], device=x.device)[:, None]
    is_rotated = index == channels.start // slices.shape[-1]
    rotated = _rotated(slices, cos.unsqueeze(-2), sin.unsqueeze(-2), channels.read, rotate_in)
    kept = split(slices, channels.write)
    a, b = (torch.where(is_rotated, *pair) for pair in zip(rotated, kept, strict=True))
    return join(a, b, channels.write).flatten(-2)


def inside(dtype: torch.dtype, rotate_in: RotateIn) -> torch.dtype:
    return dtype if rotate_in == "input" else torch.promote_types(dtype, torch.float32)


def as_pairs(x: Tensor, blocks: int) -> Tensor:
    return x.unflatten(-1, (blocks, 2, x.shape[-1] // (2 * blocks)))


def split(x: Tensor, blocks: int) -> tuple[Tensor, Tensor]:
    """The two channels of each pair, `(..., P)` each."""
    if blocks == 1:
        a, b = x.chunk(2, dim=-1)
    else:
        a, b = (channel.flatten(-2) for channel in as_pairs(x, blocks).unbind(-2))
    return a, b


def join(a: Tensor, b: Tensor, blocks: int) -> Tensor:
    if blocks == 1:
        return torch.cat([a, b], dim=-1)
    return torch.stack(
        [t.unflatten(-1, (blocks, t.shape[-1] // blocks)) for t in (a, b)], dim=-2
    ).flatten(-3)
