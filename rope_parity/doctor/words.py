"""Departures in words: what differs, where, how large it is, how to mend it; at most 80 columns
wide.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rope_spec import Explicit, RopeSpec

from ..identification.result import Departure, Identification

if TYPE_CHECKING:
    from .verdict import Verdict

WIDTH = 80
INDENT = 3  # of the number of a finding
Words = Callable[[Departure, RopeSpec], str]


def sentence(departure: Departure, spec: RopeSpec) -> str:
    """What one departure is, as a paragraph."""
    text = WORDS[departure.name](departure, spec)
    where = [] if departure.pairs is None else [_pairs(departure.pairs)]
    if departure.position is not None and departure.name not in ("table_ends", "state"):
        where.append(f"It shows from position {departure.position} on.")
    if departure.size is not None and 0 < departure.size < math.inf:
        where.append(f"Largest error: {departure.size:.2g} of the length of a pair.")
    figures = [
        textwrap.fill(f"  {line}", WIDTH, subsequent_indent="    ") for line in departure.figures
    ]
    return "\n".join([textwrap.fill(" ".join([text, *where]), WIDTH - INDENT), *figures])


def _pairs(ends: tuple[int, int]) -> str:
    first, last = ends
    return (
        f"It shows in pair {first}." if first == last else f"It shows in pairs {first} to {last}."
    )


def _said(found: Any) -> str:
    if isinstance(found, float):
        return f"{found:.6g}"
    text = str(found)
    return text if len(text) < 60 else text[:56] + " ..."


def _layout_read(d: Departure, spec: RopeSpec) -> str:
    return (
        f"The two channels of a pair are read as {LAYOUT[d.found]}; the model has "
        f"{LAYOUT[d.expected]}. Change the "
        "order that the function takes, or convert the weights of the q and k projections with "
        "rope_spec.convert_projection, not both."
    )


def _layout_write(d: Departure, spec: RopeSpec) -> str:
    return (
        f"The rotated channels are written as {LAYOUT[d.found]}; the model writes "
        f"{LAYOUT[d.expected]}. Put the "
        "two halves of the result back in that order."
    )


LAYOUT = {
    "half": "halves (channel j with j + d / 2)",
    "interleaved": "neighbours (channel 2 j with 2 j + 1)",
    "half_per_axis": "halves of the block of each coordinate",
    "other": "neither halves nor neighbours",
    "half, exchanged": "halves, the second one first",
    "interleaved, exchanged": "neighbours, the second one first",
    "half_per_axis, exchanged": "halves of each block, the second one first",
}


def _width(d: Departure, spec: RopeSpec) -> str:
    if d.how == "compact":
        return (
            f"The {d.found} channels that turn are the first ones; the model pairs "
            "channel j with channel j + "
            f"{spec.rotary_dim // 2}, of which most stand still. Give the other pairs a "
            "frequency of 0."
        )
    return (
        f"{d.found} channels are rotated, {d.expected} should be. Look at head_dim and "
        "partial_rotary_factor."
    )


def _theta(d: Departure, spec: RopeSpec) -> str:
    return (
        f"theta is {_said(d.found)}, the config says {_said(float(d.expected))}. Look for "
        "rope_theta."
    )


def _rule_missing(d: Departure, spec: RopeSpec) -> str:
    if d.how:
        return f"The scaling {d.expected} is described, but {d.how}."
    return (
        f"The scaling {d.expected} of the config is not applied: the frequencies are those of "
        "a plain ladder."
    )


def _rule_parameter(d: Departure, spec: RopeSpec) -> str:
    found, expected = _said(d.found), _said(d.expected)
    said = f": found {found}, described {expected}" if d.found is not None else ""
    return (
        f"The scaling of the frequencies has another number ({d.how}){said}. Compare it with "
        "the config."
    )


def _frequencies(d: Departure, spec: RopeSpec) -> str:
    if d.how == "list":
        return "The frequencies are others than described, and there are more or fewer of them."
    if d.found is None:
        return "Some pairs have other frequencies, which nothing simpler explains."
    said = f"the first is {_said(d.found)} instead of {_said(d.expected)} radians per position"
    more = {"reversed": "They are in reverse order.", "permuted": "They are in another order."}
    return (
        f"{d.count} pairs have other frequencies; {said}. "
        f"{more.get(d.how, 'No simpler explanation was found.')}"
    )


def _factor(d: Departure, spec: RopeSpec) -> str:
    if d.how == "cos and sin":
        return (
            f"cos and sin have different factors, {_said(d.found[0])} and "
            f"{_said(d.found[1])}. Multiply both alike."
        )
    if d.found and abs(d.found / d.expected**2 - 1) < 1e-4 and d.expected != 1:
        return (
            f"The attention factor {_said(d.expected)} is applied twice. Multiply cos and sin "
            "by it once."
        )
    return (
        f"cos and sin are multiplied by {_said(d.found)}, not by {_said(d.expected)}. Look at "
        "attention_factor and mscale."
    )


def _offset(d: Departure, spec: RopeSpec) -> str:
    return f"Every position is taken for position {d.found:+d}. Count positions from 0."


def _rounded(what: str, mend: str) -> Words:
    return lambda d, spec: f"{what} are rounded to {d.how}. {mend}"


def _ends(d: Departure, spec: RopeSpec) -> str:
    how = {
        "clamped": f"every later position is given row {(d.found or 1) - 1}",
        "wrapped": "later positions begin again at 0",
        "zero": "later positions come out as zeros",
        "nan": "later positions come out as NaN",
        "still": "later positions are not rotated",
    }[d.how]
    return (
        f"A table of {d.found} rows: {how}. Make it as long as the context, or compute the "
        "angles without one."
    )


def _axes(d: Departure, spec: RopeSpec) -> str:
    if d.how == "sum":
        return "Pairs follow the sum of several coordinates of a position; each should follow one."
    return (
        "Pairs follow another coordinate of the position than described. Compare the "
        "sections of the config."
    )


def _length(d: Departure, spec: RopeSpec) -> str:
    how = {
        "not described": (
            "The frequencies change with the current length; the config has no such rule."
        ),
        "short factors": (
            "Beyond the original context the short factors are still used, not the long ones."
        ),
        "long factors": (
            "Within the original context the long factors are used, not the short ones."
        ),
        "the border": "The frequencies change at another length than described.",
    }
    return how.get(
        d.how, "The frequencies depend on the current length in another way than described."
    )


def _state(d: Departure, spec: RopeSpec) -> str:
    kind = {
        "length": "The result depends on the calls before it.",
        "dtype": "The result depends on the dtype of an earlier call.",
        "instance": "Two instances with different theta answer alike.",
    }[d.how]
    return (
        f"{kind} Look for a cache whose key lacks the length, the dtype or theta. Two calls "
        "show it:"
    )


def _not_a_rotation(d: Departure, spec: RopeSpec) -> str:
    return (
        "This is no rotation of pairs of channels. Often cos and sin are repeated for "
        "halves and the channels are "
        "paired as neighbours, or the reverse; or a minus sign is missing."
    )


WORDS: dict[str, Words] = {
    "layout_read": _layout_read,
    "layout_write": _layout_write,
    "rotated_width": _width,
    "start": lambda d, s: (
        f"The rotated channels begin at channel {d.found}, they should at {d.expected}."
    ),
    "theta": _theta,
    "exponent": lambda d, s: f"The exponent of theta is {d.found}.",
    "rule_missing": _rule_missing,
    "rule_parameter": _rule_parameter,
    "frequencies": _frequencies,
    "attention_factor": _factor,
    "sign": lambda d, s: (
        "Pairs turn the other way round. Exchange the signs of the two products with sin."
    ),
    "cos_sin_exchanged": lambda d, s: (
        "cos stands where sin belongs, and the reverse. Exchange them."
    ),
    "position_offset": _offset,
    "positions_rounded": _rounded("Positions", "Keep them as integers, or in float32."),
    "frequencies_rounded": _rounded("Frequencies", "Compute and keep inv_freq in float32."),
    "angles_rounded": _rounded("Angles", "Multiply positions and inv_freq in float32."),
    "table_rounded": _rounded("cos and sin", "Keep the table in float32."),
    "products_rounded": _rounded(
        "x or the products with it", "Rotate in the dtype of x, or in float32."
    ),
    "table_ends": _ends,
    "axes": _axes,
    "length_rule": _length,
    "state": _state,
    "not_linear": lambda d, s: (
        "The result is not linear in x: something beside a rotation is applied."
    ),
    "neighbour": lambda d, s: (
        "A token comes out different when other tokens change: rows depend on each other."
    ),
    "batch_row": lambda d, s: (
        "A batch row is not rotated by its own positions, or depends on another row."
    ),
    "heads": lambda d, s: (
        "Heads are treated differently, or depend on each other. Look at the order of the axes."
    ),
    "dtype": lambda d, s: (
        f"The result is {d.found} for x in {d.expected}. Cast it back to the dtype of x."
    ),
    "pass_through": lambda d, s: (
        f"Channels that are not rotated come back changed ({d.how}). Copy them as they are."
    ),
    "not_a_rotation": _not_a_rotation,
    "unexplained": lambda d, s: (
        "It differs, and no explanation was found. The figures are in the JSON."
    ),
}

CANNOT = "Beside that, this cannot be seen: "


def verdict(given: Verdict) -> str:
    """The whole verdict."""
    count, evidence = len(given.findings), given.found.evidence
    looked = (
        f"{evidence.positions[0]} positions up to {evidence.positions[1]}, {evidence.calls} calls"
    )
    parts = [
        f"Right: {looked}."
        if given.right
        else f"Wrong: {count} finding{'s' * (count > 1)}. Looked at {looked}."
    ]
    if given.right:
        parts += normal(given)
    parts += [f"{number}. {finding.text}" for number, finding in enumerate(given.findings, 1)]
    if given.findings and given.hidden:
        parts.append(CANNOT + ", ".join(given.hidden) + ".")
    parts += [f"Not tested: {line}." for line in evidence.not_tested]
    return "\n".join(_fill(part) for part in parts)


def normal(given: Verdict) -> list[str]:
    """What is normal in float arithmetic, and how large it is here."""
    how, errors = given.found.arithmetic, given.errors
    if how.angles == "exact" or not errors.positions.size:
        return [f"Angles are right to {given.angle_error:.2g} radians everywhere."]
    where = int(errors.positions[errors.by_position.argmax()])
    size = f"{given.angle_error:.2g} radians at position {where}"
    return [f"Angles are {how.angles}, off by up to {size}: that is normal."]


def _fill(part: str) -> str:
    return "\n".join(
        line if len(line) <= WIDTH else textwrap.fill(line, WIDTH) for line in part.split("\n")
    )


def plain(value: Any) -> Any:
    """Plain values, for JSON: NumPy's as Python's, tuples as lists, what is not finite as text."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def description(found: Identification) -> str:
    """What a function is, in words."""
    spec, how, evidence = found.spec, found.arithmetic, found.evidence
    lines = [
        "No RopeSpec describes it." if spec is None else _spec(spec, evidence.attention_factor)
    ]
    lines.append(
        f"x in {how.dtype}; angles {how.angles}, off by up to {how.angle_error:.2g} at "
        f"position {how.position}."
    )
    shown = spec or RopeSpec(head_dim=2)
    lines += [f"{number}. {sentence(d, shown)}" for number, d in enumerate(found.departures, 1)]
    lines.append(
        f"Looked at {evidence.positions[0]} positions up to {evidence.positions[1]}, "
        f"{evidence.calls} calls."
    )
    lines += [f"Not tested: {line}." for line in evidence.not_tested]
    return "\n".join(_fill(line) for line in lines)


def _spec(spec: RopeSpec, factor: float) -> str:
    rule = "no scaling" if spec.rule is None else _rule(spec)
    write = f", written as {spec.write}" if spec.write else ""
    parts = [
        f"head_dim {spec.head_dim}",
        f"{spec.rotary_dim} channels rotated from {spec.start} on",
    ]
    parts += [f"pairs read as {spec.read}{write}", f"theta {spec.theta:g}", rule]
    parts += [f"{spec.pairs.axes} coordinates"] if spec.pairs.axes > 1 else []
    parts += ["turned backwards"] if spec.sign < 0 else []
    parts += [f"attention factor {factor:.6g}"] if factor != 1 else []
    return "; ".join(parts) + "."


def _rule(spec: RopeSpec) -> str:
    if isinstance(spec.rule, Explicit):
        return f"a list of {len(spec.rule.inv_freq)} frequencies that no rule gives"
    return str(spec.rule)
