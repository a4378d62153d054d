"""Where the `rope_parameters` of each kind of layer are, in any spelling: its rope object."""

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
    keys, family = tower.keys, tower.family
    if family is None or not family.rope_object:
        return {label: Keys({}, keys.name) for label in labels}
    rope, name = _given(keys, family)
    if set(rope) & set(labels):
        return _by_label(keys, rope, name, labels)
    by_layer = _by_layer(tower, labels)
    is_flat = name == "rope_parameters" and not family.flat_rope
    if rope and (is_flat or (family.by_label and not family.by_layer)):
        raise ValueError(
            f"{keys.name}: got one {name} for all layers, expected rope_parameters with one for "
            f"each of {', '.join(labels)}. Give each its own."
        )
    return {
        label: _rope_object(
            keys, {**by_layer[label], **(rope if family.scaled else {})}, name, label, labels
        )
        for label, family in labels.items()
    }


def _given(keys: Keys, family: Family) -> tuple[Mapping[str, Any], str]:
    """The object of the config, of the newer or the older spelling, and its name."""
    new, old = keys.get("rope_parameters", OBJECT), keys.get("rope_scaling", OBJECT)
    if old and not family.old_rope:
        raise ValueError(
            f"{keys.name}: got rope_scaling, expected rope_parameters: this model type has no "
            "older spelling. Rename the key."
        )
    if new and old and new != old:
        raise ValueError(
            f"{keys.name}: got both rope_parameters and rope_scaling, expected one of them. "
            "Remove the stale one."
        )
    if new == {} and (
        family.by_label or family.rope or any(of_label.rope for of_label in family.labels.values())
    ):
        raise ValueError(
            f"{keys.name}: got an empty rope_parameters, expected what they are, or no such key: "
            "the model then has parameters of its own. Fill it in, or remove it."
        )
    return new or old or {}, "rope_parameters" if new else "rope_scaling"


def _by_label(
    keys: Keys, ropes: Mapping[str, Any], name: str, labels: Mapping[str, Family]
) -> dict[str, Keys | None]:
    around = keys.rope_object(ropes, name)
    around.skip(BESIDE_LABELS)
    objects = {label: around.get(label, OBJECT) for label in labels}
    nulls = {label for label in labels if around.is_null(label) and labels[label].flat_rope}
    return {
        label: None if label in nulls else _rope_object(keys, values or {}, name, label, labels)
        for label, values in objects.items()
    }


def _by_layer(tower: Tower, labels: Mapping[str, Family]) -> dict[str, dict[str, Any]]:
    """Rope objects from lists with a value for each layer, or from one number for all of them."""
    keys, family = tower.keys, tower.family
    objects: dict[str, dict[str, Any]] = {label: {} for label in labels}
    listed = () if family is None else family.by_layer.items()
    for key, older in listed:
        if isinstance(keys.values.get(older), list):
            for label, value in _shared_values(tower, older, labels).items():
                objects[label][key] = value
        elif key == older and (number := keys.get(older, float)) is not None:
            for label in labels:
                objects[label][key] = number
    return objects


def _shared_values(tower: Tower, key: str, labels: Mapping[str, Family]) -> dict[str, Any]:
    """The value that all layers of a label share in a list with one for each layer."""
    keys, kinds = tower.keys, labels_of(tower)
    values = without_prediction_layers(keys, keys.get(key, LIST, []), len(kinds))
    shared: dict[str, Any] = {}
    for label in labels:
        pairs = zip(values, kinds, strict=False)
        given: list[Any] = sorted({value for value, kind in pairs if kind == label})
        if len(values) != len(kinds) or len(given) > 1:
            raise ValueError(
                f"{keys.name}: got {key}={shown(values)}, expected one value for each of the "
                f"{len(kinds)} layers, the same for all of {label}. Build the RopeSpec of each "
                "layer yourself."
            )
        if given:
            shared[label] = given[0]
    return shared


def _rope_object(
    keys: Keys, values: Mapping[str, Any], name: str, label: str, labels: Mapping[str, Family]
) -> Keys:
    return keys.rope_object(
        values or labels[label].rope, f"{name}.{label}" if len(labels) > 1 else name
    )
