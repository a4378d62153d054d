"""Stage two: from a tower to the facts of each kind of layer, typed and in one spelling, whichever the config has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..spec import Layout, RotateIn
from .family import Axes, Family
from .keys import ROPE_KEY, Keys, shown
from .scaling import rule_facts
from .towers import Tower

WIDEST = 2**16  # no head is wider; a wider one would only fill the memory


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The rotary embedding of one kind of layer, as its config and its model type have it."""

    head_dim: int
    rotary_dim: int
    theta: float
    rule: str  # a rope type in today's spelling; `default` for none
    parameters: Mapping[str, Any]  # the fields of the rule
    axes: Axes
    sections: tuple[int, ...]
    read: Layout
    write: Layout | None
    sign: int
    rotate_in: RotateIn


def facts_of(tower: Tower) -> dict[str, Facts | None]:
    """The facts of each label of a tower; None for layers without a rotation. Every key that counts is read here."""
    text, family = tower.keys, tower.family
    if family is None:
        text.skip(ROPE_KEY)
        return {tower.name: None}
    labels = family.labels or {tower.name: family}
    rotates, ropes = _rotates(text, family), _rope_objects(text, family, labels)
    nope = {label for label, own in labels.items() if own.nope} if _has_nope_layers(text, family) else set()
    facts = {}
    for label, own in labels.items():
        if not rotates or label in nope:
            ropes[label].skip()
            facts[label] = None
        else:
            facts[label] = _facts(text, ropes[label], own)
    if not rotates:
        text.skip(ROPE_KEY)
    text.read |= {key for key in _layer_keys(family) if key}
    return facts


def _facts(text: Keys, rope: Keys, family: Family) -> Facts:
    head_dim = _head_dim(text, family)
    share = 1.0
    if family.partial is not None:
        share = _single_value(rope, text, "partial_rotary_factor", family.partial, family.partial_default)
    rotary_dim = int(head_dim * share)
    rule, parameters = rule_facts(rope, text, family, head_dim)
    rope.read.update(family.ignores)
    text.read.update(family.unused)
    return Facts(
        head_dim=head_dim,
        rotary_dim=rotary_dim,
        theta=_theta(rope, text, family, head_dim),
        rule=rule,
        parameters=parameters,
        axes=family.axes,
        sections=() if not family.sections else _sections(rope, family),
        read=family.read if text.get(family.interleave_key, bool, True) else "half",
        write=family.write,
        sign=family.sign,
        rotate_in=family.rotate_in,
    )


def _head_dim(text: Keys, family: Family) -> int:
    paths, default = family.head_dim, family.head_dim_default
    named = {path: value for path in paths if "/" not in path and (value := text.quotient(path, int))}
    if len(set(named.values())) > 1:
        raise ValueError(f"{text.name}: got {named}, expected one head width. Give the width of the part that is rotated.")
    shares = (value for path in paths if "/" in path and (value := text.quotient(path, int)))
    width = next((value for values in (named.values(), shares) for value in values), default)
    if width is None or (width == default and any(text.is_null(path) for path in paths)):
        raise ValueError(f"{text.name}: got none of {', '.join(paths)}, expected one of them for the head width.")
    if not 1 <= width <= WIDEST:
        raise ValueError(f"{text.name}: got a head width of {shown(width)}, expected 1 to {WIDEST}.")
    return width


def _theta(rope: Keys, text: Keys, family: Family, head_dim: int) -> float:
    default = None if family.by_label else family.theta_default
    theta = rope.get("rope_theta", float) if family.by_label else None  # the config's own is for labels that have none
    theta = theta or _single_value(rope, text, "rope_theta", family.theta, default)
    alpha = rope.get("alpha", float) if family.alpha else None
    return theta * alpha ** (head_dim / (head_dim - 2)) if alpha else theta


def _single_value(rope: Keys, text: Keys, key: str, paths: tuple[str, ...], default: float | None) -> float:
    """A number that may stand in the rope object or around it: the same wherever it does, else the default."""
    given = {rope.get(key, float), *(text.quotient(path, float) for path in paths)} - {None}
    is_null = rope.is_null(key) or any(text.is_null(path) for path in paths)
    if len(given) > 1 or not given and (default is None or is_null):
        got = f"{key} as {' and '.join(map(str, sorted(given)))}" if given else f"null or no {key}"
        raise ValueError(f"{rope.name}: got {got}, expected one number. Give it once, in one place.")
    return next(iter(given), default)  # pyright: ignore[reportReturnType]


def _sections(rope: Keys, family: Family) -> tuple[int, ...]:
    """The pairs of each axis, from `mrope_section` or as the model type has them."""
    if rope.get("mrope_interleaved", bool, family.axes == "strided") != (family.axes == "strided"):
        raise ValueError(
            f"{rope.name}: got mrope_interleaved other than this model has it, expected {family.axes == 'strided'}."
        )
    if "mrope_section" not in rope.values:
        return family.sections
    given = rope.numbers("mrope_section", "it divides the pairs")
    sections = tuple(int(length) for length in given)
    if len(sections) != 3 or min(sections) < 1 or sections != given:
        raise ValueError(f"{rope.name}: got mrope_section={shown(list(given))}, expected 3 whole lengths.")
    return sections


def _rope_objects(text: Keys, family: Family, labels: Mapping[str, Family]) -> dict[str, Keys]:
    """For each label its rope object: `rope_parameters`, flat or by label, or the older `rope_scaling`."""
    new = text.get("rope_parameters", dict)
    old = None if family.by_label else text.get("rope_scaling", dict)
    if new and old and new != old:
        raise ValueError(f"{text.name}: got both rope_parameters and rope_scaling, expected one of them. Remove the stale one.")
    if new == {} and family.rope:
        raise ValueError(f"{text.name}: got rope_parameters={{}}, expected what they are, or no such key for the model's own.")
    found, name = new or old or {}, "rope_parameters" if new else "rope_scaling"
    if set(found) & set(labels):
        objects = _by_label(text, found, name, labels)
    elif found and family.by_label:
        raise ValueError(f"{text.name}: got one rope_parameters for all layers, expected one for each of {', '.join(labels)}.")
    else:
        objects = {label: found if own.scaled else None for label, own in labels.items()}
    return {
        label: text.inside(objects[label] or own.rope, f"{name}.{label}" if len(labels) > 1 else name)
        for label, own in labels.items()
    }


def _by_label(text: Keys, found: Mapping[str, Any], name: str, labels: Mapping[str, Family]) -> dict[str, Any]:
    objects = text.inside(found, name)
    return {label: objects.get(label, dict) for label in labels}


def _rotates(text: Keys, family: Family) -> bool:
    """Whether the model rotates at all, where that is a key of its config."""
    switch = family.rotates_if
    return switch is None or text.get(switch.key, type(switch.equals), switch.default) == switch.equals


def _has_nope_layers(text: Keys, family: Family) -> bool:
    """Whether the labels without a rotation hold: some models rotate everywhere when they have no sliding window."""
    if family.window is None or not text.is_null(family.window):
        return True
    if family.without_window != "rotates":
        raise ValueError(
            f"{text.name}: got {family.window}=null, expected a length: without one this model would not rotate at all."
        )
    return False


def _layer_keys(family: Family) -> tuple[str | None, ...]:
    return () if family.layers is None else (family.layers.flags, family.layers.period_key)
