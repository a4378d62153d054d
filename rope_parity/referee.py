"""The comparisons of one case: both branches against each other and exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rope_spec import Arithmetic, inverse_frequencies

from . import bounds, oracle
from .backends import Backend, Jax, Torch
from .bounds import EQUAL, ROTATION, TABLE
from .cases import Case
from .measure import DTYPES, compare

EXACT = Arithmetic()


@dataclass(frozen=True)
class Record:
    """One comparison: `left` against `right`."""

    case: str
    # inv_freq, attention_factor, cos_sin, rotate or gradient; "given": it takes
    # them from transformers
    quantity: str
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
    bound_used: float
    ok: bool
    why: str  # where the bound comes from, a key of bounds.DERIVATIONS

    @property
    def at_worst(self) -> float:
        """`|d| / (eps |pair|)` of the worst element, to which `bound` and `bound_used` belong.

        Where equal bytes are asked for, it is the largest.
        """
        return self.bound_used * self.bound if self.bound else self.max_eps


class Referee:
    """The comparisons of one case on one device."""

    def __init__(self, case: Case, device: str = "cpu") -> None:
        self.case, self.spec, self.device = case, case.spec, device
        self.eager, self.jit, self.torch = Jax("eager", device), Jax("jit", device), Torch(device)

    @cached_property
    def factor(self) -> float:
        """The attention factor."""
        return inverse_frequencies(self.spec).attention_factor

    def records(self) -> Iterator[Record]:
        """All records that need no other implementation, cheap ones first."""
        yield from self.tables()
        for dtype in DTYPES:
            yield from self.rotations(dtype)

    def tables(self) -> Iterator[Record]:
        """cos and sin of the branches against each other and the oracle.

        Positions go far beyond the context too.
        """
        positions = self.case.positions(beyond=True)
        table = lambda backend: np.stack(
            backend.cos_sin(self.spec, positions, self.case.seq_len, EXACT)
        )
        exact = np.stack(oracle.cos_sin(self.spec, positions, self.case.seq_len))
        bound = bounds.exact_table(self.factor) / self.factor
        of_torch = table(self.torch)
        for backend in (self.eager, self.jit):
            ours = table(backend)
            yield self._equal("cos_sin", backend, "float32", ours, of_torch)
            if self.device != "cpu":
                yield self._equal("cos_sin, cpu", backend, "float32", ours, table(Torch("cpu")))
            values = ours, exact, self.factor, bound, TABLE
            yield self.record("cos_sin", backend, "oracle", "float32", *values)
        values = of_torch, exact, self.factor, bound, TABLE
        yield self.record("cos_sin", self.torch, "oracle", "float32", *values)

    def rotations(self, dtype: str) -> Iterator[Record]:
        """The rotation and its derivative, in the default arithmetic."""
        x, ct = self.case.x(DTYPES[dtype]), self.case.x(DTYPES[dtype], seed=1)
        table = self.torch.cos_sin(self.spec, self.case.positions(), self.case.seq_len, EXACT)
        y = self.torch.rotate(x, table, self.spec, EXACT)
        dx = self.torch.gradient(x, ct, table, self.spec, EXACT)
        for backend in (self.eager, self.jit):
            ours = backend.rotate(x, table, self.spec, EXACT)
            yield self._equal("rotate", backend, dtype, ours, y)
            if self.device != "cpu":
                on_cpu = Torch("cpu").rotate(x, table, self.spec, EXACT)
                yield self._equal("rotate, cpu", backend, dtype, ours, on_cpu)
            yield self._rotation_against_oracle(backend, dtype, x, ours)
            grad = backend.gradient(x, ct, table, self.spec, EXACT)
            yield self._equal("gradient", backend, dtype, grad, dx)
        yield self._rotation_against_oracle(self.torch, dtype, x, y)

    def _equal(
        self, quantity: str, backend: Backend, dtype: str, a: np.ndarray, b: np.ndarray
    ) -> Record:
        """A result of `rope_jax` against that of `rope_torch`, byte for byte."""
        return self.record(quantity, backend, "rope_torch", dtype, a, b, 1.0, 0.0, EQUAL)

    def _rotation_against_oracle(
        self, backend: Backend, dtype: str, x: np.ndarray, y: np.ndarray
    ) -> Record:
        cos, sin = oracle.cos_sin(self.spec, self.case.positions(), self.case.seq_len)
        exact = oracle.rotate(self.spec, x[:1], cos[:, :, None], sin[:, :, None])
        bound = bounds.rotation(bounds.exact_table(self.factor) / self.factor, x.dtype, EXACT)
        return self.record(
            "rotate", backend, "oracle", dtype, y[:1], exact, self.pair(x[:1]), bound, ROTATION
        )

    def pair(self, x: np.ndarray) -> np.ndarray:
        """The length that the pair of each written channel has after the rotation."""
        read = [oracle.channels(self.spec, j, self.spec.read) for j in range(len(self.spec.pairs))]
        return (
            self.per_channel(
                np.hypot(*(x.astype(np.float64)[..., list(ab)] for ab in zip(*read, strict=True)))
            )
            * self.factor
        )

    def per_channel(self, per_pair: np.ndarray) -> np.ndarray:
        """`(..., P)` spread to the channels that the pairs are written to, 0 elsewhere."""
        channels = np.zeros((*per_pair.shape[:-1], self.spec.head_dim))
        for j in range(len(self.spec.pairs)):
            channels[..., list(oracle.channels(self.spec, j, self.spec.written))] = per_pair[
                ..., j, None
            ]
        return channels

    def record(
        self,
        quantity: str,
        backend: Backend,
        right: str,
        dtype: str,
        a: np.ndarray,
        b: np.ndarray,
        pair: np.ndarray | float,
        bound: np.ndarray | float,
        why: str,
        arithmetic: str = "exact",
    ) -> Record:
        """`a` of a backend measured against `b`, as `measure.compare` does."""
        measured = compare(a, b, pair, bound)
        names = (
            self.case.name,
            quantity,
            backend.name,
            right,
            backend.mode,
            arithmetic,
            dtype,
            self.device,
        )
        return Record(*names, **measured._asdict(), why=why)
