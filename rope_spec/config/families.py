"""What a model_type means, from families.toml, and where in a config.json its keys are."""

import json
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .keys import OURS, Keys


@runtime_checkable
class HasDict(Protocol):
    """What a configuration of transformers is here; to_dict() is what its config.json holds."""

    def to_dict(self) -> dict[str, Any]: ...


Config = str | PathLike[str] | Mapping[str, Any] | HasDict
Family = dict[str, Any]
FLAT = ("fuyu", "paddleocr_vl", "qwen2_vl", "qwen2_5_vl")  # older files of these have the text keys at the top


class Tower(NamedTuple):
    """One part of a model with a rotary embedding of its own: the text model, or the vision tower."""

    keys: Keys
    family: Family


def read_config(config: Config) -> Mapping[str, Any]:
    """The JSON object itself, from a path, as given, or from a configuration of transformers."""
    found = config.to_dict() if isinstance(config, HasDict) else config
    if isinstance(found, str | PathLike):
        found = _loaded(Path(found))
    if not isinstance(found, Mapping):
        raise TypeError(
            f"config: got {type(found).__name__}, expected a JSON object with a model_type: the path of a config.json, what it "
            "holds, or a configuration of transformers."
        )
    return found


def _loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"config: got {path}, which holds no JSON: {error}. Expected a config.json.") from error


def towers(config: Config) -> list[Tower]:
    """The text tower, and the vision tower where it has a rotary embedding."""
    outer = Keys(read_config(config), "config")
    model_type = outer.need("model_type", str, "it decides how the other keys are read")
    inner = _data()["text_config"].get(model_type)
    if inner is None:
        return [Tower(outer, family_of(model_type))]
    is_nested = model_type not in FLAT or outer.get("text_config", dict) is not None
    found = [_nested(outer, "text_config", inner) if is_nested else Tower(outer, family_of(inner))]
    vision = _data()["vision_config"].get(model_type)
    if vision and outer.get("vision_config", dict):
        found.append(_nested(outer, "vision_config", vision))
    if is_nested:
        outer.finish(OURS)
    return found


@lru_cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("rope_spec.config").joinpath("families.toml").read_text(encoding="utf-8"))


@lru_cache
def families() -> dict[str, Family]:
    """What each model_type that is described means."""
    data = _data()
    named = {name: data["defaults"] | family for family in data["family"] for name in family["model_types"]}
    for default in ("head_dim_default", "theta_default"):
        for name, value in data[default].items():
            named[name] = named[name] | {default: value}
    return named


def family_of(model_type: str) -> Family:
    """The entry of families.toml for a model_type; ValueError where there is none."""
    why = _data()["refused"].get(model_type)
    if why:
        raise ValueError(f"config: got model_type={model_type!r}, which is not described: {why}. Build the RopeSpec yourself.")
    if model_type not in families():
        raise ValueError(
            f"config: got model_type={model_type!r}, expected one of the {len(families())} in rope_spec/config/families.toml. "
            "Add it there, or build the RopeSpec yourself."
        )
    return families()[model_type]


def _nested(outer: Keys, key: str, default_type: str) -> Tower:
    """The tower under a key; some older files repeat the model_type of the whole there."""
    keys = Keys(outer.need(key, dict, "it holds the keys of that part of the model"), key)
    model_type = keys.get("model_type", str, default_type)
    return Tower(keys, family_of(default_type if model_type == outer.values["model_type"] else model_type))
