"""What stands around a rotation in a program, in any framework."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .case import Function
from .rope import Rope
from .steps import Steps

Make = Callable[[Rope, Steps], Function]
Change = Callable[[Any, Any, Rope, Steps], Any]  # of x and y: what the program returns


def namespace(x: Any) -> Any:
    return torch if isinstance(x, torch.Tensor) else x.__array_namespace__()


def cast(y: Any, dtype: Any) -> Any:
    return y.to(dtype) if isinstance(y, torch.Tensor) else y.astype(dtype)


def like(array: np.ndarray, x: Any) -> Any:
    """The array in the framework and dtype of x."""
    return cast(namespace(x).asarray(array), x.dtype)


def sequence_axis(steps: Steps) -> int:
    return 1 if steps.layout == "BSNH" else 2


def heads_of(values: np.ndarray, x: Any, steps: Steps) -> Any:
    """One value for each head, beside x."""
    return like(values[:, None] if steps.layout == "BSNH" else values[:, None, None], x)


def before(change: Callable[[Any, Steps], Any]) -> Callable[[Make], Make]:
    """x is changed before it is rotated."""

    def program(make: Make) -> Make:
        def spoiled(rope: Rope, steps: Steps) -> Function:
            fn = make(rope, steps)
            return lambda x, positions: fn(change(x, steps), positions)

        return spoiled

    return program


def after(change: Change) -> Callable[[Make], Make]:
    """The result is changed."""

    def program(make: Make) -> Make:
        def spoiled(rope: Rope, steps: Steps) -> Function:
            fn = make(rope, steps)
            return lambda x, positions: change(x, fn(x, positions), rope, steps)

        return spoiled

    return program
