"""Exact cos and sin in PyTorch: the integers of `rope_spec.phase`, in int64.

Where the frequencies depend on the current length, this may be a tensor: there is no host round
trip and no recompilation. LongRoPE then chooses between two sets of exact phases and stays exact.
Dynamic NTK computes its frequencies in float32: for a context that is stretched s-fold under a
factor f, their relative error is at most (2 f + ln s + 8) 2 ** -24, and the error of cos and sin is
that times the angle. With a length that is a Python int both rules are exact.
"""

import torch
from jaxtyping import Float32, Int64, Integer, Shaped
from torch import Tensor

from rope_spec import DynamicNTK, LongRope, RopeSpec, inverse_frequencies
from rope_spec.phase import integer_cos_sin


@torch.compiler.assume_constant_result  # Decimal arithmetic, which torch.compile cannot trace
def constants(spec: RopeSpec, seq_len: int | None) -> tuple[list[int], list[float], float]:
    """Turns, float32 inverse frequencies, and the attention factor, at a length."""
    frequencies = inverse_frequencies(spec, seq_len)
    return (
        frequencies.turns.tolist(),
        frequencies.inv_freq_float32.tolist(),
        frequencies.attention_factor,
    )


def phase_of(
    positions: Integer[Tensor, "*#rows #P"], turns: Int64[Tensor, "*#rows P"]
) -> Int64[Tensor, "*rows P"]:
    """The phase `round(position * turns / 2 ** 32)`, modulo a turn, in units of 2 ** -32 turns.

    The product of int64 wraps, which drops whole turns.
    """
    return (positions.long() * turns + 2**31) >> 32


def phase_cos_sin(
    phase: Int64[Tensor, "*rows P"], attention_factor: float = 1.0
) -> tuple[Float32[Tensor, "*rows P"], Float32[Tensor, "*rows P"]]:
    """float32 cos and sin of a phase, times the attention factor, as in `rope_spec.phase`."""
    cos, sin, scale = integer_cos_sin(phase, attention_factor)
    return cos.float() * scale, sin.float() * scale


def turns_at(spec: RopeSpec, seq_len: Int64[Tensor, "*batch"]) -> Int64[Tensor, "*batch 1 P"]:
    """The turns of LongRoPE at each length."""
    return _by_length(spec, seq_len, 0)


def inv_freq_at(spec: RopeSpec, seq_len: Int64[Tensor, "*batch"]) -> Float32[Tensor, "*batch 1 P"]:
    """float32 inverse frequencies of dynamic NTK or LongRoPE at each length."""
    if not isinstance(spec.rule, DynamicNTK):
        return _by_length(spec, seq_len, 1)
    original, factor, device = spec.rule.max_position_embeddings, spec.rule.factor, seq_len.device
    dim, rung = spec.pairs.ladder_dim, torch.tensor(spec.pairs.rung, device=device).float()
    length = seq_len[..., None, None].clamp(min=original).float()
    stretch = factor * (length / original) - (factor - 1)
    inv_freq = torch.tensor(constants(spec, None)[1], dtype=torch.float32, device=device)
    return inv_freq * stretch ** (-2 * rung / (dim - 2))


def _by_length(
    spec: RopeSpec, seq_len: Int64[Tensor, "*batch"], which: int
) -> Shaped[Tensor, "*batch 1 P"]:
    """`constants(...)[which]` of LongRoPE's short or long set, by the length of each row."""
    assert isinstance(spec.rule, LongRope)
    original = spec.rule.original_max_position_embeddings
    dtype = (torch.int64, torch.float32)[which]
    short, long = (
        torch.tensor(constants(spec, length)[which], dtype=dtype, device=seq_len.device)
        for length in (None, original + 1)
    )
    return torch.where(seq_len[..., None, None] > original, long, short)
