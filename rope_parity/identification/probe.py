"""Calls the function, and counts the calls.

Every call has one of two shapes and ends with the same largest position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .axis_order import AxisOrder
from .frameworks import frameworks_of, to_framework, to_numpy
from .number import ROUNDOFF, rounded
from .result import NotMeasured

MOST_CALLS = 60
BATCH, HEADS, ROWS = 2, 2, 320


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
    shapes: set = field(default_factory=set)

    def fresh(self) -> None:
        """Measure a new instance from here on."""
        self.fn = self.make()

    def __call__(
        self, x: np.ndarray, positions: np.ndarray, dtype: str | None = None
    ) -> np.ndarray:
        dtype, self.calls = dtype or self.dtype, self.calls + 1
        if self.fn is None or self.always_fresh:
            self.fresh()
        if self.framework is None:
            self.framework = self._first_that_works(x, positions, dtype)
        return self._call(self.framework, x, positions, dtype)

    def _first_that_works(self, x: np.ndarray, positions: np.ndarray, dtype: str) -> str:
        errors = []
        for framework in frameworks_of(self.fn):  # pyright: ignore[reportArgumentType]
            try:
                self._call(framework, x, positions, dtype)
                return framework
            except Exception as error:
                errors.append(f"{framework} arrays: {type(error).__name__}: {error}")
        raise NotMeasured(
            f"The function could not be called with x {self.layout.shape(x.shape)} and positions "
            f"{self._positions(positions).shape}:\n" + "\n".join(errors)
        )

    def _positions(self, positions: np.ndarray) -> np.ndarray:
        given = positions if self.axes > 1 else positions[..., 0]
        given = given if self.layout.has("B") and not self.shared else given[0]
        return given if self.unit is None else given * self.unit

    def _call(self, framework: str, x: np.ndarray, positions: np.ndarray, dtype: str) -> np.ndarray:
        shape = self.layout.shape(x.shape)
        self.shapes.add(shape)
        kind = "int32" if self.unit is None else "float32"
        given = to_framework(self.layout.to(rounded(x, dtype)), dtype, framework, self.device)
        assert self.fn is not None
        result = self.fn(
            given, to_framework(self._positions(positions), kind, framework, self.device)
        )
        if not hasattr(result, "shape") or tuple(result.shape) != shape:
            got = getattr(result, "shape", type(result).__name__)
            raise NotMeasured(
                f"The function returned {got if isinstance(got, str) else tuple(got)} for "
                f"x of shape {shape}. "
                "It has to return the rotated x."
            )
        y, self.returned = to_numpy(result)
        return self.layout.back(y, x.shape)


@dataclass
class Probe:
    """Observations of a subject at chosen positions.

    Attributes:
        head_dim: H.
        context: the positions are 0 to context - 1.
        mode: `any` positions, `contiguous` ones from any start, or a fixed array `(S, A)` of them.
        spacing: how many rows lie between two that are used, where rows disturb each other.
        only_first: whether only the first head of the first batch row is used.
        amplitude: of the vectors whose images are read; small where the function is not linear.
        noise: the unit roundoff of what comes out.
        recorded: whether every call has to be one that does not depend on earlier answers.
        frames: for each length the positions `(S, A)` at which behaviour is measured.
    """

    subject: Subject
    head_dim: int
    context: int
    mode: str = "any"
    fixed: np.ndarray | None = None
    spacing: int = 1
    only_first: bool = False
    amplitude: float = 1.0
    noise: float = 0.0
    recorded: bool = False
    frames: dict[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.noise = ROUNDOFF[self.subject.dtype]

    def coarsen(self, kind: str | None) -> None:
        """All numbers are found to be of a format, whatever their dtype."""
        self.noise = max(self.noise, ROUNDOFF[kind]) if kind else self.noise

    @property
    def rows(self) -> int:
        """S."""
        if self.fixed is not None:
            return len(self.fixed)
        return max(ROWS, self.head_dim)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(B, S, N, H)` of every call."""
        has = self.subject.layout.has
        return BATCH if has("B") else 1, self.rows, HEADS if has("N") else 1, self.head_dim

    def call(self, x: np.ndarray, rows: np.ndarray, dtype: str | None = None) -> np.ndarray:
        """y for x `(B, S, N, H)`.

        Positions are `(B, S, A)`, or `(S, A)` for all batch rows.
        """
        per_batch = rows if rows.ndim == 3 else np.broadcast_to(rows, (self.shape[0], *rows.shape))
        try:
            return self.subject(x, np.ascontiguousarray(per_batch), dtype)
        except NotMeasured:
            raise
        except Exception as error:
            raise NotMeasured(
                f"The function raised {type(error).__name__} at positions up to "
                f"{int(rows.max())}:\n{error}\n"
                "Where it has a shorter context, say so with context=."
            ) from error

    def frame(self, wanted: np.ndarray, length: int | None = None) -> np.ndarray:
        """Positions `(S, A)` of one call: `wanted`, `(n, A)`, on its used rows.

        The first row is at 0, the last at length - 1.
        """
        if self.fixed is not None:
            return self.fixed
        frame = np.zeros((self.rows, self.subject.axes), np.int64)
        if self.mode == "contiguous":
            start = min(int(wanted.min()), max((length or self.context) - self.rows, 0))
            return frame + start + np.arange(self.rows)[:, None]
        used = self.used()[: len(wanted)]
        frame[used] = wanted[: len(used)]
        frame[-1] = (length or self.context) - 1
        return frame

    def used(self) -> np.ndarray:
        """The rows of a frame that are measured."""
        if self.fixed is not None or self.mode == "contiguous":
            return np.arange(0, self.rows, self.spacing)
        return np.arange(1, self.rows - 1, self.spacing)

    def columns(self, vectors: np.ndarray, frame: np.ndarray) -> list[np.ndarray]:
        """The images `(S, H)` of some vectors `(H,)` at the positions of a frame.

        It makes as few calls as possible.
        """
        heads = 1 if self.only_first else self.shape[2]
        images = []
        for first in range(0, len(vectors), heads):
            x = np.zeros(self.shape)
            group = vectors[first : first + heads]
            for head, vector in enumerate(group):
                x[0, self.used(), head] = self.amplitude * vector
                if not self.only_first:
                    x[1:, self.used(), head] = self.amplitude * vector
            y = self.call(x, frame) / self.amplitude
            images += [y[0, :, head] for head in range(len(group))]
        return images

    def all_columns(self, vectors: np.ndarray, frame: np.ndarray) -> list[np.ndarray]:
        """The images `(S, H)` of some vectors, one in each head of each batch row."""
        batch, _, heads, _ = self.shape
        slots, images = [(b, n) for b in range(batch) for n in range(heads)], []
        for first in range(0, len(vectors), len(slots)):
            x = np.zeros(self.shape)
            group = list(zip(slots, vectors[first : first + len(slots)], strict=False))
            for (b, n), vector in group:
                x[b, :, n] = vector
            y = self.call(x, frame)
            images += [y[b, :, n] for (b, n), _ in group]
        return images
