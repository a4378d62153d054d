"""The rotation as an autograd function, so that its derivative is the rotation by the negative angle, bit for bit."""

from inspect import signature

import torch

from .eager import rotate_pairs_in_chunks
from .rotation import channels, inside, rotate_pairs


class Rotate(torch.autograd.Function):
    """`rotate_pairs`, bilinear in x and (cos, sin); of x nothing is kept for the backward pass. It has no forward mode.

    `layout` is `(start, read, write, rotate_in)`.
    """

    @staticmethod
    def forward(x, cos, sin, layout):
        chunked = x.device.type == "cpu" and not torch.compiler.is_compiling()
        return (rotate_pairs_in_chunks if chunked else rotate_pairs)(x, cos, sin, *layout)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, cos, sin, ctx.layout = inputs
        ctx.save_for_backward(x if cos.requires_grad or sin.requires_grad else None, cos, sin)

    @staticmethod
    def backward(ctx, *grads):
        """Rotation by the negative angle, from the written layout back to the one that was read."""
        x, cos, sin = ctx.saved_tensors
        start, read, write, rotate_in = ctx.layout
        dx = Rotate.apply(grads[0], cos, -sin, (start, write, read, rotate_in)) if ctx.needs_input_grad[0] else None
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
        return Rotate.apply(x, cos, sin, layout), 0


Rotate.forward.__signature__ = signature(Rotate.forward)  # torch asks for it in each call; to make it takes 16 us
