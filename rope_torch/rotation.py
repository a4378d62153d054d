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


def rotate(x: Slice, cos: Half, sin: Half, read: int, write: int, rotate_in: RotateIn) -> Slice:
    """`rotate_pairs` with its own derivative, in forward mode too except under `torch.compile`, which cannot trace it."""
    function = Rotate if torch.compiler.is_compiling() else RotateInBothModes
    return function.apply(x, cos, sin, read, write, rotate_in)  # pyright: ignore[reportReturnType]


class Rotate(torch.autograd.Function):
    """`rotate_pairs`, bilinear in x and (cos, sin)."""

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
        dx = rotate(grads[0], cos, -sin, write, read, rotate_in) if ctx.needs_input_grad[0] else None
        tables = (None, None)
        if x is not None:
            with torch.enable_grad():
                c, s = cos.detach().requires_grad_(), sin.detach().requires_grad_()
                tables = torch.autograd.grad(rotate_pairs(x, c, s, read, write, rotate_in), (c, s), grads[0])
        return dx, *tables, None, None, None


class RotateInBothModes(Rotate):
    """`Rotate` with forward-mode differentiation."""

    @staticmethod
    def setup_context(ctx, inputs, output):
        Rotate.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:3])

    @staticmethod
    def jvp(ctx, dx, dcos, dsin, *_):
        x, cos, sin = ctx.saved_tensors
        read, write, rotate_in = ctx.layout
        terms = [rotate(dx, cos, sin, read, write, rotate_in)] if dx is not None else []
        if dcos is not None or dsin is not None:
            dcos, dsin = (torch.zeros_like(cos) if d is None else d for d in (dcos, dsin))
            terms.append(rotate_pairs(x, dcos, dsin, read, write, rotate_in))
        return sum(terms[1:], terms[0])
