"""The formula of the rotation: the reference, and what runs where no faster form does."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rope_spec import RotateIn
from rope_spec.channels import Channels

Heads = Float[Tensor, "*tokens H"]
PerPair = Float[Tensor, "*#tokens P"]  # cos or sin, which broadcast to the tokens of x


def rotate_pairs(
    x: Heads, cos: PerPair, sin: PerPair, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """`y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin` for each pair; other channels stay."""
    width, rotated = 2 * cos.shape[-1], channels.rotated(cos.shape[-1])
    if x.shape[-1] == width:
        a, b = _rotated(x, cos, sin, channels.read_blocks, rotate_in)
        return join(a, b, channels.write_blocks)
    if torch.compiler.is_compiling() and x.shape[-1] % width == channels.start % width == 0:
        return _rotate_slice(x, cos, sin, channels, rotate_in)
    a, b = _rotated(x[..., rotated], cos, sin, channels.read_blocks, rotate_in)
    y = join(a, b, channels.write_blocks)
    return torch.cat([x[..., : rotated.start], y, x[..., rotated.stop :]], dim=-1)


def _rotated(
    x: Heads, cos: PerPair, sin: PerPair, read: int, rotate_in: RotateIn
) -> tuple[Float[Tensor, "*tokens P"], Float[Tensor, "*tokens P"]]:
    """The two channels of each pair, rotated."""
    dtype = compute_dtype(x.dtype, rotate_in)
    (a, b), cos, sin = split(x.to(dtype), read), cos.to(dtype), sin.to(dtype)
    return (a * cos - b * sin).to(x.dtype), (b * cos + a * sin).to(x.dtype)


def _rotate_slice(
    x: Heads, cos: PerPair, sin: PerPair, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """The head is cut into slices of the rotated width, and one of them is rotated.

    It is selected by its index, as a concatenation would be compiled to a loop for each operand.
    """
    slices = x.unflatten(-1, (-1, 2 * cos.shape[-1]))
    index = torch.arange(slices.shape[-2], device=x.device)[:, None]
    is_rotated = index == channels.start // slices.shape[-1]
    rotated = _rotated(
        slices, cos.unsqueeze(-2), sin.unsqueeze(-2), channels.read_blocks, rotate_in
    )
    kept = split(slices, channels.write_blocks)
    a, b = (torch.where(is_rotated, *pair) for pair in zip(rotated, kept, strict=True))
    return join(a, b, channels.write_blocks).flatten(-2)


def compute_dtype(dtype: torch.dtype, rotate_in: RotateIn) -> torch.dtype:
    """The dtype in which a rotation of x of `dtype` is computed."""
    return dtype if rotate_in == "input" or dtype.itemsize > 4 else torch.float32


def as_pairs(x: Shaped[Tensor, "... C"], blocks: int) -> Shaped[Tensor, "... {blocks} 2 _"]:
    """A view of x with the two channels of a pair at index 0 and 1 of axis -2."""
    return x.unflatten(-1, (blocks, 2, x.shape[-1] // (2 * blocks)))


def split(
    x: Float[Tensor, "*tokens C"], blocks: int
) -> tuple[Float[Tensor, "*tokens C//2"], Float[Tensor, "*tokens C//2"]]:
    """The two channels of each pair."""
    if blocks == 1:
        a, b = x.chunk(2, dim=-1)
    else:
        a, b = (channel.flatten(-2) for channel in as_pairs(x, blocks).unbind(-2))
    return a, b


def join(
    a: Float[Tensor, "*tokens P"], b: Float[Tensor, "*tokens P"], blocks: int
) -> Float[Tensor, "*tokens 2*P"]:
    """The inverse of `split`."""
    if blocks == 1:
        return torch.cat([a, b], dim=-1)
    halves = [t.unflatten(-1, (blocks, t.shape[-1] // blocks)) for t in (a, b)]
    return torch.stack(halves, dim=-2).flatten(-3)
