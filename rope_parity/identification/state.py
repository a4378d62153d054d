"""Whether a call depends on the calls before it, and a rotation on the current length."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import numpy as np

from .behaviour import COMMON, difference, random_x, room, same_dtype, some_positions
from .number import HALF
from .probe import Probe
from .result import Departure, NotMeasured

Call = tuple[int, np.ndarray]  # a length, and what came out


def sequence(probe: Probe, lengths: Sequence[int], x: np.ndarray) -> list[Call]:
    """One call for each length, in order, of the present instance."""
    return [(n, probe.call(x, some_positions(probe, n))) for n in lengths]


def repeated(probe: Probe, lengths: Sequence[int]) -> tuple[list[Departure], list[Call]]:
    """Call from short to long, twice: departures, and the first results."""
    x = random_x(probe)
    first = sequence(probe, lengths, x)
    again = sequence(probe, lengths, x)
    return compared(probe, first, again, "asked again after longer calls", x), first


def reversed_order(probe: Probe, lengths: Sequence[int], first: list[Call]) -> list[Departure]:
    """Call a fresh instance from long to short, against another from short to long."""
    probe.subject.fresh()
    x = random_x(probe)
    back = sequence(probe, lengths[::-1], x)[::-1]
    return compared(probe, back, first, "in another instance, after shorter calls", x)


def compared(
    probe: Probe, left: list[Call], right: list[Call], when: str, x: np.ndarray
) -> list[Departure]:
    """A departure for the first two equal calls with different results."""
    for (length, one), (_, other) in zip(left, right, strict=True):
        gap = difference(one, other)
        if gap > room(probe, x):
            positions = some_positions(probe, length)[:, 0]
            where = int(positions[_rows_that_differ(one, other, room(probe, x))].min())
            figures = (
                f"f(x, positions up to {length - 1}): {_sample(one)}",
                f"{when}: {_sample(other)}, largest difference {gap:.2g}",
            )
            return [Departure("state", "length", position=where, size=gap, figures=figures)]
    return []


def _rows_that_differ(one: np.ndarray, other: np.ndarray, room: float) -> np.ndarray:
    gap = np.nan_to_num(np.abs(one - other), nan=np.inf)
    return np.flatnonzero(gap.max(axis=(0, 2, 3)) > room)


def _sample(y: np.ndarray) -> str:
    return (
        f"token {y.shape[1] - 2} is "
        + " ".join(f"{value:.4g}" for value in y[0, -2, 0, :3])
        + " ..."
    )


def after_another_dtype(
    probe: Probe, before: np.ndarray, fresh: bool
) -> tuple[list[Departure], list[str]]:
    """Whether a call in another dtype changes the next one, and keeps its own dtype.

    Args:
        before: what the call gave before, for a frame of the whole context.
        fresh: whether the other dtype comes first on a fresh instance.
    """
    subject, x, not_tested = probe.subject, random_x(probe), list[str]()
    frame = some_positions(probe, probe.context)
    if fresh:
        subject.fresh()
    departures: list[Departure] = []
    for dtype in [name for name in ("float32", *HALF) if name != subject.dtype][:2]:
        try:
            probe.call(x, frame, dtype)
            if subject.framework == "keras" and subject.returned != dtype:
                not_tested.append(f"x in {dtype}: a layer of Keras casts it to {subject.returned}")
            else:
                departures += same_dtype(probe, dtype)
        except (NotMeasured, ImportError) as error:
            why = " ".join(str(error).splitlines()[:2])  # what happened, and the error in its words
            not_tested.append(f"x in {dtype}: {why.rstrip('. ')}")
    y = probe.call(x, frame)
    gap = difference(y, before)
    if gap > room(probe, x):
        figures = (
            f"f(x) in {subject.dtype}: {_sample(before)}",
            f"after a call in another dtype: {_sample(y)}, largest difference {gap:.2g}",
        )
        departures.append(Departure("state", "dtype", size=gap, figures=figures))
    is_cast = bool(departures) and departures[0].name == "dtype"
    return departures[:1] if is_cast else departures, not_tested


def another_theta(probe: Probe, before: np.ndarray) -> list[Departure]:
    """Where the factory takes a theta: whether two instances disturb each other."""
    make = probe.subject.make
    name = next((n for n in ("theta", "base", "rope_theta") if n in _parameters(make)), None)
    if name is None:
        return []
    x, frame = random_x(probe), some_positions(probe, probe.context)
    probe.subject.fn = make(**{name: 54321.0})
    gap = difference(probe.call(x, frame), before)
    if gap > room(probe, x):
        return []
    figure = f"an instance with theta 54321 answers as the one before: they differ by {gap:.2g}"
    return [Departure("state", "instance", size=gap, figures=(figure,))]


def _parameters(make: Callable) -> list[str]:
    try:
        return list(inspect.signature(make).parameters)
    except (TypeError, ValueError):
        return []


def depends_on_length(probe: Probe, calls: list[Call]) -> list[int]:
    """The lengths whose first positions are rotated in another way than at the longest."""
    if probe.mode != "any" or probe.fixed is not None:
        return []
    x, found = random_x(probe), []
    _, longest = calls[-1]
    for length, y in calls[:-1]:
        rows = np.arange(1, min(COMMON, length - 2) + 1)
        if difference(y[0][rows], longest[0][rows]) > 4 * room(probe, x):
            found.append(length)
    return found
