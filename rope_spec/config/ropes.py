"""Where the rope objects of a tower are: one for each kind of layer, in any of the spellings."""

import re
from collections.abc import Mapping
from typing import Any

from .family import Family
from .keys import LIST, OBJECT, Keys, shown
from .layers import labels_of, without_prediction_layers
from .towers import Tower

# Beside objects by label these keys have no effect, as in transformers
BESIDE_LABELS = re.compile("^(rope_theta|rope_type|partial_rotary_factor)$")


def rope_objects(tower: Tower, labels: Mapping[str, Family]) -> dict[str, Keys | None]:
    """The rope object of each label; None where it is null and the label does not rotate.

    That is `rope_parameters`, flat or by label, or the older `rope_scaling`, or what the model type
    has by itself.
    """
    text, family = tower.keys, tower.family
    if family is None or not family.rope_object:
        return {label: Keys({}, text.name) for label in labels}
    found, name = _given(text, family)
    if set(found) & set(labels):
        return _by_label(text, found, name, labels)
    by_layer = _by_layer(tower, labels)
    is_flat = name == "rope_parameters" and not family.flat_rope
    if found and (is_flat or (family.by_label and not family.by_layer)):
        raise ValueError(
            f"{text.name}: got one {name} for all layers, expected rope_parameters with one for "
            f"each of {', '.join(labels)}. Give each its own."
        )
    return {
        label: _inside(
            text, {**by_layer[label], **(found if own.scaled else {})}, name, label, labels
        )
        for label, own in labels.items()
    }


def _given(text: Keys, family: Family) -> tuple[Mapping[str, Any], str]:
    """The object of the config, of the newer or the older spelling, and its name."""
    new, old = text.get("rope_parameters", OBJECT), text.get("rope_scaling", OBJECT)
    if old and not family.old_rope:
        raise ValueError(
            f"{text.name}: got rope_scaling, expected rope_parameters: this model type has no "
            "older spelling. Rename the key."
        )
    if new and old and new != old:
        raise ValueError(
            f"{text.name}: got both rope_parameters and rope_scaling, expected one of them. "
            "Remove the stale one."
        )
    if new == {} and (
        family.by_label or family.rope or any(own.rope for own in family.labels.values())
    ):
        raise ValueError(
            f"{text.name}: got rope_parameters={{}}, expected what they are, or no such key for "
            "the model's own. Remove the key."
        )
    return new or old or {}, "rope_parameters" if new else "rope_scaling"


def _by_label(
    text: Keys, found: Mapping[str, Any], name: str, labels: Mapping[str, Family]
) -> dict[str, Keys | None]:
    around = text.inside(found, name)
    around.skip(BESIDE_LABELS)
    objects = {label: around.get(label, OBJECT) for label in labels}
    nulls = {label for label in labels if around.is_null(label) and labels[label].flat_rope}
    return {
        label: None if label in nulls else _inside(text, values or {}, name, label, labels)
        for label, values in objects.items()
    }


def _by_layer(tower: Tower, labels: Mapping[str, Family]) -> dict[str, dict[str, Any]]:
    """Rope objects from lists with a value for each layer, or from one number for all of them."""
    text, family = tower.keys, tower.family
    objects: dict[str, dict[str, Any]] = {label: {} for label in labels}
    listed = () if family is None else family.by_layer.items()
    for key, own in listed:
        if isinstance(text.values.get(own), list):
            for label, value in _shared_values(tower, own, labels).items():
                objects[label][key] = value
        elif key == own and (number := text.get(own, float)) is not None:
            for label in labels:
                objects[label][key] = number
    return objects


def _shared_values(tower: Tower, key: str, labels: Mapping[str, Family]) -> dict[str, Any]:
    """The value that all layers of a label share in a list with one for each layer."""
    text, kinds = tower.keys, labels_of(tower)
    values = without_prediction_layers(text, text.get(key, LIST, []), len(kinds))
    shared: dict[str, Any] = {}
    for label in labels:
        pairs = zip(values, kinds, strict=False)
        given: set[Any] = {value for value, kind in pairs if kind == label}
        if len(values) != len(kinds) or len(given) > 1:
            raise ValueError(
                f"{text.name}: got {key}={shown(values)}, expected one value for each of the "
                f"{len(kinds)} layers, the same for all of {label}. Build the RopeSpec of each "
                "layer yourself."
            )
        shared |= dict.fromkeys([label] * len(given), *given)
    return shared


def _inside(
    text: Keys, values: Mapping[str, Any], name: str, label: str, labels: Mapping[str, Family]
) -> Keys:
    return text.inside(values or labels[label].rope, f"{name}.{label}" if len(labels) > 1 else name)
