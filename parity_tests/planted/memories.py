"""Programs that remember an earlier call, each the wrong way, as caches of public libraries do."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .around import Make
from .case import Function
from .in_torch import RotaryEmbedding
from .rope import Ladder, Rope
from .steps import Steps


class Poisoned(RotaryEmbedding):
    """Its cosines and sines are cast to the dtype of x, and stay so."""

    def __init__(self, rope: Rope, steps: Steps):
        super().__init__(rope, steps)
        self.narrowest = torch.float32

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        if torch.finfo(x.dtype).bits < torch.finfo(self.narrowest).bits:
            self.narrowest = x.dtype
        narrow = lambda table: table.to(self.narrowest).float()
        cos, sin = (narrow(self.steps.spread(table)) for table in self.cos_sin(positions))
        return self.rotate(x, cos, sin)


def poisoned(make: Make) -> Make:
    """Its cosines and sines have had the narrowest dtype that any x had."""
    return Poisoned


def never_shrinks(make: Make) -> Make:
    """The longest call so far decides the frequencies."""

    def spoiled(rope: Rope, steps: Steps) -> Function:
        longest = 0

        def rule(ladder: Ladder) -> Any:
            nonlocal longest
            longest = max(longest, ladder.length)
            return rope.rule(replace(ladder, length=longest))

        return make(replace(rope, rule=rule), steps)

    return spoiled


def first_length_decides(make: Make) -> Make:
    """The first call decides the frequencies for good."""

    def spoiled(rope: Rope, steps: Steps) -> Function:
        first: list[int] = []

        def rule(ladder: Ladder) -> Any:
            first.append(ladder.length)
            return rope.rule(replace(ladder, length=first[0]))

        return make(replace(rope, rule=rule), steps)

    return spoiled


def not_grown(make: Make) -> Make:
    """The table has the length of the first call; later positions are given its last row."""

    def spoiled(rope: Rope, steps: Steps) -> Function:
        fn: Function | None = None

        def program(x: Any, positions: Any) -> Any:
            nonlocal fn
            if fn is None:
                fn = make(rope, replace(steps, rows=int(positions.max()) + 1))
            return fn(x, positions)

        return program

    return spoiled


def first_positions_kept(make: Make) -> Make:
    """A cache by shape: a later call of the same shape is given the positions of the first."""

    def spoiled(rope: Rope, steps: Steps) -> Function:
        fn, known = make(rope, steps), {}

        def program(x: Any, positions: Any) -> Any:
            return fn(x, known.setdefault(tuple(positions.shape), positions))

        return program

    return spoiled


def continues(make: Make) -> Make:
    """An offset that is never reset: each call begins where the one before ended."""

    def spoiled(rope: Rope, steps: Steps) -> Function:
        fn, done = make(rope, steps), 0

        def program(x: Any, positions: Any) -> Any:
            nonlocal done
            y = fn(x, positions + done)
            done += positions.shape[1]
            return y

        return program

    return spoiled


def shared_with(theta: float):
    """One cache of frequencies, by width alone, for layers of two thetas; the other comes first."""

    def program(make: Make) -> Make:
        def spoiled(rope: Rope, steps: Steps) -> Function:
            cache: dict[int, Function] = {}

            def layer(rope: Rope) -> Function:
                return cache.setdefault(rope.head_dim, make(rope, steps))

            layer(replace(rope, theta=theta))
            return layer(rope)

        return spoiled

    return program
