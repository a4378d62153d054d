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
    short, long = (torch.tensor(constants(spec, length)[0], device=seq_len.device) for length in _lengths(spec))
    return torch.where(_per_row(seq_len) > _original(spec), long, short)


def inv_freq_at(spec: RopeSpec, seq_len: Integer[Tensor, "*batch"]) -> Float32[Tensor, "*batch 1 pairs"]:
    """float32 inverse frequencies at each length, of either rule."""
    if isinstance(spec.rule, LongRope):
        short, long = (torch.tensor(constants(spec, length)[1], device=seq_len.device) for length in _lengths(spec))
        return torch.where(_per_row(seq_len) > _original(spec), long, short)
    assert isinstance(spec.rule, DynamicNTK)
    longest, factor = spec.rule.max_position_embeddings, spec.rule.factor
    dim, rung = spec.pairs.ladder_dim, torch.tensor(spec.pairs.rung, dtype=torch.float32, device=seq_len.device)
    stretch = factor * (_per_row(seq_len).clamp(min=longest).float() / longest) - (factor - 1)
    return torch.tensor(constants(spec, None)[1], device=seq_len.device) * stretch ** (-2 * rung / (dim - 2))


def _lengths(spec: RopeSpec) -> tuple[None, int]:
    """A length for the short set, and one for the long."""
    return None, _original(spec) + 1


def _original(spec: RopeSpec) -> int:
    assert isinstance(spec.rule, LongRope)
    return spec.rule.original_max_position_embeddings


def _per_row(seq_len: Integer[Tensor, "*batch"]) -> Integer[Tensor, "*batch 1 1"]:
    """A length for each row of the batch, shaped to broadcast against `(..., S, P)`."""
    return seq_len[..., None, None]
