"""From a reading to the shortest `RopeSpec` that describes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from rope_spec import Pairs, Proportional, RopeSpec, Yarn, inverse_frequencies
from rope_spec.spec import Layout

from . import rules
from .ladders import room, round_within
from .layouts import names_of
from .measure import Measurement
from .number import ROUNDOFF
from .reading import Reading


def spec_of(measured: Measurement, reading: Reading) -> RopeSpec | None:
    """The shortest description of what was read; None where no layout or axis map fits."""
    step = measured.probe.subject.unit
    bare = list(bare_specs(reading, measured.probe.head_dim, step is not None))
    if not bare:
        return proportional(reading, measured.probe.head_dim) if step is None else None
    w, uncertainty = np.abs(reading.w.sum(axis=1)), reading.uncertainty.max(axis=1)
    kind = next((d.how for d in measured.departures if d.name == "frequencies_rounded"), None)
    roundoff = 0.0 if kind is None else ROUNDOFF[kind]
    allowed = room(w, uncertainty, roundoff) / (step or 1.0)
    w = w / (step or 1.0)
    fitting = [  # by half of what is allowed, so that the function's own errors have the other half
        [found for spec in bare for found in rules.readings(spec, w, share * allowed)]
        for share in (0.5, 1)
    ]
    spec = min(fitting[0] or fitting[1], key=_length, default=None)
    return rules.explicit(bare[0], w, reading.factor) if spec is None else _scaled(spec, reading)


def _length(spec: RopeSpec) -> tuple[bool, int]:
    """How long a description is: one without a rule is the shortest, then the fewest digits."""
    return spec.rule is not None, sum(map(str.isdigit, repr((spec.theta, spec.rule))))


def proportional(reading: Reading, head_dim: int) -> RopeSpec | None:
    """The description where only the first pairs of two halves are rotated."""
    read, count, w = reading.channels.read, len(reading.w), reading.w.sum(axis=1)
    start, distance = int(read[0, 0]), int(read[0, 1] - read[0, 0])
    is_part = np.array_equal(read, start + np.arange(count)[:, None] + [0, distance])
    if not is_part or distance <= count or reading.w.shape[1] > 1 or not (w > 0).all():
        return None
    theta, factor = rules.linear_factor(np.arange(count) / distance, w) or (1e4, 1.0)
    pairs, rule = Pairs.single(rotary_dim=2 * distance), Proportional(count, factor)
    return RopeSpec(head_dim=head_dim, theta=theta, pairs=pairs, start=start, rule=rule)


def _scaled(spec: RopeSpec, reading: Reading) -> RopeSpec:
    """The spec with the attention factor that was read.

    Where its rule has none, it becomes a list of frequencies.
    """
    described, factor = inverse_frequencies(spec), round_within(reading.factor, 1e-7)
    if abs(described.attention_factor - reading.factor) < 1e-5:
        return spec
    if isinstance(spec.rule, Yarn):
        return replace(spec, rule=replace(spec.rule, attention_factor=factor))
    return rules.explicit(spec, described.inv_freq, factor)


def bare_specs(reading: Reading, head_dim: int, real: bool) -> Iterator[RopeSpec]:
    """Descriptions of channels and axes alone, one for each possible ladder and unit.

    None where a pair follows several coordinates, pairs turn in both directions, or no layout fits.
    """
    moved, signs = reading.w != 0, set(np.sign(reading.w.sum(axis=1)).astype(int)) - {0}
    if (moved.sum(axis=1) > 1).any() or len(signs) != 1:
        return
    axis = tuple(moved.argmax(axis=1).tolist())
    if (found := layout(reading, axis)) is None:
        return
    read, write, start = found
    fields = {"read": read, "write": write, "start": start, "sign": int(signs.pop())}
    fields |= {"head_dim": head_dim, "theta": 1e4, "real": real}
    for unit in ("radian", "turn") if real else ("radian",):
        for pairs in axis_maps(axis, head_dim):
            with suppress(ValueError):
                yield RopeSpec(pairs=pairs, unit=unit, **fields)


def axis_maps(axis: tuple[int, ...], head_dim: int) -> Iterator[Pairs]:
    """Frequency indices that pairs may have: one list for all, one for each axis, or dealt out."""
    count, axes = len(axis), max(axis) + 1
    if set(axis) != set(range(axes)):
        return
    yield Pairs(axis, tuple(range(count)), 2 * count)
    if axes > 1:
        within = [axis[:j].count(a) for j, a in enumerate(axis)]
        yield Pairs(axis, tuple(within), max(2 * count // axes, 2 * max(within) + 1))
        if list(axis) == sorted(axis):
            yield Pairs.widths(tuple(2 * axis.count(a) for a in range(axes)))
        dealt = [a + axes * k for a, k in zip(axis, within, strict=True)]
        yield Pairs(axis, tuple(dealt), max(2 * count, 2 * max(dealt) + 1))
    elif 2 * count < head_dim:
        yield Pairs(axis, tuple(range(count)), head_dim)


def layout(reading: Reading, axis: tuple[int, ...]) -> tuple[Layout, Layout | None, int] | None:
    """The names of read and write that give these channels, and the first channel."""
    start, axes = int(reading.channels.read.min()), max(axis) + 1
    reads = names_of(reading.channels.read, axes, start)
    writes = names_of(reading.channels.write, axes, start)
    if not reads or not writes:
        return None
    return reads[0], None if reads[0] in writes else writes[0], start
