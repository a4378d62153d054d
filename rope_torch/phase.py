"""Exact cos and sin in PyTorch: the integers of `rope_spec.phase`, in int64.

If the frequencies depend on the current length, the length may be a tensor: no host round trip, no
recompilation. LongRoPE then chooses between two sets of turns and stays exact. Dynamic NTK is
exact within the original context. Beyond it the frequencies are computed in float32: for a
context that is stretched s-fold under a factor f, their relative error is at most
(2 f + ln s + 8) 2 ** -24, and the error of cos and sin is that times the angle. With a length that
is a Python int both rules are exact.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64, Integer
from torch import Tensor

from rope_spec import DynamicNTK, Pairs, RopeSpec, inverse_frequencies
from rope_spec.phase import integer_cos_sin


class LengthFrequencies(NamedTuple):
    """The frequencies of each pair at a length, or at the length of each row: `(..., 1, P)`."""

    turns: Int64[Tensor, "... P"]
    inv_freq: Float32[Tensor, "... P"]


class Constants(NamedTuple):
    """The numbers of `inverse_frequencies`, as Python's."""

    turns: list[int]
    inv_freq: list[float]
    attention_factor: float
    whole_turns: list[int]


@torch.compiler.assume_constant_result  # Decimal arithmetic, which torch.compile cannot trace
def constants(spec: RopeSpec, seq_len: int | None) -> Constants:
    """The numbers of `inverse_frequencies` at a length, as Python's."""
    frequencies = inverse_frequencies(spec, seq_len)
    return Constants(
        frequencies.turns.tolist(),
        frequencies.inv_freq_float32.tolist(),
        frequencies.attention_factor,
        frequencies.whole_turns.tolist(),
    )


def turns_tensor(turns: list[int], device: torch.device | str | int | None) -> Int64[Tensor, " P"]:
    """The turns of each pair as a tensor: a view of one with more than eight numbers.

    Inductor writes smaller tensors into its code. Their product with a torch.arange of the compiled
    function is then computed in 32 bits (pytorch/pytorch#175966).
    """
    return torch.tensor([*turns, *[0] * 8], dtype=torch.int64, device=device)[: len(turns)]


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


def frequencies_at(
    spec: RopeSpec, seq_len: int | Int64[Tensor, "..."] | None, device: torch.device
) -> LengthFrequencies:
    """Turns and float32 inverse frequencies at a length that is known, or at that of each row."""
    if not isinstance(seq_len, Tensor):
        return _known(spec, seq_len, device)
    within, length = _known(spec, None, device), seq_len[..., None, None]
    original = spec.original_length or 0  # never 0 here: only such specs get a tensor
    if isinstance(spec.rule, DynamicNTK):
        beyond = _stretched(spec.rule, spec.pairs, within.inv_freq, length)
    else:
        beyond = _known(spec, original + 1, device)
    pairs = zip(beyond, within, strict=True)
    return LengthFrequencies(*(torch.where(length > original, a, b) for a, b in pairs))


def _known(spec: RopeSpec, seq_len: int | None, device: torch.device) -> LengthFrequencies:
    turns, inv_freq, *_ = constants(spec, seq_len)
    return LengthFrequencies(
        turns_tensor(turns, device), torch.tensor(inv_freq, dtype=torch.float32, device=device)
    )


def _stretched(
    rule: DynamicNTK,
    pairs: Pairs,
    inv_freq: Float32[Tensor, " P"],
    length: Int64[Tensor, "*batch 1 1"],
) -> LengthFrequencies:
    """Dynamic NTK in float32: its inverse frequencies, and the same in turns."""
    stretch = rule.factor * (length.float() / rule.max_position_embeddings) - (rule.factor - 1)
    index = torch.tensor(pairs.frequency_index, dtype=torch.float32, device=length.device)
    stretched = inv_freq * stretch.clamp(min=1) ** (-2 * index / (pairs.frequency_dim - 2))
    upper = stretched * (2**32 / (2 * math.pi))
    lower = (upper - upper.floor()) * 2**32
    return LengthFrequencies((upper.long() << 32) + lower.long(), stretched)
