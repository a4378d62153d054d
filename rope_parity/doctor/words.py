"""A verdict or a description in words, at most 80 columns wide, and plain values for JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

from rope_spec import Explicit, RopeSpec

from ..identification.result import Evidence, Identification
from .sentence import WIDTH, sentence
from .verdict import Verdict


def verdict(given: Verdict) -> str:
    """The whole verdict."""
    count, evidence = len(given.findings), given.found.evidence
    if given.right:
        parts = [f"Right: {_looked(evidence)}.", *normal(given)]
    else:
        parts = [f"Wrong: {count} finding{'s' * (count > 1)}. Looked at {_looked(evidence)}."]
    parts += [f"{number}. {finding.text}" for number, finding in enumerate(given.findings, 1)]
    if given.findings and given.hidden:
        parts.append(f"Beside that, this cannot be seen: {', '.join(given.hidden)}.")
    return filled([*parts, *_not_tested(evidence)])


def normal(given: Verdict) -> list[str]:
    """What float arithmetic makes of the angles, and how large that error is."""
    how, errors = given.found.arithmetic, given.errors
    if how.angles == "exact" or not errors.positions.size:
        return [f"Angles are right to {given.angle_error:.2g} radians everywhere."]
    where = int(errors.positions[errors.by_position.argmax()])
    size = f"{given.angle_error:.2g} radians at position {where}"
    return [f"Angles are {how.angles}, off by up to {size}: that is normal."]


def description(found: Identification) -> str:
    """What a function is."""
    spec, how, evidence = found.spec, found.arithmetic, found.evidence
    shown = spec or RopeSpec(head_dim=2)
    return filled(
        [
            _spec(spec, evidence.attention_factor) if spec else "No RopeSpec describes it.",
            f"x in {how.dtype}; angles {how.angles}, off by up to {how.angle_error:.2g} at "
            f"position {how.position}.",
            *(f"{n}. {sentence(d, shown)}" for n, d in enumerate(found.departures, 1)),
            f"Looked at {_looked(evidence)}.",
            *_not_tested(evidence),
        ]
    )


def _looked(evidence: Evidence) -> str:
    count, last = evidence.positions
    return f"{count} positions up to {last}, {evidence.calls} calls"


def _not_tested(evidence: Evidence) -> list[str]:
    return [f"Not tested: {line}." for line in evidence.not_tested]


def filled(parts: Iterable[str]) -> str:
    """The parts below each other; lines that are too long are broken."""
    lines = (line for part in parts for line in part.split("\n"))
    return "\n".join(x if len(x) <= WIDTH else textwrap.fill(x, WIDTH) for x in lines)


def _spec(spec: RopeSpec, factor: float) -> str:
    parts = [
        f"head_dim {spec.head_dim}",
        f"{spec.rotary_dim} channels rotated from {spec.start} on",
        f"pairs read as {spec.read}" + (f", written as {spec.write}" if spec.write else ""),
        f"theta {spec.theta:g}",
        _rule(spec),
    ]
    parts += [f"{spec.pairs.axes} coordinates"] if spec.pairs.axes > 1 else []
    parts += ["turned backwards"] if spec.sign < 0 else []
    parts += [f"attention factor {factor:.6g}"] if factor != 1 else []
    return "; ".join(parts) + "."


def _rule(spec: RopeSpec) -> str:
    if isinstance(spec.rule, Explicit):
        return f"a list of {len(spec.rule.inv_freq)} frequencies that no rule gives"
    return "no scaling" if spec.rule is None else str(spec.rule)


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
