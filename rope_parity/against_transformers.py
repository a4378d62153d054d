"""The comparisons of one case with transformers' own class and function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rope_spec import Arithmetic, Explicit, Pairs, RopeSpec, inverse_frequencies
from rope_spec.phase import pair_positions

from . import bounds, oracle
from .backends import Backend
from .bounds import ANGLE, EQUAL, FACTOR, LADDER, ULP
from .measure import DTYPES
from .referee import EXACT, Record, Referee
from .reference import Reference

FLOAT32 = Arithmetic(angles="float32")


def against_transformers(referee: Referee) -> Iterator[Record]:
    """Frequencies, tables and rotations of a referee's case against transformers.

    Raises:
        NoReference: transformers has nothing to compare this case with.
    """
    yield from _AgainstTransformers(referee).records()


class _AgainstTransformers:
    """A case in the referee, and the same case in transformers."""

    def __init__(self, referee: Referee) -> None:
        self.referee, self.case = referee, referee.case
        self.spec, self.factor = referee.spec, referee.factor
        self.positions = self.case.positions()
        self.reference = Reference(self.case.config, self.spec, self.case.label)
        exact = oracle.inverse_frequencies(self.spec, self.case.seq_len)
        self.exact = np.array([float(value) for value in exact])
        self.inv_freq = self.reference.inv_freq(self.positions)

    def records(self) -> Iterator[Record]:
        """All records, cheap ones first."""
        yield from self.frequencies()
        yield from self.tables()
        for dtype in DTYPES:
            yield from self.rotations(dtype)

    def frequencies(self) -> Iterator[Record]:
        """The inverse frequencies, and the attention factor where there is one."""
        spec, length = self.spec, self.case.seq_len
        if self.inv_freq is not None:
            ours = inverse_frequencies(spec, length).inv_freq_float32
            bound = bounds.float32_ladder(spec, length)
            bound += bounds.float32_ladder(spec, length, bounds.ROUNDED_POWER)
            values = ours, self.inv_freq, np.abs(self.exact), bound, LADDER
            yield self._record("inv_freq", "float32", *values)
        theirs = self.reference.attention_factor
        if theirs is not None and (theirs, self.factor) != (1, 1):
            both = np.array([self.factor]), np.array([theirs], np.float64)
            values = *both, self.factor, bounds.ATTENTION_FACTOR, FACTOR
            yield self._record("attention_factor", "float64", *values)

    def tables(self) -> Iterator[Record]:
        """cos and sin against transformers' own.

        Ours are exact, and then float32 angles from transformers' own frequencies.
        """
        table = np.stack(self.reference.cos_sin(self.positions, DTYPES["float32"]))
        bound = self._table_error() + bounds.exact_table(self.factor) / self.factor
        for backend in (self.referee.jit, self.referee.torch):
            exact = np.stack(backend.cos_sin(self.spec, self.positions, self.case.seq_len, EXACT))
            values = exact, table, self.factor, bound, ANGLE
            yield self.referee.record("cos_sin", backend, "transformers", "float32", *values)
            if self.inv_freq is not None:
                yield self._table_of_their_frequencies(backend, self.inv_freq, table)

    def _table_of_their_frequencies(
        self, backend: Backend, inv_freq: np.ndarray, table: np.ndarray
    ) -> Record:
        given = _with_frequencies(self.spec, inv_freq, self.factor)
        same = np.stack(backend.cos_sin(given, self.positions, None, FLOAT32))
        ulp = bounds.U * (1 if self.factor == 1 else 2)
        values = "transformers", "float32", same, table, self.factor, ulp, ULP, "reference"
        return self.referee.record("cos_sin given inv_freq", backend, *values)

    def rotations(self, dtype: str) -> Iterator[Record]:
        """Rotations by transformers' cos and sin in its arithmetic, and by ours in ours."""
        x, arithmetic = self.case.x(DTYPES[dtype]), self.case.reference_arithmetic
        x = x[:1] if self.reference.loses_sign_of_zero else x
        theirs = self.reference.rotate(x, self.positions)
        table = self.reference.cos_sin(self.positions, x.dtype)
        ours = self.referee.torch.cos_sin(self.spec, self.positions, self.case.seq_len, EXACT)
        error = self.referee.per_channel(self._table_error()[:, :, None])
        bound = bounds.rotation(error, x.dtype, arithmetic)
        bound += bounds.rotation(bounds.exact_table(self.factor) / self.factor, x.dtype, EXACT)
        for backend in (self.referee.jit, self.referee.torch):
            given = backend.rotate(x, table, self.spec, arithmetic)
            values = "transformers", dtype, given, theirs, 1.0, 0.0, EQUAL, "reference"
            yield self.referee.record("rotate given cos, sin", backend, *values)
            y = backend.rotate(x[:1], ours, self.spec, EXACT)
            values = "transformers", dtype, y, theirs[:1], self.referee.pair(x[:1]), bound, ANGLE
            yield self.referee.record("rotate", backend, *values)

    def _table_error(self) -> np.ndarray:
        """What transformers' cos and sin may be off by, as fractions of the factor, `(B, S, P)`."""
        positions = pair_positions(self.spec, self.positions)
        if self.inv_freq is None:
            error = self.exact * bounds.float32_ladder(self.spec, self.case.seq_len)
            return bounds.float32_table(positions, self.exact, error, self.factor)
        theirs = self.inv_freq.astype(np.float64)
        return bounds.float32_table(positions, theirs, theirs - self.exact, self.factor)

    def _record(self, quantity: str, dtype: str, *values: Any) -> Record:
        return self.referee.record(quantity, self.referee.torch, "transformers", dtype, *values)


def _with_frequencies(spec: RopeSpec, inv_freq: np.ndarray, factor: float) -> RopeSpec:
    """The spec with the inverse frequencies of its pairs given one by one."""
    pairs = Pairs(spec.pairs.axis, tuple(range(len(inv_freq))), 2 * len(inv_freq))
    return replace(spec, pairs=pairs, rule=Explicit(tuple(map(float, inv_freq)), factor))
