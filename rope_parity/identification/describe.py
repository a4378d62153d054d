"""`identify`: a function in, its description, arithmetic, departures and evidence out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rope_spec import Pairs, Proportional, RopeSpec
from rope_spec.spec import Layout

from . import rules
from .ladders import round_within
from .measure import Measurement, measure
from .number import ROUNDOFF, SINGLE, wrap
from .reading import Reading
from .result import Departure, Evidence, Identification, Measured
from .setup import build, lengths


def identify(
    fn: Callable,
    head_dim: int,
    *,
    layout: str = "BSNH",
    context: int = 4096,
    dtype: str = "float32",
    axes: int = 1,
    positions: str | Any = "any",
    factory: bool = False,
    framework: str | None = None,
    device: Any = None,
) -> Identification:
    """Read the description of a rotary embedding back out of a function `fn(x, positions) -> y`.

    Args:
        fn: takes x in the order of `layout` and positions `(B, S)`, `(B, S, A)` where axes > 1,
            without B where the layout has none; returns x rotated.
        head_dim: H, the width of x.
        layout: the axes of x: `BSNH`, `BNSH`, `SH`, `BS(NH)` for heads in one axis with the
            channels.
        context: positions are looked at from 0 to context - 1.
        dtype: of x: `float32`, `bfloat16`, `float16`.
        axes: A, the number of coordinates of a position.
        positions: `any`; `shared`: one row `(S,)` for the whole batch; `contiguous`: only p, p + 1,
            ... ; `prefix`: it counts from 0 itself; or an array `(S, A)` of those that it makes
            itself.
        factory: fn is called without arguments and returns the function, so that state can be
            tested on a fresh one.
        framework: `numpy`, `torch`, `jax`, `mlx`, `keras`; by default what the code of fn names.
        device: where the arrays are put, as the framework takes it.

    Returns:
        An `Identification`.

    Raises:
        NotMeasured: fn raises, returns another shape, or takes no notice of positions.
        ValueError: an argument is none of those above.
    """
    probe = build(
        fn,
        head_dim,
        layout=layout,
        context=context,
        dtype=dtype,
        axes=axes,
        positions=positions,
        factory=factory,
        framework=framework,
        device=device,
    )
    measured = measure(probe, lengths(probe), factory)
    return identification(measured)


def identification(measured: Measurement) -> Identification:
    """The result, from what was measured."""
    reading, found = measured.reading, list(measured.departures)
    if measured.depends_on:
        figure = (
            f"lengths {', '.join(map(str, measured.depends_on))} rotate otherwise than the longest"
        )
        found.append(Departure("length_rule", figures=(figure,)))
    if reading is None:
        return Identification(
            None,
            Measured(measured.probe.subject.dtype, "unknown", 0.0, 0),
            tuple(found),
            evidence(measured),
        )
    found += of_phase(reading)
    return Identification(
        spec_of(measured), arithmetic(reading, found), tuple(found), evidence(measured)
    )


def evidence(measured: Measurement) -> Evidence:
    """The numbers behind a result."""
    reading, probe = measured.reading, measured.probe
    empty = np.zeros((0, 1))
    seen = np.zeros((1, 1), int) if reading is None else reading.raw.positions
    return Evidence(
        inv_freq=empty if reading is None else reading.w,
        uncertainty=empty if reading is None else reading.uncertainty,
        channels=empty
        if reading is None
        else np.hstack([reading.channels.read, reading.channels.write]),
        attention_factor=1.0 if reading is None else reading.factor,
        positions=(len(np.unique(seen, axis=0)), int(seen.max())),
        lengths=tuple(measured.by_length),
        calls=probe.subject.calls,
        not_tested=tuple(measured.not_tested),
    )


def of_phase(reading: Reading) -> list[Departure]:
    """Cos and sin exchanged, and an offset of the positions."""
    found = [Departure("cos_sin_exchanged", size=1.0)] if reading.exchanged else []
    offset = position_offset(reading)
    if offset:
        size = float(np.abs(np.exp(1j * reading.phase) - 1).max())
        found.append(Departure("position_offset", found=offset, expected=0, size=size))
    return found


def position_offset(reading: Reading) -> int | None:
    """The k with `phase = k w` for every pair; None where there is none."""
    w, phase = reading.w.sum(axis=1), wrap(reading.phase)
    room = 4 * reading.phase_uncertainty + 8 * reading.roundoff
    if np.all(np.abs(phase) <= room):
        return None
    order = np.argsort(np.abs(w))
    slow = [j for j in order if abs(phase[j]) > room[j]][:6]
    for j in slow:
        k = round(phase[j] / w[j]) if w[j] else 0
        if k and np.all(
            np.abs(wrap(k * w - phase)) <= room + abs(k) * reading.uncertainty.max(axis=1)
        ):
            return int(k)
    return None


def arithmetic(reading: Reading, found: list[Departure]) -> Measured:
    """How the angles are computed, from what the line leaves."""
    ends = [d.position for d in found if d.name == "table_ends" and d.position is not None]
    turns = reading.turns[reading.turns.finite]
    turns = turns[turns.positions.max(axis=1) < min(ends, default=np.inf)]
    gap = reading.gap(turns)
    row = int(gap.max(axis=1).argmax())
    half = next((d.how for d in found if d.name == "angles_rounded"), None)
    kind = half or ("exact" if gap.max() < 24 * max(SINGLE, reading.roundoff) else "float32")
    return Measured(reading.dtype, kind, float(gap.max()), int(turns.positions[row].max()))


def spec_of(measured: Measurement) -> RopeSpec | None:
    """The shortest description of what was read; None where no layout or axis map fits."""
    reading = measured.reading
    assert reading is not None
    bare = next(iter(bare_specs(reading, measured.probe.head_dim)), None)
    if bare is None:
        return proportional(reading, measured.probe.head_dim)
    found = np.abs(reading.w.sum(axis=1))
    uncertainty = reading.uncertainty.max(axis=1)
    kind = next((d.how for d in measured.departures if d.name == "frequencies_rounded"), None)
    roundoff = 0.0 if kind is None else ROUNDOFF[kind]
    for spec in bare_specs(reading, measured.probe.head_dim):
        for candidate in rules.readings(spec, found, uncertainty, roundoff):
            return with_factor(candidate, reading, found)
    return rules.explicit(bare, found, reading.factor)


def proportional(reading: Reading, head_dim: int) -> RopeSpec | None:
    """Pairs of the first channels of two halves, of which the other pairs stand still."""
    read, count, w = reading.channels.read, len(reading.w), reading.w.sum(axis=1)
    start, distance = int(read[0, 0]), int(read[0, 1] - read[0, 0])
    is_part = np.array_equal(read, start + np.arange(count)[:, None] + [0, distance])
    if not is_part or distance <= count or reading.w.shape[1] > 1 or not (w > 0).all():
        return None
    rung = 2 * np.arange(count) / (2 * distance)
    theta, factor = rules.linear_factor(rung, w) or (1e4, 1.0)
    pairs = Pairs.single(rotary_dim=2 * distance)
    rule = Proportional(count, factor)
    return RopeSpec(head_dim=head_dim, theta=theta, pairs=pairs, start=start, rule=rule)


def with_factor(spec: RopeSpec, reading: Reading, w: np.ndarray) -> RopeSpec:
    """The spec with the attention factor that was read; a list of frequencies where its rule has
    none.
    """
    from rope_spec import Yarn, inverse_frequencies

    if abs(inverse_frequencies(spec).attention_factor - reading.factor) < 1e-5:
        return spec
    if isinstance(spec.rule, Yarn):
        rule = replace(spec.rule, attention_factor=round_within(reading.factor, 1e-7))
        return replace(spec, rule=rule)
    return rules.explicit(
        spec, inverse_frequencies(spec).inv_freq, round_within(reading.factor, 1e-7)
    )


def bare_specs(reading: Reading, head_dim: int) -> Iterator[RopeSpec]:
    """Descriptions of the channels and axes alone, with every ladder that the axes may share or
    have.
    """
    moved = reading.w != 0
    if (moved.sum(axis=1) > 1).any() or len(
        {int(s) for s in np.sign(reading.w.sum(axis=1))} - {0}
    ) != 1:
        return
    axis = tuple(int(a) for a in moved.argmax(axis=1))
    sign = int(np.sign(reading.w.sum()))
    for read, write, start in layouts(reading, axis):
        for pairs in axis_maps(axis, head_dim):
            try:
                yield RopeSpec(
                    head_dim=head_dim,
                    theta=1e4,
                    pairs=pairs,
                    read=read,
                    write=write,
                    start=start,
                    sign=sign,
                )
            except ValueError:
                continue


def axis_maps(axis: tuple[int, ...], head_dim: int) -> Iterator[Pairs]:
    """Which rung each pair may have: one ladder for all, one for each axis, or one dealt out."""
    count, axes = len(axis), max(axis) + 1
    if set(axis) != set(range(axes)):
        return
    yield Pairs(axis, tuple(range(count)), 2 * count)
    if axes > 1:
        within = [axis[:j].count(a) for j, a in enumerate(axis)]
        yield Pairs(axis, tuple(within), max(2 * count // axes, 2 * max(within) + 1))
        dealt = [a + axes * k for a, k in zip(axis, within, strict=True)]
        yield Pairs(axis, tuple(dealt), max(2 * count, 2 * max(dealt) + 1))
    elif 2 * count < head_dim:
        yield Pairs(axis, tuple(range(count)), head_dim)


def layouts(reading: Reading, axis: tuple[int, ...]) -> Iterator[tuple[Layout, Layout | None, int]]:
    """The names of read and write that give these channels, and the first channel."""
    start = int(reading.channels.read.min())
    reads: list[Layout] = [
        name for name in LAYOUTS if same(reading.channels.read, name, start, axis)
    ]
    writes: list[Layout] = [
        name for name in LAYOUTS if same(reading.channels.write, name, start, axis)
    ]
    for read in reads[:1]:
        others: list[Layout] = [read] if read in writes else writes[:1]
        for write in others:
            yield read, None if write == read else write, start


LAYOUTS: tuple[Layout, ...] = ("half", "interleaved", "half_per_axis")


def channels_of(layout: Layout, pairs: int, axes: int, start: int = 0) -> np.ndarray:
    """The two channels of each pair, `(P, 2)`."""
    blocks = {"half": 1, "interleaved": pairs, "half_per_axis": axes}[layout]
    if pairs % blocks:
        return np.full((pairs, 2), -1)
    index = start + np.arange(2 * pairs).reshape(blocks, 2, pairs // blocks)
    return index.transpose(0, 2, 1).reshape(pairs, 2)


def same(channels: np.ndarray, layout: Layout, start: int, axis: tuple[int, ...]) -> bool:
    """Whether the channels are those of a layout."""
    return bool(np.array_equal(channels, channels_of(layout, len(channels), max(axis) + 1, start)))
