"""Stage three: from the facts of a label to its RopeSpec."""

import math
from dataclasses import replace

from ..pairs import Pairs
from ..spec import RopeSpec
from .facts import Facts
from .scaling import rule_of


def spec_of(facts: Facts, label: str) -> RopeSpec:
    """The RopeSpec; the label is for its errors."""
    return RopeSpec(
        head_dim=facts.head_dim,
        theta=facts.theta,
        pairs=_pairs(facts, label),
        rule=rule_of(facts.rule, dict(facts.parameters)),
        read=facts.read,
        write=facts.write,
        start=facts.start,
        sign=facts.sign,
    )


def _pairs(facts: Facts, label: str) -> Pairs:
    match facts.axes:
        case "single":
            return Pairs.single(rotary_dim=facts.rotary_dim)
        case "axial" | "axial_shared" | "axial_alternating":
            axes = facts.axis_count
            rotary_dim = (
                facts.rotary_dim if axes == 2 else facts.rotary_dim // (2 * axes) * 2 * axes
            )
            pairs = getattr(Pairs, facts.axes)(rotary_dim=rotary_dim, axes=axes)
            return (
                replace(pairs, axis=tuple(1 - axis for axis in pairs.axis))
                if facts.width_first
                else pairs
            )
        case "alternating":
            return Pairs.alternating(rotary_dim=facts.rotary_dim)
        case "strided":
            return Pairs.strided(facts.sections, math.ceil(facts.rotary_dim / 2))
        case "sections" | "spatial_first":
            return _sectioned(facts, label)


def _sectioned(facts: Facts, label: str) -> Pairs:
    if 2 * sum(facts.sections) != facts.rotary_dim:
        raise ValueError(
            f"{label}: got sections {list(facts.sections)}, from mrope_section or as this model "
            f"type has them, expected 3 whole lengths that sum to the {facts.rotary_dim // 2} "
            "pairs. Give the mrope_section of this head width."
        )
    if facts.axes == "sections":
        return Pairs.sections(mrope_section=facts.sections)
    return getattr(Pairs, facts.axes)(facts.sections)
