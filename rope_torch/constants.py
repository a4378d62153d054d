"""What the trunk knows of a spec, as plain numbers that `torch.compile` takes for constants."""

from __future__ import annotations

import torch

from rope_spec import RopeSpec, inverse_frequencies


@torch.compiler.assume_constant_result  # Decimal arithmetic, which torch.compile cannot trace
def constants(spec: RopeSpec, seq_len: int | None) -> tuple[list[int], list[float], float]:
    """Turns, float32 inverse frequencies, and the attention factor, at a length."""
    frequencies = inverse_frequencies(spec, seq_len)
    return frequencies.turns.tolist(), frequencies.inv_freq_float32.tolist(), frequencies.attention_factor
