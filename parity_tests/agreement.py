"""Whether a spec is what transformers does: frequencies, tables, and rotated queries."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rope_parity import bounds
from rope_parity.backends import Torch
from rope_parity.cases import Case
from rope_parity.measure import DTYPES, compare
from rope_parity.reference import NoReference, Reference
from rope_spec import (
    Arithmetic,
    DynamicNTK,
    Explicit,
    LongRope,
    Pairs,
    RopeSpec,
    inverse_frequencies,
)
from rope_spec.phase import pair_positions

LENGTH = 48  # positions up to here, and beyond the context for a rule that depends on the length
EXACT, FLOAT32 = Arithmetic(), Arithmetic(angles="float32")


def disagreement(config: Mapping[str, Any], label: str, spec: RopeSpec) -> str | None:
    """The first of inv_freq, attention_factor, cos_sin, rotate in which transformers differs.

    Raises:
        NoReference: transformers has no class or function that `rope_parity.reference` knows, or
            its coordinates are real, which `test_vision.py` compares.
        Exception: what transformers raises for this configuration.
    """
    if spec.real:
        raise NoReference(label)
    found = (
        _disagreement(Case("agreement", spec, length, config, label)) for length in _lengths(spec)
    )
    return next(filter(None, found), None)


def _lengths(spec: RopeSpec) -> tuple[int, ...]:
    match spec.rule:
        case (
            DynamicNTK(max_position_embeddings=original)
            | LongRope(original_max_position_embeddings=original)
        ):
            return LENGTH, 2 * original + 1
    return (LENGTH,)


def _disagreement(case: Case) -> str | None:
    theirs = Reference(case.config, case.spec, case.label)
    inv_freq, factor = (
        theirs.inv_freq(case.positions()),
        inverse_frequencies(case.spec).attention_factor,
    )
    if inv_freq is not None and not _same_frequencies(case, inv_freq):
        return "inv_freq"
    if abs((theirs.attention_factor or factor) - factor) > bounds.ATTENTION_FACTOR * factor:
        return "attention_factor"
    if not (
        _exact_tables(case, theirs)
        if inv_freq is None
        else _same_tables(case, theirs, inv_freq, factor)
    ):
        return "cos_sin"
    return (
        None
        if all(_same_rotation(case, theirs, dtype) for dtype in ("float32", "bfloat16"))
        else "rotate"
    )


def _same_frequencies(case: Case, inv_freq: np.ndarray) -> bool:
    ours = inverse_frequencies(case.spec, case.seq_len).inv_freq_float32
    powers = (bounds.TORCH_POWER, bounds.ROUNDED_POWER)
    bound = sum(bounds.float32_ladder(case.spec, case.seq_len, power) for power in powers)
    return compare(ours, inv_freq, np.abs(inv_freq), bound).ok


def _same_tables(case: Case, theirs: Reference, inv_freq: np.ndarray, factor: float) -> bool:
    """Given its frequencies, within 1 ULP of cos and sin; 2 where a factor is multiplied in."""
    pairs = Pairs(case.spec.pairs.axis, tuple(range(len(inv_freq))), 2 * len(inv_freq))
    spec = replace(case.spec, pairs=pairs, rule=Explicit(tuple(map(float, inv_freq)), factor))
    ours = Torch().cos_sin(spec, case.positions(), None, FLOAT32)
    table = theirs.cos_sin(case.positions(), DTYPES["float32"])
    return compare(np.stack(ours), np.stack(table), factor, bounds.U * (1 if factor == 1 else 2)).ok


def _exact_tables(case: Case, theirs: Reference) -> bool:
    """Where it keeps no frequencies: our exact cos and sin, within the bound of float32 angles."""
    exact = inverse_frequencies(case.spec, case.seq_len).inv_freq
    error = exact * bounds.float32_ladder(case.spec, case.seq_len)
    bound = bounds.float32_table(pair_positions(case.spec, case.positions()), exact, error, 1.0)
    ours = Torch().cos_sin(case.spec, case.positions(), case.seq_len, EXACT)
    table = theirs.cos_sin(case.positions(), DTYPES["float32"])
    return compare(np.stack(ours), np.stack(table), 1.0, bound + bounds.exact_table(1.0)).ok


def _same_rotation(case: Case, theirs: Reference, dtype: str) -> bool:
    """Given its cos and sin, in every byte."""
    x = case.x(DTYPES[dtype])[: 1 if theirs.loses_sign_of_zero else 2]
    table = theirs.cos_sin(case.positions(), x.dtype)
    ours = Torch().rotate(x, table, case.spec, case.reference_arithmetic)
    return compare(ours, theirs.rotate(x, case.positions()), 1.0, 0.0).ok
