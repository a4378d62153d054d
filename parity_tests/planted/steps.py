"""How a program computes its rotation: what a fault of arithmetic changes."""

from dataclasses import dataclass

from .rope import Rope


@dataclass(frozen=True)
class Steps:
    """Names of dtypes that a step is rounded to; "" keeps float32.

    Attributes:
        layout: of x, BSNH or BNSH.
        positions, frequencies, angles, table, products: what each is rounded to.
        rows: of a table; 0: there is none.
        end: what a position beyond the table is given: clamped, wrapped, zero or nan.
    """

    layout: str = "BSNH"
    positions: str = ""
    frequencies: str = ""
    angles: str = ""
    table: str = ""
    products: str = ""
    rows: int = 0
    end: str = "clamped"

    def spread(self, table):
        """A table (B, S, P) beside x: one axis more, where the heads are."""
        return table[:, :, None] if self.layout == "BSNH" else table[:, None]


def call_length(positions, rope: Rope) -> int:
    """The largest position and one, as in transformers; 0 where no rule asks."""
    return int(positions.max()) + 1 if rope.follows_length else 0


def coordinate(positions, rope: Rope):
    """The coordinate of each pair: (B, S, 1) where there is one, else (B, S, P)."""
    return positions[..., list(rope.axis)] if rope.axis else positions[..., None]
