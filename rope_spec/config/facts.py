"""Stage two: from a tower to the facts of each kind of layer, typed and in one spelling."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..spec import Layout, RotateIn
from ..values import is_positive
from .family import Axes, Family
from .keys import ROPE_KEY, Keys, shown
from .layers import check_period
from .ropes import rope_objects
from .scaling import rule_facts
from .towers import Tower
from .widths import checked, head_width, per_layer_width, rotated_width, single_value


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
    read: Layout
    write: Layout | None
    sign: int
    rotate_in: RotateIn


def facts_of(tower: Tower, width: int | None = None) -> dict[str, Facts | None]:
    """The facts of each label of a tower, None for layers without a rotation. All keys are read.

    Args:
        tower: the part of a model.
        width: H, where its own keys do not say it.
    """
    text, family = tower.keys, tower.family
    if family is None:
        _check_no_rotation(text, tower.model_type)
        text.skip(ROPE_KEY)
        return {tower.name: None}
    labels = family.labels or {tower.name: family}
    rotates, ropes = _rotates(text, family), rope_objects(tower, labels)
    has_nope = _has_nope_layers(text, family)
    facts: dict[str, Facts | None] = {}
    for label, own in labels.items():
        rope = ropes[label]
        if rotates and not (has_nope and own.nope) and rope is not None:
            facts[label] = _facts(text, rope, own, width or per_layer_width(tower, label, own))
        else:
            facts[label] = None
            _skip(rope)
    if not rotates:
        text.skip(ROPE_KEY)
    if family.layers:
        check_period(text, family.layers)
        text.read |= {key for key in (family.layers.flags, family.layers.period_key) if key}
    return facts | _indexer(text, family, facts)


def _facts(text: Keys, rope: Keys, family: Family, width: int | None) -> Facts:
    head_dim = checked(text, head_width(text, family) if width is None else width)
    rule, parameters = rule_facts(rope, text, family, head_dim)
    rope.read.update(family.ignores)
    text.read.update(family.unused if rule == "default" else ())
    rotary_dim = rotated_width(rope, text, family, head_dim)
    if rule == "yarn" and rotary_dim % 2:
        raise ValueError(
            f"{rope.name}: got yarn for {rotary_dim} rotated channels, expected an even number: "
            "its ramp is one of pairs. Build the RopeSpec yourself."
        )
    return Facts(
        head_dim=head_dim,
        rotary_dim=rotary_dim,
        start=0,
        theta=_theta(rope, text, family, head_dim),
        rule=rule,
        parameters=parameters,
        axes=family.axes,
        axis_count=family.axis_count,
        width_first=family.width_first,
        sections=() if not family.sections else _sections(rope, family),
        read=_layout(text, family),
        write=family.write,
        sign=family.sign,
        rotate_in=family.rotate_in,
    )


def _check_no_rotation(text: Keys, model_type: str) -> None:
    """Refuse a type without a rotary embedding whose config asks for one."""
    kind = text.values.get("position_embedding_type")
    if isinstance(kind, str) and re.search("rope|rotary", kind):
        raise ValueError(
            f"{text.name}: got position_embedding_type={kind!r}, and model_type={model_type!r} "
            "has no rotary embedding, "
            'expected the type whose code it runs. Name a described one: model_type="...".'
        )


def _theta(rope: Keys, text: Keys, family: Family, head_dim: int) -> float:
    # the config's own is for labels without one
    theta = rope.get("rope_theta", float) if family.by_label else None
    default = None if family.needs_theta else family.theta_default
    theta = theta or single_value(rope, text, "rope_theta", family.theta, default)
    beside = text.get(family.theta_beside, float)
    if beside not in (None, theta):
        raise ValueError(
            f"{text.name}: got {family.theta_beside}={beside} and rope_theta={theta}, expected "
            "one number: transformers reads rope_theta alone. Give rope_theta the theta of the "
            "model."
        )
    is_dynamic = rope.values.get("rope_type", rope.values.get("type")) == "dynamic"
    alpha = rope.get("alpha", float) if family.alpha and is_dynamic else None
    if not alpha:
        return theta
    if head_dim <= 2 or not is_positive(alpha):
        raise ValueError(
            f"{rope.name}: got alpha={alpha} for a head of {head_dim}, expected a number above 0, "
            "and a wider one. Correct it."
        )
    return theta * alpha ** (head_dim / (head_dim - 2))


def _sections(rope: Keys, family: Family) -> tuple[int, ...]:
    """The pairs of each axis, from `mrope_section` or as the model type has them."""
    if rope.get("mrope_interleaved", bool, family.axes == "strided") != (family.axes == "strided"):
        raise ValueError(
            f"{rope.name}: got mrope_interleaved other than this model has it, expected "
            f"{family.axes == 'strided'}. Correct the value, or read it as another model_type."
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


def _layout(text: Keys, family: Family) -> Layout:
    """Which channels are a pair, where that is a key of the config."""
    name = text.get(family.read_key, str)
    if name is not None and name not in family.reads:
        raise ValueError(
            f"{text.name}: got {family.read_key}={shown(name)}, expected one of "
            f"{', '.join(family.reads)}. Build the RopeSpec yourself."
        )
    read = family.read if name is None else family.reads[name]
    return read if text.get(family.interleave_key, bool, True) else "half"


def _rotates(text: Keys, family: Family) -> bool:
    """Whether the model rotates at all, where that is a key of its config."""
    switch = family.rotates_if
    return (
        switch is None or text.get(switch.key, type(switch.equals), switch.default) == switch.equals
    )


def _has_nope_layers(text: Keys, family: Family) -> bool:
    """Whether the NoPE layers of this family apply to this config: some need a sliding window."""
    if family.window is None or not text.is_null(family.window):
        return True
    if family.without_window != "rotates":
        raise ValueError(
            f"{text.name}: got {family.window}=null, expected a length: without one this model "
            "would not rotate at all."
        )
    return False


def _skip(rope: Keys | None) -> None:
    if rope is not None:
        rope.skip()


def _indexer(text: Keys, family: Family, facts: Mapping[str, Facts | None]) -> dict[str, Facts]:
    """The facts of the indexer beside attention, if the config has the width of its heads."""
    own = family.indexer
    width = (
        next((value for key in own.head_dim if (value := text.get(key, int))), None)
        if own
        else None
    )
    attention = next(filter(None, facts.values()), None)
    if own is None or width is None or attention is None:
        return {}
    start = width - attention.rotary_dim if own.last else 0
    layout = {"read": own.read, "write": None} if own.read else {}
    parameters = {
        **attention.parameters,
        **({"scales_softmax": False} if attention.rule == "yarn" else {}),
    }
    return {
        "indexer": replace(attention, head_dim=width, start=start, parameters=parameters, **layout)
    }
