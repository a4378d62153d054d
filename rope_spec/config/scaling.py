"""The rule that a rope object names, and its parameters."""

from dataclasses import MISSING, Field, fields
from typing import Any

from ..rules import DynamicNTK, Linear, Llama3, LongRope, Proportional, Rule, Yarn
from .family import Family
from .keys import Keys

RULES = {
    "linear": Linear,
    "dynamic": DynamicNTK,
    "yarn": Yarn,
    "llama3": Llama3,
    "longrope": LongRope,
}
# By the annotations in rules.py, which therefore has no `from __future__ import annotations`
KIND_OF_FIELD: dict[object, type[Any]] = {
    float: float,
    float | None: float,
    int: int,
    bool: bool,
    tuple[float, ...]: list,
}


def rule_facts(rope: Keys, keys: Keys, family: Family, head_dim: int) -> tuple[str, dict[str, Any]]:
    """The name of the rule in today's spelling, and its arguments.

    Args:
        rope: the rope object.
        keys: the object around it, for the lengths.
        family: what the model_type means.
        head_dim: H.
    """
    name = rope_type(rope, family)
    if name == "default":
        return name, {}
    if name == "proportional":
        if family.partial is not None or family.rotary_dim:
            raise ValueError(
                f"{rope.name}: got rope type 'proportional', whose share is of the whole head, "
                "expected another for a model that rotates a part of it. Build the RopeSpec "
                "yourself."
            )
        share = rope.get("partial_rotary_factor", float, 1.0)
        if not 0 <= share <= 1:
            raise ValueError(
                f"{rope.name}: got partial_rotary_factor={share!r}, expected 0 to 1. Correct the "
                "value."
            )
        return name, {
            "rotated": int(share * head_dim // 2),
            "factor": rope.get("factor", float, 1.0),
        }
    return name, {
        field.name: _value(field, name, rope, keys, family) for field in fields(RULES[name])
    }


def rule_of(name: str, parameters: dict[str, Any]) -> Rule | None:
    """The rule itself; None without scaling."""
    if name == "default":
        return None
    return (Proportional if name == "proportional" else RULES[name])(**parameters)


def _value(field: Field[Any], rule: str, rope: Keys, keys: Keys, family: Family) -> Any:
    """An argument of a rule; lengths may stand in the object around the rope object."""
    match field.name:
        case "scales_softmax":
            return family.scales_softmax
        case "max_position_embeddings":
            return family_context_length(keys, family)
        case "original_max_position_embeddings":
            return _original_length(rope, keys, family)
        case "factor" if rule == "longrope" and rope.get("factor", float) is None:
            return family_context_length(keys, family) / _original_length(rope, keys, family)
        case _:
            return _own_value(field, rule, rope)


def _own_value(field: Field[Any], rule: str, rope: Keys) -> Any:
    """An argument of a rule, from the rope object itself."""
    kind, why = KIND_OF_FIELD[field.type], f"rope type {rule!r} needs it"
    if kind is list:
        return rope.numbers(field.name, why)
    default: Any = field.default
    if default is MISSING:
        return rope.need(field.name, kind, why)
    return rope.get(field.name, kind, default)


def rope_type(rope: Keys, family: Family) -> str:
    """The name of the rule in today's spelling; ValueError for one that the model does not know."""
    given = rope.get("rope_type", str, rope.get("type", str, "default"))
    if given == "default" and rope.get("factor", float) and "factor" not in family.ignores:
        raise ValueError(
            f"{rope.name}: got a factor without a rope_type, or with 'default', expected one of "
            f"{', '.join(family.rope_types)}. Name the one that says what the factor does."
        )
    _check_spelling(rope, family, given)
    name = family.rope_type_aliases.get(given, given)
    if family.alpha and name == "dynamic" and rope.get("alpha", float):
        rope.mark_used("factor")
        return "default"
    if name not in family.rope_types:
        raise ValueError(
            f"{rope.name}: got rope type {given!r}, expected one of "
            f"{', '.join(family.rope_types)}. Build the RopeSpec yourself for another rule."
        )
    return "default" if name == "axial" else name  # axial: of vision towers, see `Family.axes`


def _check_spelling(rope: Keys, family: Family, given: str) -> None:
    """Raise ValueError for what transformers drops in silence if each label has its rope object."""
    if not family.splits:
        return
    if "rope_type" not in rope.values and given != "default":
        raise ValueError(
            f"{rope.name}: got type={given!r}, which transformers reads as 'default' where each "
            "kind of layer has its rope_parameters, expected it as rope_type. Rename the key."
        )
    if given == "yarn" and not rope.get("truncate", bool, True):
        raise ValueError(
            f"{rope.name}: got truncate=false, which transformers does not read where each kind "
            "of layer has its rope_parameters, expected true. Build the RopeSpec yourself."
        )


def family_context_length(keys: Keys, family: Family) -> int:
    """`max_position_embeddings`: the length a model was made for; ValueError if it is missing."""
    length = next(filter(None, [keys.get(key, int) for key in family.length]), 0)
    if length < 1:
        raise ValueError(
            f"{keys.name}: got none of {', '.join(family.length)}, or one below 1, expected the "
            "length of the context. Add it."
        )
    return length


def _original_length(rope: Keys, keys: Keys, family: Family) -> int:
    """The context of pretraining: from around the rope object, as in transformers, or inside."""
    of_rope, around = rope.get("original_max_position_embeddings", int), None
    if not family.splits:
        around = keys.get("original_max_position_embeddings", int, family.original_length)
    for length in (of_rope, around):
        if length is not None and length < 1:
            raise ValueError(
                f"{rope.name}: got original_max_position_embeddings={length}, expected 1 or more. "
                "Correct the value."
            )
    return around or of_rope or family_context_length(keys, family)
