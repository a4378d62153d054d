"""Where the errors of cos and sin lie: by pair, and over position."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import oracle
from .backends import Torch
from .cases import Case
from .referee import EXACT
from .reference import Reference

FLOOR = 2.0**-30  # an error of zero is drawn here


class Profile(NamedTuple):
    """Largest |error| of cos and sin, as a fraction of the attention factor.

    It is measured against exact arithmetic.
    """

    name: str
    by_pair: np.ndarray  # (P,)
    over_position: np.ndarray  # (S,), at the positions of the case


def profiles(case: Case, with_transformers: bool = True) -> tuple[np.ndarray, list[Profile]]:
    """The sampled positions `(S,)` of the first axis, and a profile of each table.

    The tables are ours and transformers'.
    """
    positions = case.positions()
    exact = np.stack(oracle.cos_sin(case.spec, positions, case.seq_len))
    tables = {
        "rope_jax = rope_torch": np.stack(
            Torch().cos_sin(case.spec, positions, case.seq_len, EXACT)
        )
    }
    if with_transformers:
        reference = Reference(case.config, case.spec, case.label)
        tables["transformers"] = np.stack(reference.cos_sin(positions, np.dtype(np.float32)))
    factor = np.abs(exact).max()
    errors = {name: np.abs(table - exact).max(0)[0] / factor for name, table in tables.items()}
    found = [Profile(name, error.max(0), error.max(1)) for name, error in errors.items()]
    return (positions[0] if positions.ndim == 2 else positions[0, :, 0]), found
