"""Stage two: each key is resolved once, for each kind of layer: aliases, defaults and units."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..spec import Layout, RotateIn, Unit
from ..values import positive
from .family import Axes, Family
from .keys import ROPE_KEY, Keys, shown
from .layers import check_period
from .ropes import rope_objects
from .scaling import rule_facts
from .towers import Tower
from .widths import checked_head_width, head_width, per_layer_width, rotated_width, single_value


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The rotary embedding of one kind of layer, as its config and its model type have it."""

    head_dim: int
    rotary_dim: int
    theta: float
    rule: str  # a rope type in today's spelling; `default` for none
    parameters: Mapping[str, Any]  # the fields of the rule
    start: int  # the first rotated channel
    axes: Axes
    axis_count: int
    width_first: bool
    sections: tuple[int, ...]
    real: bool
    unit: Unit
    read: Layout
    write: Layout | None
    sign: int
    rotate_in: RotateIn


def facts_of(tower: Tower, width: int | None = None) -> dict[str, Facts | None]:
    """The facts of each label of a tower, None for layers without a rotation.

    Every key of the rotation counts as used, so that `check_unread` can find the others.

    Args:
        tower: the part of a model.
        width: H, if its own keys do not say it.
    """
    keys, family = tower.keys, tower.family
    if family is None:
        _check_no_rotation(keys, tower.model_type)
        keys.skip(ROPE_KEY)
        return {tower.name: None}
    labels = family.labels or {tower.name: family}
    rotates, ropes = _rotates(keys, family), rope_objects(tower, labels)
    has_nope = _has_nope_layers(keys, family)
    facts: dict[str, Facts | None] = {}
    for label, label_family in labels.items():
        rope, rotates_here = ropes[label], rotates and not (has_nope and label_family.nope)
        if rope is not None and rotates_here:
            own_width = width or per_layer_width(tower, label, label_family)
            facts[label] = _facts(keys, rope, label_family, own_width)
        else:
            facts[label] = None
            if rope is not None:
                rope.skip()
    if not rotates:
        keys.skip(ROPE_KEY)
    if family.layers:
        check_period(keys, family.layers)
        keys.mark_used(family.layers.flags, family.layers.period_key)
    return facts | _indexer(keys, family, facts)


def _facts(keys: Keys, rope: Keys, family: Family, width: int | None) -> Facts:
    head_dim = checked_head_width(keys, head_width(keys, family) if width is None else width)
    rule, parameters = rule_facts(rope, keys, family, head_dim)
    rope.mark_used(*family.ignores)
    keys.mark_used(*(family.unused if rule == "default" else ()))
    rotary_dim = rotated_width(rope, keys, family, head_dim)
    if rule == "yarn" and rotary_dim % 2:
        raise ValueError(
            f"{rope.name}: got yarn for {rotary_dim} rotated channels, expected an even number: "
            "its ramp runs over pairs of channels. Build the RopeSpec yourself."
        )
    return Facts(
        head_dim=head_dim,
        rotary_dim=rotary_dim,
        start=0,
        theta=_theta(rope, keys, family, head_dim),
        rule=rule,
        parameters=parameters,
        axes=family.axes,
        axis_count=family.axis_count,
        width_first=family.width_first,
        sections=() if not family.sections else _sections(rope, family),
        real=family.real,
        unit=family.unit,
        read=_layout(keys, family),
        write=family.write,
        sign=family.sign,
        rotate_in=family.rotate_in,
    )


def _check_no_rotation(keys: Keys, model_type: str) -> None:
    """Raise ValueError if the config asks for a rotary embedding, and its model type has none."""
    kind = keys.values.get("position_embedding_type")
    if isinstance(kind, str) and re.search("rope|rotary", kind):
        raise ValueError(
            f"{keys.name}: got position_embedding_type={kind!r}, and model_type={model_type!r} "
            "has no rotary embedding, expected a type that has one. Pass model_type= with the type "
            "whose code the model runs."
        )


