"""From the rope object of a config.json to a rule, or None."""

from __future__ import annotations

from .families import Family
from .keys import Keys
from .rules import DynamicNTK, Linear, Llama3, LongRope, Proportional, Rule, Yarn

ALIASES = {"su": "longrope", "axial": "default"}


def rule_of(rope: Keys, text: Keys, family: Family, head_dim: int) -> Rule | None:
    """The rule that `rope_type`, or the older `type`, names.

    Args:
        rope: the rope object.
        text: the object around it, for the lengths.
        family: what the model_type means.
        head_dim: H.
    """
    name = rope_type(rope, family)
    match name:
        case "default":
            return None
        case "linear":
            return Linear(_factor(rope, name))
        case "dynamic":
            return DynamicNTK(_factor(rope, name), context_length(text, family))
        case "yarn":
            return _yarn(rope, text, family)
        case "llama3":
            low, high = (rope.need(f"{end}_freq_factor", float, "llama3 needs it") for end in ("low", "high"))
            return Llama3(_factor(rope, name), low, high, _original_length(rope, text, family))
        case "longrope":
            return _longrope(rope, text, family)
        case "proportional":
            share = rope.get("partial_rotary_factor", float, 1.0)
            return Proportional(int(share * head_dim // 2), rope.get("factor", float, 1.0))
    raise AssertionError(f"families.toml names the rope type {name!r}, which has no rule")


def rope_type(rope: Keys, family: Family) -> str:
    """The name of the rule in today's spelling; ValueError for one that the model does not know."""
    given = rope.first(("rope_type", "type"), str, "default")
    name = "default" if given == "mrope" and family["axes"] != "single" else ALIASES.get(given, given)
    if name not in family["rope_types"]:
        raise ValueError(
            f"{rope.name}: got rope type {given!r}, expected one of {', '.join(family['rope_types'])}. "
            "Build the RopeSpec yourself for another rule."
        )
    return name


def context_length(text: Keys, family: Family) -> int:
    """`max_position_embeddings`, the number of positions that the model was made for; ValueError where it is missing."""
    length = text.first(family["length"], int)
    if length is None:
        raise ValueError(f"{text.name}: got none of {', '.join(family['length'])}, expected the length of the context.")
    return length


def _factor(rope: Keys, name: str) -> float:
    return rope.need("factor", float, f"rope type {name!r} stretches the context by it")


def _original_length(rope: Keys, text: Keys, family: Family) -> int:
    """The context of pretraining: the top level first, as in transformers, then the rope object, then the whole context."""
    inside = rope.get("original_max_position_embeddings", int)
    outside = None if family["by_label"] else text.get("original_max_position_embeddings", int, family.get("original_length"))
    return outside or inside or context_length(text, family)


def _yarn(rope: Keys, text: Keys, family: Family) -> Yarn:
    return Yarn(
        factor=_factor(rope, "yarn"),
        original_max_position_embeddings=_original_length(rope, text, family),
        beta_fast=rope.get("beta_fast", float) or 32.0,
        beta_slow=rope.get("beta_slow", float) or 1.0,
        mscale=rope.get("mscale", float),
        mscale_all_dim=rope.get("mscale_all_dim", float),
        attention_factor=rope.get("attention_factor", float),
        truncate=rope.get("truncate", bool, True),
        scales_softmax=family["scales_softmax"],
    )


def _longrope(rope: Keys, text: Keys, family: Family) -> LongRope:
    original, factor = _original_length(rope, text, family), rope.get("factor", float)
    return LongRope(
        short_factor=rope.numbers("short_factor", "longrope divides the ladder by it"),
        long_factor=rope.numbers("long_factor", "longrope divides the ladder by it"),
        original_max_position_embeddings=original,
        factor=context_length(text, family) / original if factor is None else factor,
        attention_factor=rope.get("attention_factor", float),
    )
