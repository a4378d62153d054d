"""Stage three: from the facts of a label to its RopeSpec."""

import math
from dataclasses import replace

from ..pairs import Pairs
from ..spec import RopeSpec
from .facts import Facts
from .scaling import rule_of

AXIAL = {
    "axial": Pairs.axial,
    "axial_shared": Pairs.axial_shared,
    "axial_alternating": Pairs.axial_alternating,
}


def spec_of(facts: Facts, label: str) -> RopeSpec:
    """The RopeSpec of one kind of layer; the label is for error texts."""
    return RopeSpec(
        head_dim=facts.head_dim,
        theta=facts.theta,
        pairs=_pairs(facts, label),
        rule=rule_of(facts.rule, dict(facts.parameters)),
        read=facts.read,
        write=facts.write,
        start=facts.start,
        sign=facts.sign,
        real=facts.real,
        unit=facts.unit,
    )


def _pairs(facts: Facts, label: str) -> Pairs:
    match facts.axes:
        case "single":
            return Pairs.single(rotary_dim=facts.rotary_dim)
        case "axial" | "axial_shared" | "axial_alternating":
            pairs = AXIAL[facts.axes](rotary_dim=_axial_width(facts), axes=facts.axis_count)
            if facts.width_first:
                return replace(pairs, axis=tuple(1 - axis for axis in pairs.axis))
            return pairs
        case "alternating":
            return Pairs.alternating(rotary_dim=facts.rotary_dim)
        case "strided":
            return Pairs.strided(facts.sections, math.ceil(facts.rotary_dim / 2))
        case "sections" | "spatial_first":
            return _sectioned(facts, label)


def _axial_width(facts: Facts) -> int:
    """Two axes have to divide the rotated width; three (MiniMax-M3) take the part they divide."""
    per_pair = 2 * facts.axis_count
    return facts.rotary_dim - facts.rotary_dim % per_pair * (facts.axis_count > 2)


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
