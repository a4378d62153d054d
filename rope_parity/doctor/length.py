"""Frequencies of a rule that depends on the length: within the original context, and beyond."""

from __future__ import annotations

from dataclasses import replace

from rope_spec import DynamicNTK, LongRope, RopeSpec

from ..identification.measure import Measurement
from ..identification.reading import Reading
from ..identification.result import Departure
from .explain import cost, explain, shortest
from .ladder import Ladder, ladder_at, whole_ladder, with_pairs
from .mistakes import Found

EVERYWHERE = "beyond the original context everywhere"


Ladders = dict[int, Ladder]  # by the length at which they were read, ascending


def of_length(
    measured: Measurement, reading: Reading, spec: RopeSpec, relative: float, sign: float
) -> Found:
    """The shortest explanation over what a wrong width leaves open."""
    original = original_of(spec)
    ladders = {n: ladder_at(measured, reading, n, relative, sign) for n in measured.by_length}
    within = {n: ladder for n, ladder in ladders.items() if n <= original}
    beyond = {n: ladder for n, ladder in ladders.items() if n > original}
    if beyond or not within:
        longest = max(beyond, default=measured.probe.context)
        beyond[longest] = whole_ladder(measured, reading, sign, relative, longest)
    depends = bool(measured.depends_on)
    specs = [one for one in with_pairs(spec, len(reading.w)) if one.depends_on_length] or [spec]
    return min((_of_length(one, within, beyond, depends) for one in specs), key=cost)


def _of_length(spec: RopeSpec, within: Ladders, beyond: Ladders, depends: bool) -> Found:
    """Departures within the original context, and further ones beyond it.

    Args:
        spec: the description.
        within: the ladders up to the original context.
        beyond: those beyond; the last one is that of the whole context.
        depends: whether the function rotates differently at different lengths.
    """
    found = shortest(spec, _last(within)) if within else []
    if not beyond:
        return found
    longest = _last(beyond)
    if found and not depends:
        return _without_dependence(spec, found, shortest(spec, longest))
    if found and _reads_as(spec, _last(within), longest.length):
        return [Departure("length_rule", EVERYWHERE, figures=(_reach(within),))]
    thetas = [d.found for d in found if d.name == "theta"]
    spec = replace(spec, theta=thetas[0]) if thetas else spec
    if any(explain(spec, ladder) for ladder in beyond.values()):
        return found + _beyond(spec, longest)
    wrong = {n: ladder for n, ladder in within.items() if explain(spec, ladder)}
    border = Departure("length_rule", "the border", figures=(_reach(wrong),)) if wrong else None
    return [*found, border] if border else found


def _last(ladders: Ladders) -> Ladder:
    return ladders[max(ladders)]


def _reach(ladders: Ladders) -> str:
    return f"at length {max(ladders)} it rotates as beyond the original context"


def _reads_as(spec: RopeSpec, ladder: Ladder, length: int | None) -> bool:
    """Whether frequencies are those that are described for another length."""
    return not explain(spec, replace(ladder, length=length))


def _without_dependence(spec: RopeSpec, within: Found, beyond: Found) -> Found:
    """Departures where the frequencies do not depend on the length, though they should."""
    found = beyond if cost(beyond) <= cost(within) else within
    if {d.name for d in found} & {"rule_missing", "length_rule"}:
        return found
    if found is beyond:
        return [*found, Departure("length_rule", EVERYWHERE)]
    missing = Departure("rule_missing", "", "none", type(spec.rule).__name__)
    is_growth = isinstance(spec.rule, DynamicNTK)
    return [*found, missing if is_growth else Departure("length_rule", "short factors")]


def _beyond(spec: RopeSpec, ladder: Ladder) -> Found:
    """Departures beyond the original context, when all is right within."""
    is_growth = isinstance(spec.rule, DynamicNTK)
    if _reads_as(spec, ladder, original_of(spec)):
        if is_growth:
            return [Departure("rule_missing", "", "none", "DynamicNTK")]
        return [Departure("length_rule", "short factors", "short", "long")]
    if not is_growth:
        return explain(spec, ladder)
    plain = explain(replace(spec, rule=None), ladder)
    if [d.name for d in plain] == ["theta"]:
        return [Departure("rule_parameter", "growth of theta", plain[0].found)]
    return [Departure("rule_parameter", "growth", d.found, d.expected) for d in plain[:1]]


def original_of(spec: RopeSpec) -> int:
    """The context of pretraining of a rule that depends on the length."""
    match spec.rule:
        case LongRope(original_max_position_embeddings=original):
            return original
        case DynamicNTK(max_position_embeddings=original):
            return original
    raise AssertionError(f"{spec.rule} does not depend on the length")
