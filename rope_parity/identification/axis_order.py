"""The axes of the array that a function takes, by their letters: `BSNH`, `SH`, `S(NH)`, ..."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

LETTERS = "BSNH"


@dataclass(frozen=True)
class AxisOrder:
    """Takes `(B, S, N, H)` to the order of a function and back.

    Letters in brackets are one axis: `BS(NH)`. T is another letter for S, as in `T(NH)`.
    """

    letters: str

    def __post_init__(self) -> None:
        plain = self.plain
        legal = sorted(plain) == sorted(set(plain)) and set(plain) <= set(LETTERS)
        if not legal or not {"S", "H"} <= set(plain) or "".join(self.groups) != plain:
            raise ValueError(
                f"layout: got {self.letters!r}, expected letters of B, S, N, H, each "
                "once, with S and H among them, "
                "such as 'BSNH', 'BNSH', 'SH' or 'BS(NH)'. Name the axes of the array "
                "that your function takes."
            )

    @property
    def plain(self) -> str:
        return re.sub(r"[() ]", "", self.letters.upper().replace("T", "S"))

    @property
    def groups(self) -> list[str]:
        letters = self.letters.upper().replace("T", "S").replace(" ", "")
        return [inside or one for inside, one in re.findall(r"\((\w+)\)|(\w)", letters)]

    def has(self, letter: str) -> bool:
        return letter in self.plain

    def to(self, x: np.ndarray) -> np.ndarray:
        """From `(B, S, N, H)`; B and N are 1 where the order has none."""
        absent = tuple(axis for axis, letter in enumerate(LETTERS) if not self.has(letter))
        kept = [letter for letter in LETTERS if self.has(letter)]
        ordered = x.squeeze(absent).transpose([kept.index(letter) for letter in self.plain])
        return ordered.reshape(self.shape(x.shape))

    def back(self, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """To `(B, S, N, H)` of this shape."""
        size = dict(zip(LETTERS, shape, strict=True))
        ordered = y.reshape([size[letter] for letter in self.plain])
        kept = [letter for letter in LETTERS if self.has(letter)]
        return ordered.transpose([self.plain.index(letter) for letter in kept]).reshape(shape)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that the function gets for a `(B, S, N, H)` of this shape."""
        size = dict(zip(LETTERS, shape, strict=True))
        return tuple(int(np.prod([size[letter] for letter in group])) for group in self.groups)
