"""A trial finds out whether torch's product of complex64 has the bits of the formula."""

import os
from functools import lru_cache
from math import inf, nan

import torch
from torch import Tensor

from rope_spec.channels import HALVES

from .rotation import rotate_pairs

MemoryLayout = tuple[tuple[int, ...], tuple[int, ...], int]  # shape, stride, address modulo 64

# x_a, x_b, cos, sin; a product that is computed in another way has other bits for these
ROUNDING = (0.855, -0.055, 0.791, -0.081)  # fused multiply-adds of either product, or one rounding
SPECIAL = (
    (1.0, 1.0, nan, inf),  # C's complex product, which makes an infinity of two NaNs
    (1.0, 1.0, 1.0, 1.0),  # -(b sin - a cos), which is -0 where a cos - b sin is +0
)
IS_DYNAMIC = os.environ.get("OMP_DYNAMIC", "false").lower() != "false"
THREADS_VARY = IS_DYNAMIC or "OMP_THREAD_LIMIT" in os.environ  # OpenMP may give fewer


def has_bits_of_formula(x: Tensor, rotation: Tensor, y: Tensor) -> bool:
    """Whether `torch.mul(x, rotation, out=y)` of complex64 has the bits of the formula everywhere.

    Elements at the end of a thread's share that fill no vector may be computed by fused
    multiply-adds, so that it depends on how torch divides arrays among threads. A trial tells. It
    multiplies numbers whose product would differ, in arrays with the same place in memory as these,
    by as many threads, and compares each element. The answer is a fact about the machine, and is
    cached. If the number of threads may change from call to call, the answer is no.
    """
    x_at, rotation_at, y_at = x.data_ptr(), rotation.data_ptr(), y.data_ptr()
    return not THREADS_VARY and _trial(
        torch.get_num_threads(),
        x_at == y_at,
        (x.shape, x.stride(), x_at % 64),
        (rotation.shape, rotation.stride(), rotation_at % 64),
        (y.shape, y.stride(), y_at % 64),
    )


@lru_cache(maxsize=2**12)
def _trial(threads: int, in_place: bool, *layouts: MemoryLayout) -> bool:
    """Whether the rounding agrees in all elements, and special numbers do in the first ones."""
    if any(address % 8 for _, _, address in layouts):
        return False
    x, rotation, y = (_array_like(*layout) for layout in layouts)
    operands = x, rotation, x if in_place else y
    # the first 65536 elements or so
    first = [t[: 1 + 2**16 // x[0].numel()] for t in operands]
    return _agrees(ROUNDING, *operands) and all(_agrees(probe, *first) for probe in SPECIAL)


def _agrees(probe: tuple[float, ...], x: Tensor, rotation: Tensor, y: Tensor) -> bool:
    """Whether every element of the product is that of the formula; a NaN is a NaN."""
    pair, cos, sin = torch.tensor(probe, dtype=torch.float32, device="cpu").split((2, 1, 1))
    x.fill_(torch.view_as_complex(pair))
    rotation.fill_(torch.complex(cos, sin)[0])
    torch.mul(x, rotation, out=y)
    expected = rotate_pairs(pair, cos, sin, HALVES, "float32")
    if expected.isnan().all():
        return bool(torch.view_as_real(y).isnan().all())
    return torch.equal(y.view(torch.int64), expected.view(torch.int64).expand(y.shape))


def _array_like(shape: tuple[int, ...], stride: tuple[int, ...], address: int) -> Tensor:
    """An array of this shape and stride, whose address is the same modulo 64, a vector's bytes."""
    span = 1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    memory = torch.empty(span + 8, dtype=torch.complex64, device="cpu")
    return memory.as_strided(shape, stride, (address - memory.data_ptr()) // 8 % 8)
