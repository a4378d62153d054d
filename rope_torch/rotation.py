"""The rotation as an autograd function, so that its derivative is the rotation by the negative angle, bit for bit."""

import platform
from collections.abc import Callable
from functools import partial
from inspect import signature
from itertools import repeat

import torch
from jaxtyping import Float
from torch import Tensor

from rope_spec import RotateIn

CHUNK = 2**21  # bytes of x that are worked on at once: with what lies between they stay in cache
Heads = Float[Tensor, "*batch head_dim"]
Half = Float[Tensor, "*#batch pairs"]  # cos or sin, broadcast against the pairs of x


def rotate_pairs(x: Heads, cos: Half, sin: Half, start: int, read: int, write: int, rotate_in: RotateIn) -> Heads:
    """`y_a = x_a cos - x_b sin`, `y_b = x_b cos + x_a sin` for the pairs from channel `start` on; the other channels stay.

    A pair lies across axis -2 of `(..., blocks, 2, m)`, where `read` and `write` are the numbers of blocks.
    """
    width, end = 2 * cos.shape[-1], start + 2 * cos.shape[-1]
    if x.shape[-1] == width:
        a, b = _rotated(x, cos, sin, read, rotate_in)
        return _join(a, b, write)
    if torch.compiler.is_compiling() and x.shape[-1] % width == start % width == 0:
        return _rotate_slice(x, cos, sin, start, read, write, rotate_in)
    y = rotate_pairs(x[..., start:end], cos, sin, 0, read, write, rotate_in)
    return torch.cat([x[..., :start], y, x[..., end:]], dim=-1)


def _rotated(x: Heads, cos: Half, sin: Half, read: int, rotate_in: RotateIn) -> tuple[Tensor, Tensor]:
    """The two channels of each pair, `(..., P)` each."""
    dtype = _inside(x.dtype, rotate_in)
    (a, b), cos, sin = _channels(x.to(dtype), read), cos.to(dtype), sin.to(dtype)
    return (a * cos - b * sin).to(x.dtype), (b * cos + a * sin).to(x.dtype)


def _rotate_slice(x: Heads, cos: Half, sin: Half, start: int, read: int, write: int, rotate_in: RotateIn) -> Heads:
    """One of several slices of the same width, chosen by index: a concatenation is compiled to a loop for each operand."""
    slices = x.unflatten(-1, (-1, 2 * cos.shape[-1]))
    chosen = torch.arange(slices.shape[-2], device=x.device) == start // slices.shape[-1]
    rotated = _rotated(slices, cos.unsqueeze(-2), sin.unsqueeze(-2), read, rotate_in)
    a, b = (torch.where(chosen[:, None], *pair) for pair in zip(rotated, _channels(slices, write), strict=True))
    return _join(a, b, write).flatten(-2)


def rotate_pairs_in_chunks(x: Heads, cos: Half, sin: Half, start: int, read: int, write: int, rotate_in: RotateIn) -> Heads:
    """The same bits, for a CPU without a compiler: few passes, over chunks that stay in its cache."""
    end, dtype = start + 2 * cos.shape[-1], _inside(x.dtype, rotate_in)
    x = x if x.stride(-1) == 1 else x.contiguous()
    result, cos, sin = torch.empty_like(x), cos.to(dtype), sin.to(dtype)
    if x.numel() == 0:
        return result
    y = result
    if end - start < x.shape[-1]:
        y, x = result.copy_(x)[..., start:end], x[..., start:end]
    if cos.shape[-1] in (read, write) and dtype == torch.float32:
        turn = partial(_turn, read=read, write=write)
        if read == write and x.dtype == dtype:  # nothing between x and y that a cache could keep
            turn(y, x, torch.complex(cos, sin))
        else:
            _in_chunks(turn, y, x, torch.complex(cos, sin))
    elif read == write and dtype.itemsize == 2:
        _in_chunks(partial(_swap_first, blocks=read), y, x, _join(cos, cos, read), _join(-sin, sin, read))
    elif read == write:
        swap = partial(_swap, blocks=read, across=torch.empty(0, dtype=dtype))
        _in_chunks(swap, y, x, _join(cos, cos, read), _join(sin, sin, read))
    else:
        plain = partial(rotate_pairs, start=0, read=read, write=write, rotate_in=rotate_in)
        _in_chunks(lambda y, x, cos, sin: y.copy_(plain(x, cos, sin)), y, x, cos, sin)
    return result


def _swap(y: Tensor, x: Tensor, cos: Tensor, sin: Tensor, blocks: int, across: Tensor) -> None:
    """Both products with contiguous operands; then the second one, taken crosswise, is added to the first.

    The memory of `across` is that of the chunk before: it is in cache.
    """
    x = x.to(cos.dtype)
    across = torch.mul(x, sin, out=across.resize_(0))
    result = torch.mul(x, cos, out=y) if y.dtype == x.dtype else x.mul_(cos)  # then x is a copy
    (a, b), (sin_a, sin_b) = (_pairs(t, blocks).unbind(-2) for t in (result, across))
    a.sub_(sin_b)
    b.add_(sin_a)
    if result is not y:
        y.copy_(result)


