"""The rotation as an autograd function, so that its derivative is the rotation by the negative angle, bit for bit."""

from inspect import signature

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from rope_spec import RotateIn
from rope_spec.channels import Channels

from .eager import rotate_pairs_in_chunks
from .rotation import Half, Heads, inside, rotate_pairs, split


def apply(x: Heads, cos: Half, sin: Half, channels: Channels, rotate_in: RotateIn) -> Heads:
    """`rotate_pairs`, as an autograd function for a gradient, or if chunks gain more than it costs."""
    if x.ndim > cos.ndim:
        cos, sin = (t[(None,) * (x.ndim - t.ndim)] for t in (cos, sin))
    needs_grad = torch.is_grad_enabled() and any(t.requires_grad for t in (x, cos, sin))
    small = (
        2**18 if channels.read == channels.write == 1 else 2**14
    )  # numbers, whose time is that of so many calls
    if needs_grad or (_in_chunks(x) and x.numel() > small):
        function = Rotate if torch.compiler.is_compiling() else RotateInBothModes
        return function.apply(x, cos, sin, channels, rotate_in)  # pyright: ignore[reportReturnType]
    return rotate_pairs(x, cos, sin, channels, rotate_in)


def _in_chunks(x: Heads) -> bool:
    """Whether x is a plain tensor on the CPU, and nobody records operations, as a tracer does."""
    if torch.compiler.is_compiling() or is_in_torch_dispatch_mode():
        return False
    if torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return False
    return x.device.type == "cpu" and type(x) in (Tensor, torch.nn.Parameter)


class Rotate(torch.autograd.Function):
    """`rotate_pairs`, bilinear in x and (cos, sin); of x nothing is kept for the backward pass."""

    @staticmethod
    def forward(x, cos, sin, channels, rotate_in):
        form = rotate_pairs_in_chunks if _in_chunks(x) else rotate_pairs
        return form(x, cos, sin, channels, rotate_in)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, cos, sin, ctx.channels, ctx.rotate_in = inputs
        ctx.save_for_backward(x if cos.requires_grad or sin.requires_grad else None, cos, sin)

    @staticmethod
    def backward(ctx, *grads):
        """Rotation by the negative angle, from the written layout back to the one that was read."""
        x, cos, sin = ctx.saved_tensors
        (dy,), channels, rotate_in = grads, ctx.channels, ctx.rotate_in
        dx = None
        if ctx.needs_input_grad[0]:
            dx = apply(dy, cos, -sin, channels.inverse, rotate_in)
        if x is None:
            return dx, None, None, None, None
        rotated, dtype = channels.rotated(cos.shape[-1]), inside(x.dtype, rotate_in)
        a, b = split(x[..., rotated].to(dtype), channels.read)
        da, db = split(dy[..., rotated].to(dtype), channels.write)
        products = da * a + db * b, db * a - da * b
        dcos, dsin = (_summed(t, cos.shape).to(cos.dtype) for t in products)
        return dx, dcos, dsin, None, None

    @staticmethod
    def vmap(info, in_dims, x, cos, sin, channels, rotate_in):
        """The mapped axis in front; cos and sin broadcast over it where they have none, x is repeated."""
        dims = zip((x, cos, sin), in_dims[:3], strict=True)
        x, cos, sin = (t if dim is None else t.movedim(dim, 0) for t, dim in dims)
        x = x.expand(info.batch_size, *x.shape) if in_dims[0] is None else x
        return apply(x, cos, sin, channels, rotate_in), 0


class RotateInBothModes(Rotate):
    """With forward mode, which `torch.compile` does not take."""

    @staticmethod
    def setup_context(ctx, inputs, output):
        Rotate.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:3])

    @staticmethod
    def jvp(ctx, dx, dcos, dsin, *_):
        """Linear in x by the rotation itself; in cos and sin, should anyone learn them, by plain operations."""
        x, cos, sin = ctx.saved_tensors
        channels, rotate_in = ctx.channels, ctx.rotate_in
        terms = [] if dx is None else [apply(dx, cos, sin, channels, rotate_in)]
        if dcos is not None or dsin is not None:
            dcos, dsin = _or_zeros(dcos, cos), _or_zeros(dsin, sin)
            rotated = channels.rotated(cos.shape[-1])
            whole = channels._replace(start=0)
            dy = rotate_pairs(x[..., rotated], dcos, dsin, whole, rotate_in)
            padding = rotated.start, x.shape[-1] - rotated.stop
            terms.append(torch.nn.functional.pad(dy, padding))
        return sum(terms[1:], terms[0])


def _summed(t: Tensor, shape: torch.Size) -> Tensor:
    """The sum over the axes that are broadcast; contiguous, as the order of a sum follows strides."""
    return t.contiguous().sum_to_size(shape)


def _or_zeros(tangent: Tensor | None, t: Tensor) -> Tensor:
    return torch.zeros_like(t) if tangent is None else tangent


Rotate.forward.__signature__ = signature(
    Rotate.forward
)  # torch asks for it in each call; to make it takes 16 us
