"""A function to measure, whatever its framework and the order of its axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .axis_order import AxisOrder
from .frameworks import frameworks_of, to_framework, to_numpy
from .number import rounded
from .result import NotMeasured


@dataclass
class Subject:
    """A function to measure, from float64 arrays to float64 arrays.

    x and y are `(B, S, N, H)`, positions are integers `(B, S, A)`.

    Attributes:
        make: makes the function; called again, a fresh instance of it.
        axes: A, the number of coordinates of a position.
        unit: what a position of 1 stands for; below 1 where positions are real numbers.
        is_factory: whether a fresh instance can be made.
        always_fresh: whether each call is the first of an instance.
        shared: whether it takes one row of positions for the whole batch.
    """

    make: Callable[[], Callable]
    layout: AxisOrder
    dtype: str = "float32"
    axes: int = 1
    unit: float | None = None
    shared: bool = False
    is_factory: bool = False
    always_fresh: bool = False
    framework: str | None = None
    device: Any = None
    calls: int = 0
    fn: Callable | None = None
    returned: str = ""

    def fresh(self) -> None:
        """Measure a new instance from here on."""
        self.fn = self.make()

    def __call__(
        self, x: np.ndarray, positions: np.ndarray, dtype: str | None = None
    ) -> np.ndarray:
        dtype, self.calls = dtype or self.dtype, self.calls + 1
        fn = self.make() if self.fn is None or self.always_fresh else self.fn
        self.fn = fn
        if self.framework is None:
            self.framework = self._first_that_works(fn, x, positions, dtype)
        return self._call(fn, self.framework, x, positions, dtype)

    def _first_that_works(
        self, fn: Callable, x: np.ndarray, positions: np.ndarray, dtype: str
    ) -> str:
        errors: list[str] = []
        for framework in frameworks_of(fn):
            try:
                self._call(fn, framework, x, positions, dtype)
                return framework
            except Exception as error:
                kind = "" if isinstance(error, NotMeasured) else f"{type(error).__name__}: "
                errors.append(f"{framework} arrays: {kind}{error}")
        order, other = self.layout.letters, "BSNH" if self.layout.letters == "BNSH" else "BNSH"
        raise NotMeasured(
            f"The function could not be called with x {self.layout.shape(x.shape)}, in the order "
            f"{order}, and positions {self._positions(positions).shape}:\n"
            + "\n".join(errors)
            + f"\nIf it takes x in another order, name that, such as layout={other!r}."
        )

    def _positions(self, positions: np.ndarray) -> np.ndarray:
        given = positions if self.axes > 1 else positions[..., 0]
        given = given if self.layout.has("B") and not self.shared else given[0]
        return given if self.unit is None else given * self.unit

    def _call(
        self, fn: Callable, framework: str, x: np.ndarray, positions: np.ndarray, dtype: str
    ) -> np.ndarray:
        shape = self.layout.shape(x.shape)
        kind = "int32" if self.unit is None else "float32"
        given = to_framework(self.layout.to(rounded(x, dtype)), dtype, framework, self.device)
        where = to_framework(self._positions(positions), kind, framework, self.device)
        result = fn(given, where)
        if not hasattr(result, "shape") or tuple(result.shape) != shape:
            got = getattr(result, "shape", type(result).__name__)
            raise NotMeasured(
                f"The function returned {got if isinstance(got, str) else tuple(got)} for x of "
                f"shape {shape}. It has to return the rotated x."
            )
        y, self.returned = to_numpy(result)
        return self.layout.back(y, x.shape)