def _swap_first(y: Tensor, x: Tensor, cos: Tensor, sin: Tensor, blocks: int) -> None:
    """The same in 16 bits, where a copy is cheap and strides are not: the channels are exchanged before the product.

    Here sin is `(-sin, sin)`: adding a negative number has the bits of subtracting.
    """
    torch.mul(x, cos, out=y)
    other = _exchanged(x) if 2 * blocks == x.shape[-1] else _pairs(x, blocks).roll(1, -2).flatten(-3)
    y.add_(other.mul_(sin))


def _exchanged(x: Tensor) -> Tensor:
    """Interleaved channels of 16 bits with the two of each pair exchanged, as integers of twice the width."""
    both = x.contiguous().view(torch.int32)
    return (both.bitwise_right_shift(16).bitwise_and_(2**16 - 1).bitwise_or_(both << 16)).view(x.dtype)


def _turn(y: Tensor, x: Tensor, turn: Tensor, read: int, write: int) -> None:
    """As complex numbers of float32, `(x_a + i x_b) (cos + i sin)`, where torch rounds as we do."""
    wide, copied = x.float(), x.dtype != torch.float32
    z = _as_complex(wide, read) if 2 * read == x.shape[-1] else torch.complex(*_channels(wide, read))
    if z is None or not _rounds_each_product(z):
        y.copy_(rotate_pairs(wide, turn.real, turn.imag, 0, read, write, "float32"))
    elif copied and read == write:
        z.mul_(turn)  # z is a view of the copy
        y.copy_(wide)
    elif not copied and (into := _as_complex(y, write)) is not None:
        torch.mul(z, turn, out=into)
    else:
        result = torch.view_as_real(z.mul_(turn) if copied else z * turn).flatten(-2)
        if 2 * write == y.shape[-1]:
            y.copy_(result)
        else:
            _separate(y, result.to(y.dtype), write)


def _separate(y: Tensor, x: Tensor, blocks: int) -> None:
    """Interleaved channels to others, as integers of twice the width, and x is spent: torch copies strided numbers singly."""
    one, two = {2: (torch.int16, torch.int32), 4: (torch.int32, torch.int64)}[x.dtype.itemsize]
    both = x.view(two).unflatten(-1, (blocks, -1))
    a, b = _pairs(y.view(one), blocks).unbind(-2)
    a.copy_(both)  # the lower half
    b.copy_(both.bitwise_right_shift_(8 * x.dtype.itemsize))


def _inside(dtype: torch.dtype, rotate_in: RotateIn) -> torch.dtype:
    return dtype if rotate_in == "input" else torch.promote_types(dtype, torch.float32)


def _pairs(x: Tensor, blocks: int) -> Tensor:
    return x.unflatten(-1, (blocks, 2, x.shape[-1] // (2 * blocks)))


def _channels(x: Tensor, blocks: int) -> tuple[Tensor, Tensor]:
    """The two channels of each pair, `(..., P)` each."""
    a, b = (channel.flatten(-2) for channel in _pairs(x, blocks).unbind(-2))
    return a, b


def _join(a: Tensor, b: Tensor, blocks: int) -> Tensor:
    return torch.stack([t.unflatten(-1, (blocks, t.shape[-1] // blocks)) for t in (a, b)], dim=-2).flatten(-3)


def _as_complex(x: Tensor, blocks: int) -> Tensor | None:
    """Interleaved channels as they lie, `x_a + i x_b`; None for others, and where their addresses are odd."""
    if 2 * blocks != x.shape[-1] or any(n % 2 for n in (*x.stride()[:-1], x.storage_offset())):
        return None
    return torch.view_as_complex(x.unflatten(-1, (blocks, 2)))


def _rounds_each_product(z: Tensor) -> bool:
    """Whether the complex product has the bits of two products and a sum of them.

    On x86 torch's vector loop has, over 16 numbers at a time, but what is left over is contracted to fused multiply-adds: so
    the share of each thread has to be a multiple of 16, rows of any stride too.
    """
    threads = min(torch.get_num_threads(), -(-z.numel() // 32768))
    return platform.machine() in ("x86_64", "AMD64") and z.shape[-1] % 16 == 0 and z.numel() % (16 * max(threads, 1)) == 0


def _in_chunks(work: Callable[..., object], y: Tensor, x: Tensor, *tables: Tensor) -> None:
    """Calls `work` with slices of x, of at most `CHUNK` bytes in the dtype of the tables, and of tables that are as long."""
    size = x.numel() * tables[0].dtype.to_real().itemsize
    axis = next((axis for axis in range(-x.ndim, -1) if x.shape[axis] > 1), -1)
    if size <= CHUNK or axis == -1:
        work(y, x, *tables)
        return
    length = max(1, x.shape[axis] * CHUNK // size)
    slices = [t.split(length, axis) if -axis <= t.ndim and t.shape[axis] > 1 else repeat(t) for t in (y, x, *tables)]
    for parts in zip(*slices, strict=False):
        _in_chunks(work, *parts)


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
        rotated, dtype = slice(start, start + 2 * cos.shape[-1]), _inside(x.dtype, rotate_in)
        a, b = _channels(x[..., rotated].to(dtype), read)
        da, db = _channels(grads[0][..., rotated].to(dtype), write)
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
