"""Exact cos and sin at real coordinates in PyTorch, and their derivative.

A float32 is a whole number times a power of two, so that its phase is the integer of
`rope_spec.phase`. A product of the signed 24-bit mantissa and 96 bits of turns has three words: two
of 32 bits, and one with the sign in an int64.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from rope_spec import RopeSpec

from .phase import constants, phase_cos_sin, turns_tensor

Coordinates = Float32[Tensor, "*rows #P"]
Table = tuple[Float32[Tensor, "*rows P"], Float32[Tensor, "*rows P"]]  # cos and sin
LARGEST = 157  # the biased exponent of numbers below 2 ** 31
WORD = 2**32 - 1


def cos_sin_at(spec: RopeSpec, coordinates: Coordinates) -> Table:
    """cos and sin, as `rope_spec.cos_sin` has them; NaN from 2 ** 31 on, and where not finite.

    The derivative is that of the functions: `-inv_freq sin` and `inv_freq cos`, in float32.
    """
    turns, inv_freq, factor, whole = constants(spec, None)
    device = coordinates.device
    integers = (turns_tensor(numbers, device) for numbers in (turns, whole))
    w = torch.tensor(inv_freq, dtype=torch.float32, device=device)
    function = CosSin if torch.compiler.is_compiling() else CosSinWithForwardMode
    rows = coordinates.expand(*coordinates.shape[:-1], len(turns))
    return function.apply(rows, *integers, w, factor)  # pyright: ignore[reportReturnType]


def _phase(
    coordinates: Float32[Tensor, "*rows P"], turns: Int64[Tensor, " P"], whole: Int64[Tensor, " P"]
) -> tuple[Int64[Tensor, "*rows P"], Bool[Tensor, "*rows P"]]:
    """`floor(x turns / 2 ** 32 + 1 / 2)` modulo a turn, and whether x is finite and in range.

    With `x = m 2 ** (31 - shift)` for a mantissa m this is `floor(m turns / 2 ** shift)`, plus 1,
    halved: 33 bits of the product from bit `shift` on. Zero and subnormals get the leading bit that
    they lack: that adds 2 ** -126, which turns by less than 2 ** -63 of a unit, and rounds to 0.
    """
    bits = coordinates.view(torch.int32).long()
    exponent, negative = (bits >> 23) & 0xFF, bits >> 31
    mantissa = (bits & 0x7FFFFF) | 0x800000
    m = (mantissa ^ negative) - negative
    low = m * (turns & WORD)
    middle = m * ((turns >> 32) & WORD) + (low >> 32)
    high = m * whole + (middle >> 32)
    shift = 181 - exponent.clamp(max=LARGEST)
    first = ((middle << 32) | (low & WORD)) >> shift.clamp(max=31)
    second = ((high << 32) | (middle & WORD)) >> (shift - 32).clamp(0, 31)
    third = high >> (shift - 64).clamp(0, 63)
    shifted = torch.where(shift < 32, first, torch.where(shift < 64, second, third))
    return (shifted + 1) >> 1, exponent <= LARGEST


class CosSin(torch.autograd.Function):
    """cos and sin at coordinates `(..., S, P)`, with their derivative: the phase is integers."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        coordinates: Tensor, turns: Tensor, whole: Tensor, inv_freq: Tensor, factor: float
    ) -> tuple[Tensor, Tensor]:
        phase, is_inside = _phase(coordinates, turns, whole)
        cos, sin = phase_cos_sin(phase, factor)
        return cos.where(is_inside, torch.nan), sin.where(is_inside, torch.nan)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output, inputs[3])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin, inv_freq = ctx.saved_tensors
        dcos, dsin = grads
        return (dsin * cos - dcos * sin) * inv_freq, None, None, None, None


class CosSinWithForwardMode(CosSin):
    """`CosSin` with forward mode, which `torch.compile` does not support."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        CosSin.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*output, inputs[3])

    @staticmethod
    def jvp(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, dx: Tensor, *_: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        cos, sin, inv_freq = ctx.saved_tensors
        return -sin * (dx * inv_freq), cos * (dx * inv_freq)
