"""The rotation as an autograd function, whose derivative is the rotation by the negative angle."""

from collections.abc import Callable
from functools import reduce
from inspect import signature
from operator import add
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from rope_spec import RotateIn
from rope_spec.channels import Channels

from . import gpu
from .eager import rotate_pairs_in_chunks
from .rotation import Heads, PerPair, compute_dtype, rotate_pairs, split

Rotation = Callable[[Heads, PerPair, PerPair, Channels, RotateIn], Heads]


def rotate_differentiably(
    x: Heads, cos: PerPair, sin: PerPair, channels: Channels, rotate_in: RotateIn
) -> Heads:
    """The rotation in its fastest form, with the derivative where one is needed."""
    if x.ndim > cos.ndim:
        cos, sin = (t[(None,) * (x.ndim - t.ndim)] for t in (cos, sin))
    needs_grad = torch.is_grad_enabled() and any(t.requires_grad for t in (x, cos, sin))
    # up to this many numbers the cost of the calls outweighs the gain of chunks
    small = 2**18 if channels.read_blocks == channels.write_blocks == 1 else 2**14
    on_gpu = gpu.supports(x, cos, sin)
    if on_gpu and not needs_grad and not _is_transformed():
        return gpu.rotate_pairs_in_kernel(x, cos, sin, channels, rotate_in)
    if needs_grad or on_gpu or (_in_chunks(x) and x.numel() > small):
        function = Rotate if torch.compiler.is_compiling() else RotateWithForwardMode
        return function.apply(x, cos, sin, channels, rotate_in)  # pyright: ignore[reportReturnType]
    return rotate_pairs(x, cos, sin, channels, rotate_in)


def _is_transformed() -> bool:
    """Whether a transform of functorch, forward mode or a compiler is active.

    The autograd function has to be called then, even if nothing requires a gradient. torch has no
    public name for this. Should a later torch lack these names, return True: 30 us in each call.
    """
    functions = torch._C._are_functorch_transforms_active  # pyright: ignore
    return torch.compiler.is_compiling() or functions() or forward_ad._current_level >= 0


def _in_chunks(x: Heads) -> bool:
    """Whether x is a plain tensor on the CPU, and no compiler or tracer records operations."""
    if torch.compiler.is_compiling() or is_in_torch_dispatch_mode():
        return False
    if torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return False
    return x.device.type == "cpu" and type(x) in (Tensor, torch.nn.Parameter)


def _form(x: Heads, cos: PerPair, sin: PerPair) -> Rotation:
    """The kernel on a GPU, chunks on a CPU, else the formula; all with the same bits."""
    if gpu.supports(x, cos, sin):
        return gpu.rotate_pairs_in_kernel
    return rotate_pairs_in_chunks if _in_chunks(x) else rotate_pairs


class Rotate(torch.autograd.Function):
    """`rotate_pairs`; x is kept for the backward pass only if cos or sin needs a gradient."""

    @staticmethod
    def forward(
        x: Heads, cos: PerPair, sin: PerPair, channels: Channels, rotate_in: RotateIn
    ) -> Heads:
        return _form(x, cos, sin)(x, cos, sin, channels, rotate_in)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, cos, sin, ctx.channels, ctx.rotate_in = inputs
        ctx.save_for_backward(x if cos.requires_grad or sin.requires_grad else None, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Rotation by the negative angle, from the written layout back to the one that was read."""
        x, cos, sin = ctx.saved_tensors
        (dy,), channels, rotate_in = grads, ctx.channels, ctx.rotate_in
        dx = None
        if ctx.needs_input_grad[0]:
            dx = rotate_differentiably(dy, cos, -sin, channels.inverse, rotate_in)
        if x is None:
            return dx, None, None, None, None
        rotated, dtype = channels.rotated(cos.shape[-1]), compute_dtype(x.dtype, rotate_in)
        a, b = split(x[..., rotated].to(dtype), channels.read_blocks)
        da, db = split(dy[..., rotated].to(dtype), channels.write_blocks)
        products = da * a + db * b, db * a - da * b
        dcos, dsin = (_summed(t, cos.shape) for t in products)  # torch casts each to its table's
        return dx, dcos, dsin, None, None

    @staticmethod
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any,
        in_dims: tuple[Any, ...],
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        channels: Channels,
        rotate_in: RotateIn,
    ) -> tuple[Tensor, int]:
        """Put the mapped axis in front. Without one, x is repeated, and cos and sin broadcast."""
        dims = zip((x, cos, sin), in_dims[:3], strict=True)
        x, cos, sin = (t if dim is None else t.movedim(dim, 0) for t, dim in dims)
        x = x.expand(info.batch_size, *x.shape) if in_dims[0] is None else x
        return rotate_differentiably(x, cos, sin, channels, rotate_in), 0


class RotateWithForwardMode(Rotate):
    """`Rotate` with forward mode, which `torch.compile` does not support."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        Rotate.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:3])

    @staticmethod
    def jvp(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, dx: Tensor | None, dcos: Tensor | None, dsin: Tensor | None, *_: None
    ) -> Tensor:
        """The rotation itself for tangents of x, `rotate_pairs` for those of cos and sin."""
        x, cos, sin = ctx.saved_tensors
        channels, rotate_in = ctx.channels, ctx.rotate_in
        terms = [] if dx is None else [rotate_differentiably(dx, cos, sin, channels, rotate_in)]
        if dcos is not None or dsin is not None:
            dcos, dsin = _or_zeros(dcos, cos), _or_zeros(dsin, sin)
            rotated = channels.rotated(cos.shape[-1])  # a slice of this width is rotated whole
            dy = rotate_pairs(x[..., rotated], dcos, dsin, channels, rotate_in)
            padding = rotated.start, x.shape[-1] - rotated.stop
            terms.append(torch.nn.functional.pad(dy, padding))
        return reduce(add, terms)


def _summed(t: Tensor, shape: torch.Size) -> Tensor:
    """The sum over the axes that were broadcast.

    It is contiguous first, since torch adds in the order of the strides.
    """
    return t.contiguous().sum_to_size(shape)


def _or_zeros(tangent: Tensor | None, t: Tensor) -> Tensor:
    return torch.zeros_like(t) if tangent is None else tangent


# torch asks for the signature in each call, and computing it takes 16 us
Rotate.forward.__signature__ = signature(Rotate.forward)
