"""The departures of a function from a description: what was measured, held against what is
described.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rope_spec import DynamicNTK, LongRope, RopeSpec

from ..identification import describe
from ..identification.describe import LAYOUTS, channels_of
from ..identification.frequencies import line
from ..identification.measure import Measurement
from ..identification.number import ROUNDOFF
from ..identification.reading import Reading
from ..identification.result import Departure
from . import frequencies
from .compare import Expected, expected, roundoff, worst_of_images, worst_of_turns
from .frequencies import Ladder

Found = list[Departure]

HIDDEN = {  # by a departure: what else it looks like
    "not_a_rotation": {"frequencies", "attention_factor", "unexplained"},
    "not_linear": {"frequencies"},
}
BEHAVIOUR = {"state", "not_linear", "neighbour", "batch_row", "heads", "dtype"}


def diagnose(measured: Measurement, spec: RopeSpec) -> Found:
    """The departures, or none where the function is right at everything that was looked at."""
    behaviour = [d for d in measured.departures if d.name in BEHAVIOUR]
    if is_right(measured, spec):
        return behaviour
    reading = measured.reading
    if reading is None:
        return [*measured.departures, Departure("rotated_width", "nothing", 0, spec.rotary_dim)]
    found = [d for d in measured.departures if d.name != "dtype"]
    what = expected(spec, measured.probe.context, measured.probe.subject.unit or 1.0)
    found += of_channels(reading, spec, what)
    found += of_factor(reading, what)
    found += describe.of_phase(reading)
    found = without_consequences(with_ladders(found, measured, reading, spec, what))
    found += [d for d in measured.departures if d.name == "dtype"]
    return found or [Departure("unexplained", size=worst(measured, spec)[0])]


def worst(measured: Measurement, spec: RopeSpec) -> tuple[float, int, float]:
    """How much of what is allowed is used at most, at which position, and the largest error of an
    angle.
    """
    found = worst_of_images(measured, spec, measured.images)
    reading, unit = measured.reading, measured.probe.subject.unit or 1.0
    what = expected(spec, measured.probe.context, unit)
    if reading is None or not np.array_equal(reading.channels.read, what.read):
        return found
    turns = worst_of_turns(reading.raw, what, roundoff(measured))
    return max(found, turns)


def is_right(measured: Measurement, spec: RopeSpec) -> bool:
    """Whether every image is that of the description, within what float arithmetic allows."""
    return worst(measured, spec)[0] <= 1


def of_channels(reading: Reading, spec: RopeSpec, what: Expected) -> Found:
    """Width, start, layout, and what passes through."""
    read, write, axes = reading.channels.read, reading.channels.write, spec.pairs.axes
    found: Found = []
    if np.array_equal(read, what.read) and np.array_equal(write, what.write):
        return of_still(reading, read)
    start, count = int(read.min()), len(read)
    if count != len(what.read):
        found.append(Departure("rotated_width", found=2 * count, expected=2 * len(what.read)))
    if start != spec.start and (count == len(what.read) or start > spec.start):
        found.append(Departure("start", found=start, expected=spec.start))
    if _is_part(read, what.read) or _is_part(what.read, read):
        return found + of_still(reading, read)
    described = channels_of(spec.read, count, axes, start)
    is_compact = count == len(what.read) < len(spec.pairs) and start == spec.start
    if is_compact and np.array_equal(read, described) and not np.array_equal(read, what.read):
        found.append(Departure("rotated_width", "compact", 2 * count, spec.rotary_dim))
    if not np.array_equal(read, described):
        found.append(Departure("layout_read", found=layout_of(read, axes), expected=spec.read))
    follows = spec.write is None and np.array_equal(write, read)
    if not follows and not np.array_equal(
        write, channels_of(spec.write or spec.read, count, axes, start)
    ):
        layout = layout_of(write, axes)
        found.append(Departure("layout_write", found=layout, expected=spec.write or spec.read))
    return found + of_still(reading, read)


def _is_part(few: np.ndarray, many: np.ndarray) -> bool:
    """Whether pairs of channels are among others, of which they leave some out."""
    return len(few) < len(many) and {*map(tuple, few)} <= {*map(tuple, many)}


def layout_of(channels: np.ndarray, axes: int) -> str:
    """The name of a layout, or `other`."""
    start, count = int(channels.min()), len(channels)
    names = (n for n in LAYOUTS if np.array_equal(channels, channels_of(n, count, axes, start)))
    backwards = (
        f"{n}, exchanged"
        for n in LAYOUTS
        if np.array_equal(channels[:, ::-1], channels_of(n, count, axes, start))
    )
    return next(names, None) or next(backwards, "other")


def of_still(reading: Reading, read: np.ndarray) -> Found:
    """Channels that are not rotated, and yet changed."""
    still, scale = reading.channels.still, reading.channels.scale
    room = 4 * reading.roundoff
    wrong = (still[:, 0] != still[:, 1]) | (np.abs(scale - 1) > room)
    wrong &= ~reading.channels.moving
    if not wrong.any():
        return []
    first = int(np.flatnonzero(wrong)[0])
    channels = [int(c) for c in still[wrong, 0]]
    how = (
        "moved" if still[first, 0] != still[first, 1] else "zero" if not scale[first] else "scaled"
    )
    return [
        Departure("pass_through", how, float(scale[first]), 1.0, figures=(f"channels {channels}",))
    ]


def of_factor(reading: Reading, what: Expected) -> Found:
    """Another attention factor."""
    if abs(reading.factor / what.factor - 1) <= 12 * reading.roundoff:
        return []
    size = abs(reading.factor - what.factor)
    return [Departure("attention_factor", found=reading.factor, expected=what.factor, size=size)]


def with_ladders(
    found: Found, measured: Measurement, reading: Reading, spec: RopeSpec, what: Expected
) -> Found:
    """Also what is wrong with the frequencies: rounded ones only where nothing explains them as
    they are.
    """
    plain = of_ladders(measured, reading, spec, what, 0.0)
    kind = next((d.how for d in found if d.name == "frequencies_rounded"), None)
    if kind is None:
        return found + plain
    rounded = of_ladders(measured, reading, spec, what, ROUNDOFF[kind])
    if _cost(plain) > _cost(rounded):
        return found + rounded
    return [d for d in found if d.name != "frequencies_rounded"] + plain


def of_ladders(
    measured: Measurement, reading: Reading, spec: RopeSpec, what: Expected, relative: float
) -> Found:
    """Sign, axes, frequencies, and how they depend on the length."""
    found, spec = of_axes(reading, what), frequencies.moving(spec)
    signed = reading.w.sum(axis=1)
    sign = 1.0 if np.median(np.sign(signed)) >= 0 else -1.0
    if sign != np.sign(np.median(np.sign(what.w))):
        found.append(Departure("sign", found=int(sign), expected=spec.sign, size=2.0))
    if spec.depends_on_length:
        return found + of_length(measured, reading, spec, relative, sign)
    if measured.depends_on:
        lengths = ", ".join(map(str, measured.depends_on))
        figure = f"lengths {lengths} rotate otherwise than {measured.probe.context}"
        found.append(Departure("length_rule", "not described", figures=(figure,)))
        ladders = (ladder_at(measured, n, relative, sign) for n in measured.by_length)
        if len(what.w) == len(signed) and any(
            not frequencies.explain(spec, one) for one in ladders
        ):
            return found
    ladder = Ladder(sign * signed, reading.uncertainty.max(axis=1), relative, None)
    return found + best_of(spec, ladder, found)


def best_of(spec: RopeSpec, ladder: Ladder, found: Found) -> Found:
    """The shortest explanation over what a wrong width or axis map leaves open."""
    specs = frequencies.with_pairs(spec, len(ladder.w)) if spec.pairs.axes == 1 else [spec]
    if any(d.name == "axes" for d in found) and specs == [spec]:
        count, axis = len(spec.pairs), spec.pairs.axis
        maps = describe.axis_maps(axis, spec.head_dim)
        specs += [
            replace(spec, pairs=pairs, read="half", write=None)
            for pairs in maps
            if len(pairs) == count
        ]
    if spec.pairs.axes > 1 and len(ladder.w) != len(spec.pairs):
        return []
    return min((frequencies.explain(one, ladder) for one in specs), key=_cost)


def _cost(found: Found) -> int:
    """One for each mistake; more where pairs stay unexplained."""
    return sum(3 + (d.count or 0) if d.name == "frequencies" else 1 for d in found)


def of_axes(reading: Reading, what: Expected) -> Found:
    """Pairs that another coordinate moves, or several."""
    moved = reading.w != 0
    if len(moved) != len(what.axis):
        return []
    several = moved.sum(axis=1) > 1
    axis = moved.argmax(axis=1)
    wrong = np.flatnonzero(several | (axis != what.axis))
    if not len(wrong):
        return []
    ends = int(wrong[0]), int(wrong[-1])
    return [
        Departure(
            "axes",
            "sum" if several.any() else "other",
            axis.tolist(),
            what.axis.tolist(),
            ends,
            size=2.0,
        )
    ]


def of_length(
    measured: Measurement, reading: Reading, spec: RopeSpec, relative: float, sign: float
) -> Found:
    """The shortest explanation over what a wrong width leaves open."""
    specs = frequencies.with_pairs(spec, len(reading.w))
    specs = [one for one in specs if one.depends_on_length] or [spec]
    return min((_of_length(measured, reading, one, relative, sign) for one in specs), key=_cost)


def _of_length(
    measured: Measurement, reading: Reading, spec: RopeSpec, relative: float, sign: float
) -> Found:
    """Frequencies of a rule that depends on the length: in the original context, and beyond."""
    original = original_of(spec)
    ladders = {n: ladder_at(measured, n, relative, sign) for n in measured.by_length}
    within = [n for n in ladders if n <= original]
    beyond = [n for n in ladders if n > original]
    found = best_of(spec, ladders[within[-1]], []) if within else []
    if not beyond and within:
        return found
    beyond = beyond or [measured.probe.context]
    longest = Ladder(
        sign * reading.w.sum(axis=1), reading.uncertainty.max(axis=1), relative, beyond[-1]
    )
    ladders[beyond[-1]] = longest
    if found and not measured.depends_on:
        return _without_dependence(spec, found, best_of(spec, longest, []))
    if found and _reads_as(spec, ladders[within[-1]], beyond[-1]):
        return [
            Departure(
                "length_rule", "beyond the original context everywhere", figures=(_reach(within),)
            )
        ]
    changed = [replace(spec, theta=d.found) for d in found if d.name == "theta"]
    spec = changed[0] if changed else spec
    wrong = [n for n in beyond if frequencies.explain(spec, ladders[n])]
    if not wrong:
        return found + _at_the_border(measured, spec, {n: ladders[n] for n in within})
    return found + _beyond(spec, longest, measured)


def _without_dependence(spec: RopeSpec, within: Found, beyond: Found) -> Found:
    """The same frequencies at every length: what explains them at one, and that it is so at all."""
    found = beyond if _cost(beyond) <= _cost(within) else within
    if {d.name for d in found} & {"rule_missing", "length_rule"}:
        return found
    if found is beyond:
        return [*found, Departure("length_rule", "beyond the original context everywhere")]
    missing = Departure("rule_missing", "", "none", type(spec.rule).__name__)
    return [
        *found,
        missing if isinstance(spec.rule, DynamicNTK) else Departure("length_rule", "short factors"),
    ]


def _reach(lengths: list[int]) -> str:
    return f"at length {lengths[-1]} it rotates as beyond the original context"


def _reads_as(spec: RopeSpec, ladder: Ladder, length: int) -> bool:
    return not frequencies.explain(spec, replace(ladder, length=length))


def _at_the_border(measured: Measurement, spec: RopeSpec, within: dict[int, Ladder]) -> Found:
    wrong = [n for n, ladder in within.items() if frequencies.explain(spec, ladder)]
    return [Departure("length_rule", "the border", figures=(_reach(wrong),))] if wrong else []


def _beyond(spec: RopeSpec, ladder: Ladder, measured: Measurement) -> Found:
    """What is wrong beyond the original context, when all is right within."""
    original = original_of(spec)
    if _reads_as(spec, ladder, original):
        if isinstance(spec.rule, DynamicNTK):
            return [Departure("rule_missing", "", "none", "DynamicNTK")]
        return [Departure("length_rule", "short factors", "short", "long")]
    if isinstance(spec.rule, DynamicNTK):
        plain = frequencies.explain(replace(spec, rule=None), ladder)
        if [d.name for d in plain] == ["theta"]:
            return [Departure("rule_parameter", "growth of theta", plain[0].found)]
        return [Departure("rule_parameter", "growth", d.found, d.expected) for d in plain[:1]]
    return frequencies.explain(spec, ladder)


def original_of(spec: RopeSpec) -> int:
    """The context of pretraining of a rule that depends on the length."""
    match spec.rule:
        case LongRope(original_max_position_embeddings=original):
            return original
        case DynamicNTK(max_position_embeddings=original):
            return original
    raise AssertionError(f"{spec.rule} does not depend on the length")


def ladder_at(measured: Measurement, length: int, relative: float, sign: float) -> Ladder:
    """The frequencies at a length, from the images of random vectors at its first positions."""
    turns = measured.by_length[length]
    p = turns.positions[:, 0]
    _, first = np.unique(p, return_index=True)
    rows = first[(p[first] > 0) & (p[first] <= 256) & turns.finite[first]]
    assert measured.reading is not None
    noise = measured.reading.roundoff
    fit = line(p[rows], turns.z[rows], noise, 3 * noise)
    return Ladder(sign * fit.w, fit.uncertainty + noise / len(rows), relative, length)


def without_consequences(found: Found) -> Found:
    """Without what follows from another departure, and each name once."""
    names = {d.name for d in found}
    hidden = set().union(*(HIDDEN.get(name, set()) for name in names))
    found = [d for d in found if d.name not in hidden]
    missing = "rule_missing" in names
    kept = [d for d in found if not (missing and d.name == "attention_factor" and d.found == 1.0)]
    return [d for index, d in enumerate(kept) if d.name not in [e.name for e in kept[:index]]]
