"""Exact cos and sin in PyTorch: the integers of `rope_spec.phase`, in int64.

Frequencies that depend on the current length, as functions of a tensor: no host round trip, no recompilation.

LongRoPE chooses between two sets of exact phases and stays exact. Dynamic NTK computes its frequencies in float32: for a
stretch s of the context by a factor f, their relative error is at most (2 f + ln s + 8) 2 ** -24, and cos and sin err by that
times the angle. A length that is a Python int is exact.
"""

import torch
from jaxtyping import Float32, Int64, Integer
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
    positions: Integer[Tensor, "*batch pairs"], turns: Int64[Tensor, " pairs"]
) -> Int64[Tensor, "*batch pairs"]:
    """The phase `round(position * turns / 2 ** 32)`, modulo a turn, in units of 2 ** -32 turns; int64 products wrap."""
    return (positions.long() * turns + 2**31) >> 32


def phase_cos_sin(
    phase: Int64[Tensor, "*batch pairs"], attention_factor: float = 1.0
) -> tuple[Float32[Tensor, "*batch pairs"], Float32[Tensor, "*batch pairs"]]:
    """float32 cos and sin of a phase, times the attention factor: the integers of `rope_spec.phase`."""
    cos, sin, scale = integer_cos_sin(phase, attention_factor)
    return cos.float() * scale, sin.float() * scale


def turns_at(spec: RopeSpec, seq_len: Integer[Tensor, "*batch"]) -> Int64[Tensor, "*batch 1 pairs"]:
    """The turns of LongRoPE at each length."""
    return _chosen(spec, seq_len, 0)


def inv_freq_at(
    spec: RopeSpec, seq_len: Integer[Tensor, "*batch"]
) -> Float32[Tensor, "*batch 1 pairs"]:
    """float32 inverse frequencies at each length, of either rule."""
    if not isinstance(spec.rule, DynamicNTK):
        return _chosen(spec, seq_len, 1)
    longest, factor = spec.rule.max_position_embeddings, spec.rule.factor
    dim, rung = (
        spec.pairs.ladder_dim,
        torch.tensor(spec.pairs.rung, dtype=torch.float32, device=seq_len.device),
    )
    stretch = factor * (seq_len[..., None, None].clamp(min=longest).float() / longest) - (
        factor - 1
    )
    inv_freq = torch.tensor(constants(spec, None)[1], dtype=torch.float32, device=seq_len.device)
    return inv_freq * stretch ** (-2 * rung / (dim - 2))


def _chosen(spec: RopeSpec, seq_len: Tensor, which: int) -> Tensor:
    """One of the constants of LongRoPE's short or long set, by the length of each row of the batch."""
    assert isinstance(spec.rule, LongRope)
    original = spec.rule.original_max_position_embeddings
    dtype = (torch.int64, torch.float32)[which]
    short, long = (
        torch.tensor(constants(spec, n)[which], dtype=dtype, device=seq_len.device)
        for n in (None, original + 1)
    )
    return torch.where(seq_len[..., None, None] > original, long, short)
