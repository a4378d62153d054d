"""From a raw `config.json` to a spec: strict, since a wrong rotation trains happily."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from os import PathLike
from typing import Any

from .keys import OURS, Keys
from .rules import DynamicNTK, Linear, Llama3, LongRope, Rule, Yarn
from .spec import Arithmetic, Pairs, RopeSpec

Config = str | PathLike[str] | Mapping[str, Any]


def spec_from_config(config: Config) -> RopeSpec:
    """The rotary embedding that a `config.json` describes.

    Args:
        config: the path of a config.json, or what it holds.

    Raises:
        ValueError: an unknown model_type or rope type, a value that is missing or out of range, or a key about rotary
            embeddings that nothing reads.
        TypeError: a value of the wrong kind.
    """
    text = Keys(read_config(config), "config")
    family = family_of(text.need("model_type", str, "it decides how the other keys are read"))
    head_dim = _head_dim(text, family)
    rope = _rope_keys(text)
    outer, inner = text.get("rope_theta", float), rope.get("rope_theta", float)
    theta = next((theta for theta in (inner, outer) if theta is not None), 10000.0)
    spec = RopeSpec(
        head_dim=head_dim,
        theta=theta,
        pairs=Pairs.single(head_dim),
        rule=_rule(rope, text, family),
        read=family["read"],
        write=family.get("write"),
    )
    rope.finish()
    text.finish(OURS)
    return spec


def reference_arithmetic(config: Config) -> Arithmetic:
    """How transformers computes the rotation of this model: float32 angles, and often all in the dtype of x."""
    return Arithmetic(angles="float32", rotate_in=family_of(str(read_config(config).get("model_type")))["rotate_in"])


def context_length(config: Config) -> int:
    """`max_position_embeddings`, the number of positions that the model was made for."""
    text = Keys(read_config(config), "config")
    return text.need("max_position_embeddings", int, "it is the length of the model's context")


def read_config(config: Config) -> Mapping[str, Any]:
    """The JSON object itself, from a path or as given."""
    if not isinstance(config, Mapping):
        with open(config, encoding="utf-8") as file:
            config = json.load(file)
    if not isinstance(config, Mapping):
        raise TypeError(f"config: got {type(config).__name__}, expected a JSON object with a model_type.")
    return config


@lru_cache
def _families() -> dict[str, dict[str, Any]]:
    data = tomllib.loads(files("rope_spec").joinpath("families.toml").read_text(encoding="utf-8"))
    return {name: data["defaults"] | family for family in data["family"] for name in family["model_types"]}


def family_of(model_type: str) -> dict[str, Any]:
    """The entry of families.toml for a model_type; ValueError where there is none."""
    if model_type not in _families():
        raise ValueError(
            f"config: got model_type={model_type!r}, expected one of the {len(_families())} in rope_spec/families.toml. "
            "Add it there, or build the RopeSpec yourself."
        )
    return _families()[model_type]


def _head_dim(text: Keys, family: dict[str, Any]) -> int:
    for way in family["head_dim"]:
        whole, *parts = way.split("/")
        values = [text.get(key, int) for key in (whole, *parts)]
        if None not in values and all(value > 0 for value in values):
            return values[0] // values[1] if parts else values[0]
    raise ValueError(f"{text.name}: got none of {', '.join(family['head_dim'])}, expected one of them for the head width.")


def _rope_keys(text: Keys) -> Keys:
    """`rope_parameters`, or the older `rope_scaling`; an empty object where the config has neither."""
    new, old = text.get("rope_parameters", dict), text.get("rope_scaling", dict)
    if new and old and new != old:
        raise ValueError(f"{text.name}: got both rope_parameters and rope_scaling, expected one of them. Remove the stale one.")
    return Keys(new or old or {}, "rope_parameters" if new else "rope_scaling")


def _rule(rope: Keys, text: Keys, family: dict[str, Any]) -> Rule | None:
    """The rule that `rope_type`, or the older `type`, names."""
    name = rope.first(("rope_type", "type"), str, "default")
    rope.get("type", str)
    original = _original_length(rope, text)
    match name:
        case "default":
            return None
        case "linear":
            return Linear(_factor(rope, name))
        case "dynamic":
            return DynamicNTK(_factor(rope, name), text.need("max_position_embeddings", int, "dynamic NTK grows beyond it"))
        case "yarn":
            return _yarn(rope, original, family["scales_softmax"])
        case "llama3":
            low, high = (rope.need(f"{end}_freq_factor", float, "llama3 needs it") for end in ("low", "high"))
            return Llama3(_factor(rope, name), low, high, original)
        case "longrope" | "su":
            return _longrope(rope, text, original)
    raise ValueError(
        f"{rope.name}: got rope type {name!r}, expected default, linear, dynamic, yarn, longrope or llama3. "
        "Build the RopeSpec yourself for another rule."
    )


def _factor(rope: Keys, name: str) -> float:
    return rope.need("factor", float, f"rope type {name!r} stretches the context by it")


def _original_length(rope: Keys, text: Keys) -> int:
    """The context of pretraining: the top level first, as transformers does for Phi-3, then the rope object, then the whole."""
    given = text.get("original_max_position_embeddings", int), rope.get("original_max_position_embeddings", int)
    return given[0] or given[1] or text.get("max_position_embeddings", int, 0)


def _yarn(rope: Keys, original: int, scales_softmax: bool) -> Yarn:
    return Yarn(
        factor=_factor(rope, "yarn"),
        original_max_position_embeddings=original,
        beta_fast=rope.get("beta_fast", float) or 32.0,
        beta_slow=rope.get("beta_slow", float) or 1.0,
        mscale=rope.get("mscale", float),
        mscale_all_dim=rope.get("mscale_all_dim", float),
        attention_factor=rope.get("attention_factor", float),
        truncate=rope.get("truncate", bool, True),
        scales_softmax=scales_softmax,
    )


def _longrope(rope: Keys, text: Keys, original: int) -> LongRope:
    factor = rope.get("factor", float)
    if factor is None:
        factor = text.need("max_position_embeddings", int, "longrope stretches the context to it") / max(original, 1)
    return LongRope(
        short_factor=rope.numbers("short_factor", "longrope divides the ladder by it"),
        long_factor=rope.numbers("long_factor", "longrope divides the ladder by it"),
        original_max_position_embeddings=original,
        factor=factor,
        attention_factor=rope.get("attention_factor", float),
    )
