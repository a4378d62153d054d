"""Calls the function, and counts the calls.

Every call has one of two shapes and ends with the same largest position.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .number import ROUNDOFF
from .result import NotMeasured
from .subject import Subject

MOST_CALLS = 60
BATCH, HEADS, ROWS = 2, 2, 320


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
        """Note that all numbers are those of a coarser format, whatever their dtype."""
        self.noise = max(self.noise, ROUNDOFF[kind]) if kind else self.noise

    @property
    def kind(self) -> str:
        """The format of the numbers that come out, by their roundoff."""
        return next(name for name, roundoff in ROUNDOFF.items() if roundoff == self.noise)

    @property
    def rows(self) -> int:
        """S, the number of positions in a call."""
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
