"""From the rope object of a config.json to a rule, or None."""

from dataclasses import MISSING, Field, fields
from typing import Any

from ..rules import DynamicNTK, Linear, Llama3, LongRope, Proportional, Rule, Yarn
from .families import Family
from .keys import Keys

ALIASES = {"su": "longrope", "axial": "default"}
RULES = {"linear": Linear, "dynamic": DynamicNTK, "yarn": Yarn, "llama3": Llama3, "longrope": LongRope}
KINDS = {float: float, float | None: float, int: int, bool: bool, tuple[float, ...]: list}


def rule_of(rope: Keys, text: Keys, family: Family, head_dim: int) -> Rule | None:
    """The rule that `rope_type`, or the older `type`, names; its fields are keys of the rope object.

    Args:
        rope: the rope object.
        text: the object around it, for the lengths.
        family: what the model_type means.
        head_dim: H.
    """
    name = rope_type(rope, family)
    if name == "default":
        return None
    if name == "proportional":
        share = rope.get("partial_rotary_factor", float, 1.0)
        return Proportional(int(share * head_dim // 2), rope.get("factor", float, 1.0))
    return RULES[name](**{field.name: _value(field, name, rope, text, family) for field in fields(RULES[name])})


def _value(field: Field, rule: str, rope: Keys, text: Keys, family: Family) -> Any:
    """What a field of a rule is: lengths also come from around the rope object, LongRoPE's factor from two of them."""
    match field.name:
        case "scales_softmax":
            return family["scales_softmax"]
        case "max_position_embeddings":
            return context_length(text, family)
        case "original_max_position_embeddings":
            return _original_length(rope, text, family)
        case "factor" if rule == "longrope" and rope.get("factor", float) is None:
            return context_length(text, family) / _original_length(rope, text, family)
    kind, why = KINDS[field.type], f"rope type {rule!r} needs it"
    if kind is list:
        return rope.numbers(field.name, why)
    return rope.need(field.name, kind, why) if field.default is MISSING else rope.get(field.name, kind, field.default)


def rope_type(rope: Keys, family: Family) -> str:
    """The name of the rule in today's spelling; ValueError for one that the model does not know."""
    given = rope.get("rope_type", str, rope.get("type", str, "default"))
    if given == "default" and rope.get("factor", float) and "factor" not in family["ignores"]:
        raise ValueError(
            f"{rope.name}: got a factor and no rope_type, or 'default', which has none; expected one of "
            f"{', '.join(family['rope_types'])}: it says what the factor does."
        )
    name = "default" if given == "mrope" and family["axes"] != "single" else ALIASES.get(given, given)
    if name not in family["rope_types"]:
        raise ValueError(
            f"{rope.name}: got rope type {given!r}, expected one of {', '.join(family['rope_types'])}. "
            "Build the RopeSpec yourself for another rule."
        )
    return name


def context_length(text: Keys, family: Family) -> int:
    """`max_position_embeddings`, the number of positions that the model was made for; ValueError where it is missing."""
    length = next(filter(None, [text.get(key, int) for key in family["length"]]), 0)
    if not length:
        raise ValueError(f"{text.name}: got none of {', '.join(family['length'])}, expected the length of the context.")
    return length


def _original_length(rope: Keys, text: Keys, family: Family) -> int:
    """The context of pretraining: the top level first, as in transformers, then the rope object, then the whole context."""
    inside = rope.get("original_max_position_embeddings", int)
    outside = None if family["by_label"] else text.get("original_max_position_embeddings", int, family.get("original_length"))
    return outside or inside or context_length(text, family)
