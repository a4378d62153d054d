"""The rotation as an autograd function, so that its derivative is the rotation by the negative angle, bit for bit."""

from inspect import signature

import torch
from torch import Tensor

from rope_spec import RotateIn

from .eager import rotate_pairs_in_chunks
from .rotation import Half, Heads, channels, inside, rotate_pairs


def apply(x: Heads, cos: Half, sin: Half, start: int, read: int, write: int, rotate_in: RotateIn) -> Heads:
    """`rotate_pairs`, as an autograd function where somebody learns, or where chunks gain more than the call of one costs."""
    learns = torch.is_grad_enabled() and (x.requires_grad or cos.requires_grad or sin.requires_grad)
    few = 2**18 if read == write == 1 else 2**14  # numbers, up to which the time is that of the number of operations
    if learns or (_in_chunks(x) and x.numel() > few):
        function = Rotate if torch.compiler.is_compiling() else RotateInBothModes
        return function.apply(x, cos, sin, (start, read, write, rotate_in))  # pyright: ignore[reportReturnType]
    return rotate_pairs(x, cos, sin, start, read, write, rotate_in)


def _in_chunks(x: Heads) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


class Rotate(torch.autograd.Function):
    """`rotate_pairs`, bilinear in x and (cos, sin); of x nothing is kept for the backward pass.

    `layout` is `(start, read, write, rotate_in)`.
    """

    @staticmethod
    def forward(x, cos, sin, layout):
        return (rotate_pairs_in_chunks if _in_chunks(x) else rotate_pairs)(x, cos, sin, *layout)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, cos, sin, ctx.layout = inputs
        ctx.save_for_backward(x if cos.requires_grad or sin.requires_grad else None, cos, sin)

    @staticmethod
    def backward(ctx, *grads):
        """Rotation by the negative angle, from the written layout back to the one that was read."""
        x, cos, sin = ctx.saved_tensors
        start, read, write, rotate_in = ctx.layout
        dx = apply(grads[0], cos, -sin, start, write, read, rotate_in) if ctx.needs_input_grad[0] else None
        if x is None:
            return dx, None, None, None
        rotated, dtype = slice(start, start + 2 * cos.shape[-1]), inside(x.dtype, rotate_in)
        a, b = channels(x[..., rotated].to(dtype), read)
        da, db = channels(grads[0][..., rotated].to(dtype), write)
        dcos, dsin = (t.sum_to_size(cos.shape).to(cos.dtype) for t in (da * a + db * b, db * a - da * b))
        return dx, dcos, dsin, None

    @staticmethod
    def vmap(info, in_dims, x, cos, sin, layout):
        """The mapped axis in front; cos and sin broadcast over it where they have none, x is repeated."""
        dims = zip((x, cos, sin), in_dims[:3], strict=True)
        x, cos, sin = (t if dim is None else t.movedim(dim, 0) for t, dim in dims)
        x = x.expand(info.batch_size, *x.shape) if in_dims[0] is None else x
        return apply(x, cos, sin, *layout), 0


class RotateInBothModes(Rotate):
    """With forward mode, which `torch.compile` does not take."""

    @staticmethod
    def setup_context(ctx, inputs, output):
        Rotate.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:3])

    @staticmethod
    def jvp(ctx, dx, dcos, dsin, _):
        """Linear in x by the rotation itself; in cos and sin, should anyone learn them, by plain operations."""
        x, cos, sin = ctx.saved_tensors
        start, read, write, rotate_in = ctx.layout
        terms = [] if dx is None else [apply(dx, cos, sin, *ctx.layout)]
        if dcos is not None or dsin is not None:
            dcos, dsin, end = _or_zeros(dcos, cos), _or_zeros(dsin, sin), start + 2 * cos.shape[-1]
            dy = rotate_pairs(x[..., start:end], dcos, dsin, 0, read, write, rotate_in)
            terms.append(torch.nn.functional.pad(dy, (start, x.shape[-1] - end)))
        return sum(terms[1:], terms[0])


def _or_zeros(tangent: Tensor | None, t: Tensor) -> Tensor:
    return torch.zeros_like(t) if tangent is None else tangent


Rotate.forward.__signature__ = signature(Rotate.forward)  # torch asks for it in each call; to make it takes 16 us
