"""One planted case: a function that is wrong in a known way, and what a referee should say of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from .rope import Rope

Function = Callable[[Any, Any], Any]  # fn(x, positions) -> y, arrays of the case's framework


@dataclass(frozen=True)
class Case:
    """What is handed to a referee, and what it should find.

    Attributes:
        name: unique.
        framework: whose arrays the function takes.
        layout: of x: (B, S, N, H) or (B, N, S, H).
        factory: returns a fresh instance; positions are integers (B, S), or (B, S, A) where `rope.axis` says so.
        config: what a config.json holds.
        label: which rotary embedding of the config, where it has several.
        head_dim: H.
        context: positions are 0 to context - 1.
        dtype: of x.
        faults: readings that count as right, each the names of all faults; () for a right function.
        hidden: faults that were planted and cannot be seen.
        how: how a table ends, and why there are several readings.
        parts: for each planted fault the same function with the others alone.
        faults_of_parts: the readings of each planted fault.
        rope: the right rotary embedding, for the proof that the fault is there; no business of the referee.
    """

    name: str
    framework: Literal["numpy", "torch", "jax"]
    layout: Literal["BSNH", "BNSH"]
    factory: Callable[[], Function]
    config: dict[str, Any]
    label: str | None
    head_dim: int
    context: int
    dtype: Literal["float32", "bfloat16", "float16"]
    faults: tuple[frozenset[str], ...]
    hidden: frozenset[str]
    how: str
    parts: tuple[Callable[[], Function], ...]
    faults_of_parts: tuple[tuple[frozenset[str], ...], ...]
    rope: Rope

    def is_named_by(self, names: Collection[str]) -> bool:
        """Whether some reading is named in full; what is hidden need not be."""
        return any(reading - self.hidden <= set(names) for reading in self.faults)

    def invented(self, names: Collection[str]) -> set[str]:
        """The names that no reading has."""
        return set(names) - frozenset().union(*self.faults)
