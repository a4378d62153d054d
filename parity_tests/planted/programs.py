"""Programs that spoil a rotation: from what makes a function, another such."""

from dataclasses import replace
from typing import Any

import numpy as np

from .around import Change, Make, cast, heads_of, like, namespace, sequence_axis
from .case import Function
from .rope import Rope
from .steps import Steps


def smeared(x: Any, steps: Steps) -> Any:
    """An eighth of the token before, as a fused token shift leaves it."""
    xp, axis = namespace(x), sequence_axis(steps)
    return cast(x + xp.roll(x, 1, axis) / 8, x.dtype)


def last_channels_late(x: Any, steps: Steps) -> Any:
    """The second half of the channels comes from the token before."""
    xp, half = namespace(x), x.shape[-1] // 2
    late = xp.roll(x, 1, sequence_axis(steps))
    return xp.concatenate([x[..., :half], late[..., half:]], -1)


def normalised(x: Any, steps: Steps) -> Any:
    """The norm of queries and keys, fused into the rotation."""
    xp = namespace(x)
    wide = cast(x, xp.float32)
    return cast(wide / xp.sqrt((wide * wide).mean(-1)[..., None] + 1e-6), x.dtype)


def capped(x: Any, steps: Steps) -> Any:
    """A soft cap, fused into the rotation."""
    xp = namespace(x)
    return cast(4 * xp.tanh(cast(x, xp.float32) / 4), x.dtype)


def each_head_scaled(x: Any, y: Any, rope: Rope, steps: Steps) -> Any:
    heads = x.shape[2 if steps.layout == "BSNH" else 1]
    return y * heads_of(1 + np.arange(heads) / 8, y, steps)


def first_head_alone(x: Any, y: Any, rope: Rope, steps: Steps) -> Any:
    """Heads after the first come back unrotated."""
    heads = x.shape[2 if steps.layout == "BSNH" else 1]
    first = heads_of((np.arange(heads) == 0).astype(float), y, steps)
    return y * first + x * (1 - first)


def outside_times(number: float | None) -> Change:
    """The channels that are not rotated are scaled; None: by the factor of cos and sin."""

    def change(x: Any, y: Any, rope: Rope, steps: Steps) -> Any:
        scale = np.full(rope.head_dim, rope.factor if number is None else number)
        scale[rope.channels(rope.write)] = 1
        return y * like(scale, y)

    return change


def second_channels_times(number: float) -> Change:
    """The second channel of each pair is scaled, the first is not."""

    def change(x: Any, y: Any, rope: Rope, steps: Steps) -> Any:
        scale = np.ones(rope.head_dim)
        scale[rope.channels(rope.write)[1]] = number
        return y * like(scale, y)

    return change


def minus_lost(make: Make) -> Make:
    """y_a = a cos + b sin, y_b = b cos + a sin."""

    def spoiled(rope: Rope, steps: Steps) -> Function:
        right, reverse = make(rope, steps), make(replace(rope, sign=-rope.sign), steps)
        first = np.zeros(rope.head_dim)
        first[rope.channels(rope.write)[0]] = 1

        def fn(x: Any, positions: Any) -> Any:
            y, other = right(x, positions), reverse(x, positions)
            return y * (1 - like(first, y)) + other * like(first, y)

        return fn

    return spoiled


def first_row_for_all(make: Make) -> Make:
    """The positions of the first batch row are given to every row."""

    def spoiled(rope: Rope, steps: Steps) -> Function:
        fn = make(rope, steps)
        return lambda x, positions: fn(x, positions[:1])

    return spoiled


def comes_back(dtype: str) -> Change:
    """The result has a dtype of its own."""
    return lambda x, y, rope, steps: cast(y, getattr(namespace(y), dtype))