def _theta(rope: Keys, keys: Keys, family: Family, head_dim: int) -> float:
    # by label: the theta in the label's own object counts before the one of the config
    theta = rope.get("rope_theta", float) if family.by_label else None
    default = None if family.needs_theta else family.theta_default
    theta = theta or single_value(rope, keys, "rope_theta", family.theta, default)
    other = keys.get(family.theta_beside, float)
    if other not in (None, theta):
        raise ValueError(
            f"{keys.name}: got {family.theta_beside}={other} and rope_theta={theta}, expected "
            "one number: transformers reads only rope_theta. Give rope_theta the theta of the "
            "model."
        )
    is_dynamic = rope.values.get("rope_type", rope.values.get("type")) == "dynamic"
    alpha = rope.get("alpha", float) if family.alpha and is_dynamic else None
    if not alpha:
        return theta
    if head_dim <= 2:
        raise ValueError(
            f"{rope.name}: got alpha={alpha} for a head of {head_dim}, expected more than 2 "
            "channels: the exponent is d / (d - 2). Correct the head width."
        )
    return theta * positive(f"{rope.name}.alpha", alpha) ** (head_dim / (head_dim - 2))


def _sections(rope: Keys, family: Family) -> tuple[int, ...]:
    """The number of pairs of each axis, from `mrope_section` or else from the model type."""
    is_strided = family.axes == "strided"
    if rope.get("mrope_interleaved", bool, is_strided) != is_strided:
        raise ValueError(
            f"{rope.name}: got mrope_interleaved={not is_strided}, expected {is_strided}: so is "
            "this model. Correct the value, or read it as another model_type."
        )
    if "mrope_section" not in rope.values:
        return family.sections
    given = rope.numbers("mrope_section", "it divides the pairs")
    sections = tuple(int(length) for length in given)
    if len(sections) != 3 or min(sections) < 1 or sections != given:
        raise ValueError(
            f"{rope.name}: got mrope_section={shown(list(given))}, expected 3 whole lengths. "
            "Correct it."
        )
    return sections


def _layout(keys: Keys, family: Family) -> Layout:
    """The layout that x is read in: from the config if it has a key for that, else the family's."""
    name = keys.get(family.read_key, str)
    if name is not None and name not in family.reads:
        raise ValueError(
            f"{keys.name}: got {family.read_key}={shown(name)}, expected one of "
            f"{', '.join(family.reads)}. Build the RopeSpec yourself."
        )
    read = family.read if name is None else family.reads[name]
    return read if keys.get(family.interleave_key, bool, True) else "half"


def _rotates(keys: Keys, family: Family) -> bool:
    """Whether the model rotates at all: some configs have a key for that."""
    switch = family.rotates_if
    return (
        switch is None or keys.get(switch.key, type(switch.equals), switch.default) == switch.equals
    )


def _has_nope_layers(keys: Keys, family: Family) -> bool:
    """Whether the NoPE layers of this family apply to this config: some need a sliding window."""
    if family.window is None or not keys.is_null(family.window):
        return True
    if not family.rotates_without_window:
        raise ValueError(
            f"{keys.name}: got {family.window}=null, expected a length: without one this model "
            "would not rotate at all."
        )
    return False


def _indexer(keys: Keys, family: Family, facts: Mapping[str, Facts | None]) -> dict[str, Facts]:
    """The facts of the indexer beside attention, if the config has the width of its heads."""
    indexer, attention = family.indexer, next(filter(None, facts.values()), None)
    if indexer is None or attention is None:
        return {}
    width = next((value for key in indexer.head_dim if (value := keys.get(key, int))), None)
    if width is None:
        return {}
    start = width - attention.rotary_dim if indexer.last else 0
    layout = {"read": indexer.read, "write": None} if indexer.read else {}
    parameters = {
        **attention.parameters,
        **({"scales_softmax": False} if attention.rule == "yarn" else {}),
    }
    return {
        "indexer": replace(attention, head_dim=width, start=start, parameters=parameters, **layout)
    }
