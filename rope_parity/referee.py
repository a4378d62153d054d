"""The comparisons of one case: both branches against each other, transformers and exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rope_spec import Arithmetic, Explicit, Pairs, RopeSpec, inverse_frequencies, reference_arithmetic
from rope_spec.phase import pair_positions

from . import bounds, oracle
from .backends import Backend, Jax, Torch
from .bounds import ANGLE, EQUAL, ROTATION, TABLE, ULP
from .cases import Case
from .measure import DTYPES, compare
from .reference import Reference

EXACT, FLOAT32 = Arithmetic(), Arithmetic(angles="float32")


@dataclass(frozen=True)
class Record:
    """One comparison: `left` against `right`."""

    case: str
    quantity: str  # inv_freq, cos_sin, rotate, gradient, or rotate_given: the rotation given transformers' cos and sin
    left: str
    right: str
    mode: str  # eager or jit
    arithmetic: str  # exact, or reference for the arithmetic of transformers
    dtype: str
    device: str
    max_abs: float
    max_eps: float
    bit_equal: float
    worst: tuple[int, ...]
    bound: float  # at the worst element, in the units of max_eps
    of_bound: float
    ok: bool
    why: str  # where the bound comes from, a key of bounds.DERIVATIONS

    @property
    def at_worst(self) -> float:
        """`|d| / (eps |pair|)` of the worst element, which `bound` and `of_bound` are about; of equal bytes the largest."""
        return self.of_bound * self.bound if self.bound else self.max_eps


class Referee:
    """The comparisons of one case on one device."""

    def __init__(self, case: Case, device: str = "cpu", with_transformers: bool = True):
        self.case, self.spec, self.device = case, case.spec, device
        self.eager, self.jit, self.torch = Jax("eager", device), Jax("jit", device), Torch(device)
        self.reference = Reference(case.config, case.spec, case.label) if with_transformers else None
        self.theirs = self.reference.inv_freq(case.positions()) if self.reference else np.zeros(0)
        self.factor = inverse_frequencies(case.spec).attention_factor

    def records(self) -> Iterator[Record]:
        """All of them, cheap ones first."""
        yield from self.tables()
        for dtype in DTYPES:
            yield from self.rotations(dtype)
        if self.reference:
            yield from self.against_transformers(self.reference)

    def tables(self) -> Iterator[Record]:
        """cos and sin of the branches against each other and the oracle, far beyond the context too."""
        positions = self.case.positions(beyond=True)
        exact = np.stack(oracle.cos_sin(self.spec, positions, self.case.seq_len))
        ours = np.stack(self.torch.cos_sin(self.spec, positions, self.case.seq_len, EXACT))
        bound = bounds.exact_table(self.factor)
        for backend in (self.eager, self.jit):
            table = np.stack(backend.cos_sin(self.spec, positions, self.case.seq_len, EXACT))
            yield self._record("cos_sin", backend, "rope_torch", "float32", table, ours, 1.0, 0.0, EQUAL)
            if self.device != "cpu":
                on_cpu = np.stack(Torch("cpu").cos_sin(self.spec, positions, self.case.seq_len, EXACT))
                yield self._record("cos_sin, cpu", backend, "rope_torch", "float32", table, on_cpu, 1.0, 0.0, EQUAL)
            yield self._record("cos_sin", backend, "oracle", "float32", table, exact, self.factor, bound / self.factor, TABLE)
        yield self._record("cos_sin", self.torch, "oracle", "float32", ours, exact, self.factor, bound / self.factor, TABLE)

    def rotations(self, dtype: str) -> Iterator[Record]:
        """The rotation and its derivative, in the default arithmetic."""
        x, ct = self.case.x(DTYPES[dtype]), self.case.x(DTYPES[dtype], seed=1)
        table = self.torch.cos_sin(self.spec, self.case.positions(), self.case.seq_len, EXACT)
        y = self.torch.rotate(x, table, self.spec, EXACT)
        dx = self.torch.gradient(x, ct, table, self.spec, EXACT)
        for backend in (self.eager, self.jit):
            ours = backend.rotate(x, table, self.spec, EXACT)
            yield self._record("rotate", backend, "rope_torch", dtype, ours, y, 1.0, 0.0, EQUAL)
            if self.device != "cpu":
                on_cpu = Torch("cpu").rotate(x, table, self.spec, EXACT)
                yield self._record("rotate, cpu", backend, "rope_torch", dtype, ours, on_cpu, 1.0, 0.0, EQUAL)
            yield self._rotation_against_oracle(backend, dtype, x, ours)
            grad = backend.gradient(x, ct, table, self.spec, EXACT)
            yield self._record("gradient", backend, "rope_torch", dtype, grad, dx, 1.0, 0.0, EQUAL)
        yield self._rotation_against_oracle(self.torch, dtype, x, y)

    def against_transformers(self, reference: Reference) -> Iterator[Record]:
        """Frequencies, tables and rotations against transformers' own class and function."""
        positions, theirs = self.case.positions(), self.theirs
        ladder = inverse_frequencies(self.spec, self.case.seq_len).inv_freq_float32
        yield self._record("inv_freq", self.torch, "transformers", "float32", ladder, theirs, np.abs(theirs), 2 * bounds.U, ULP)
        yield from self._tables_against_transformers(reference, positions)
        for dtype in DTYPES:
            yield from self._rotations_against_transformers(reference, positions, dtype)

    def _tables_against_transformers(self, reference: Reference, positions: np.ndarray) -> Iterator[Record]:
        table = np.stack(reference.cos_sin(positions, DTYPES["float32"]))
        given = _with_frequencies(self.spec, self.theirs, self.factor)
        ulp = bounds.U * (1 if self.factor == 1 else 2)
        error = self._reference_table_error(reference, positions)
        for backend in (self.jit, self.torch):
            exact = np.stack(backend.cos_sin(self.spec, positions, self.case.seq_len, EXACT))
            bound = (error * self.factor + bounds.exact_table(self.factor)) / self.factor
            yield self._record("cos_sin", backend, "transformers", "float32", exact, table, self.factor, bound, ANGLE)
            same = np.stack(backend.cos_sin(given, positions, None, FLOAT32))
            name = "cos_sin given inv_freq"
            yield self._record(name, backend, "transformers", "float32", same, table, self.factor, ulp, ULP, "reference")

    def _rotations_against_transformers(self, reference: Reference, positions: np.ndarray, dtype: str) -> Iterator[Record]:
        x, arithmetic = self.case.x(DTYPES[dtype]), reference_arithmetic(self.case.config, self.case.label)
        theirs, table = reference.rotate(x, positions), reference.cos_sin(positions, x.dtype)
        ours = self.torch.cos_sin(self.spec, positions, self.case.seq_len, EXACT)
        pair = self._pair(x[:1])
        error = self._per_channel(self._reference_table_error(reference, positions)[:, :, None])
        bound = bounds.rotation(error, x.dtype, arithmetic)
        bound += bounds.rotation(bounds.exact_table(self.factor) / self.factor, x.dtype, EXACT)
        for backend in (self.jit, self.torch):
            given = backend.rotate(x, table, self.spec, arithmetic)
            name = "rotate given cos, sin"
            yield self._record(name, backend, "transformers", dtype, given, theirs, 1.0, 0.0, EQUAL, "reference")
            y = backend.rotate(x[:1], ours, self.spec, EXACT)
            yield self._record("rotate", backend, "transformers", dtype, y, theirs[:1], pair, bound, ANGLE)

    def _rotation_against_oracle(self, backend: Backend, dtype: str, x: np.ndarray, y: np.ndarray) -> Record:
        cos, sin = oracle.cos_sin(self.spec, self.case.positions(), self.case.seq_len)
        exact = oracle.rotate(x[:1], cos[:, :, None], sin[:, :, None], self.spec)
        bound = bounds.rotation(bounds.exact_table(self.factor) / self.factor, x.dtype, EXACT)
        return self._record("rotate", backend, "oracle", dtype, y[:1], exact, self._pair(x[:1]), bound, ROTATION)

    def _reference_table_error(self, reference: Reference, positions: np.ndarray) -> np.ndarray:
        """What transformers' cos and sin may be off by, as a fraction of the attention factor, `(B, S, P)`."""
        exact = np.array([float(value) for value in oracle.inverse_frequencies(self.spec, self.case.seq_len)])
        theirs = self.theirs.astype(np.float64)
        return bounds.float32_table(pair_positions(self.spec, positions), theirs, theirs - exact, self.factor)

    def _pair(self, x: np.ndarray) -> np.ndarray:
        """The length that the pair of each written channel has after the rotation."""
        read = [oracle.channels(self.spec, j, self.spec.read) for j in range(len(self.spec.pairs))]
        return (
            self._per_channel(np.hypot(*(x.astype(np.float64)[..., list(ab)] for ab in zip(*read, strict=True)))) * self.factor
        )

    def _per_channel(self, per_pair: np.ndarray) -> np.ndarray:
        """`(..., P)` spread to the channels that the pairs are written to, 0 elsewhere."""
        channels = np.zeros((*per_pair.shape[:-1], self.spec.head_dim))
        for j in range(len(self.spec.pairs)):
            channels[..., list(oracle.channels(self.spec, j, self.spec.write or self.spec.read))] = per_pair[..., j, None]
        return channels

    def _record(self, quantity, backend, right, dtype, a, b, pair, bound, why, arithmetic="exact") -> Record:
        measured = compare(a, b, pair, bound)
        names = (self.case.name, quantity, backend.name, right, backend.mode, arithmetic, dtype, self.device)
        return Record(*names, **measured._asdict(), why=why)


def _with_frequencies(spec: RopeSpec, inv_freq: np.ndarray, factor: float) -> RopeSpec:
    """The spec with the inverse frequencies of its pairs given one by one."""
    pairs = Pairs(spec.pairs.axis, tuple(range(len(inv_freq))), 2 * len(inv_freq))
    return replace(spec, pairs=pairs, rule=Explicit(tuple(map(float, inv_freq)), factor))
