"""One planted case: a function that is wrong in a known way, and what a referee should say."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from .rope import Rope

Function = Callable[[Any, Any], Any]  # fn(x, positions) -> y, arrays of the case's framework


@dataclass(frozen=True)
class Case:
    """What is handed to a referee, and what it should find.

    Attributes:
        name: unique.
        framework: whose arrays the function takes: numpy, torch or jax.
        layout: of x: BSNH or BNSH.
        factory: returns a fresh instance; positions are integers (B, S), or (B, S, A) where
            `rope.axis` says so.
        config: what a config.json holds.
        label: which rotary embedding of the config, where it has several.
        head_dim: H.
        context: positions are 0 to context - 1.
        dtype: of x: float32, bfloat16 or float16.
        faults: readings that count as right, each the names of all faults; () for a right function.
        hidden: faults that were planted and cannot be seen.
        how: how a table ends, and why there are several readings.
        parts: for each planted fault the same function with the others alone.
        faults_of_parts: the readings of each planted fault.
        sound: the same program without faults.
        way: which program it is, of `build.WAYS`.
        rope: the right rotary embedding, for the proof that the fault is there; not for a referee.
    """

    name: str
    framework: str
    layout: str
    factory: Callable[[], Function]
    config: dict[str, Any]
    label: str | None
    head_dim: int
    context: int
    dtype: str
    faults: tuple[frozenset[str], ...]
    hidden: frozenset[str]
    how: str
    parts: tuple[Callable[[], Function], ...]
    faults_of_parts: tuple[tuple[frozenset[str], ...], ...]
    sound: Callable[[], Function]
    way: str
    rope: Rope

    def is_named_by(self, names: Collection[str]) -> bool:
        """Whether some reading is named in full; what is hidden need not be."""
        return any(reading - self.hidden <= set(names) for reading in self.faults)

    def invented(self, names: Collection[str]) -> set[str]:
        """The names that no reading has."""
        return set(names) - frozenset().union(*self.faults)
