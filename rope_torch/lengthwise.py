"""Frequencies that depend on the current length, as functions of a tensor: no host round trip, no recompilation.

LongRoPE chooses between two sets of exact phases and stays exact. Dynamic NTK computes its frequencies in float32: for a
stretch s of the context by a factor f, their relative error is at most (2 f + ln s + 8) 2 ** -24, and cos and sin err by that
times the angle. A length that is a Python int is exact.
"""

from __future__ import annotations

import torch
from jaxtyping import Float32, Int64, Integer
from torch import Tensor

from rope_spec import DynamicNTK, LongRope, RopeSpec

from .constants import constants


def turns_at(spec: RopeSpec, seq_len: Integer[Tensor, "*batch"]) -> Int64[Tensor, "*batch 1 pairs"]:
    """The turns of LongRoPE at each length."""
    return _chosen(spec, seq_len, 0)


def inv_freq_at(spec: RopeSpec, seq_len: Integer[Tensor, "*batch"]) -> Float32[Tensor, "*batch 1 pairs"]:
    """float32 inverse frequencies at each length, of either rule."""
    if not isinstance(spec.rule, DynamicNTK):
        return _chosen(spec, seq_len, 1)
    longest, factor = spec.rule.max_position_embeddings, spec.rule.factor
    dim, rung = spec.pairs.ladder_dim, torch.tensor(spec.pairs.rung, dtype=torch.float32, device=seq_len.device)
    stretch = factor * (seq_len[..., None, None].clamp(min=longest).float() / longest) - (factor - 1)
    return torch.tensor(constants(spec, None)[1], device=seq_len.device) * stretch ** (-2 * rung / (dim - 2))


def _chosen(spec: RopeSpec, seq_len: Tensor, which: int) -> Tensor:
    """One of the constants of LongRoPE's short or long set, by the length of each row of the batch."""
    assert isinstance(spec.rule, LongRope)
    original = spec.rule.original_max_position_embeddings
    short, long = (torch.tensor(constants(spec, length)[which], device=seq_len.device) for length in (None, original + 1))
    return torch.where(seq_len[..., None, None] > original, long, short)
