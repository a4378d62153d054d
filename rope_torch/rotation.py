"""The rotation as an autograd function, so that its derivative is the rotation by the negative angle, bit for bit."""

import torch
from jaxtyping import Float
from torch import Tensor

from rope_spec import RotateIn

Slice = Float[Tensor, "*batch 2*pairs"]  # the rotated channels of x
Half = Float[Tensor, "*#batch pairs"]  # cos or sin, broadcast against the pairs of x


def rotate_pairs(x: Slice, cos: Half, sin: Half, read: int, write: int, rotate_in: RotateIn) -> Slice:
    """`y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin`, where a pair lies across axis -2 of `(..., blocks, 2, m)`."""
    dtype = x.dtype if rotate_in == "input" else torch.promote_types(x.dtype, torch.float32)
    a, b = _split(x.to(dtype), read)
    cos, sin = cos.to(dtype), sin.to(dtype)
    y = torch.stack([_join(a * cos - b * sin, write), _join(b * cos + a * sin, write)], dim=-2)
    return y.to(x.dtype).reshape(x.shape)


def _split(x: Tensor, blocks: int) -> tuple[Tensor, Tensor]:
    """The two channels of each pair, `(..., P)` each."""
    a, b = x.unflatten(-1, (blocks, 2, x.shape[-1] // (2 * blocks))).unbind(-2)
    return a.flatten(-2), b.flatten(-2)


def _join(y: Tensor, blocks: int) -> Tensor:
    return y.unflatten(-1, (blocks, y.shape[-1] // blocks))


class Rotate(torch.autograd.Function):
    """`rotate_pairs`, bilinear in x and (cos, sin); of x nothing is kept for the backward pass. It has no forward mode."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, cos, sin, read, write, rotate_in):
        return rotate_pairs(x, cos, sin, read, write, rotate_in)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, cos, sin, *ctx.layout = inputs
        ctx.save_for_backward(x if cos.requires_grad or sin.requires_grad else None, cos, sin)

    @staticmethod
    def backward(ctx, *grads):
        """Rotation by the negative angle, from the written layout back to the one that was read."""
        x, cos, sin = ctx.saved_tensors
        read, write, rotate_in = ctx.layout
        dx = Rotate.apply(grads[0], cos, -sin, write, read, rotate_in) if ctx.needs_input_grad[0] else None
        tables = (None, None)
        if x is not None:
            with torch.enable_grad():
                c, s = cos.detach().requires_grad_(), sin.detach().requires_grad_()
                tables = torch.autograd.grad(rotate_pairs(x, c, s, read, write, rotate_in), (c, s), grads[0])
        return dx, *tables, None, None, None
