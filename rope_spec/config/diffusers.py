"""From the configuration of a transformer of diffusers to its spec: `_class_name` says which."""

import re
import tomllib
from collections.abc import Collection, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ..spec import RopeSpec
from .diffusers_classes import READERS
from .keys import Keys, shown
from .unread import checked_names

Values = Mapping[str, Any]  # of a configuration that has been read
CLASS = "_class_name"
ROPE_KEY = "rope|rotary|yarn|ntk|axes|theta|(^|_)xpos"
BESIDE = {"rope_max_seq_len", "axes_lens"}  # lengths of tables
REFUSED = {
    "MochiTransformer3DModel": "its angles are sums over axes, with learned frequencies",
    "LTX2VideoTransformer3DModel": "each of its heads has frequencies of its own",
}


@lru_cache
def defaults() -> dict[str, dict[str, Any]]:
    """What the constructor of each class has for a key that is missing; null is not missing."""
    path = files("rope_spec.config").joinpath("diffusers.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def is_of_diffusers(values: Values) -> bool:
    """Whether a configuration names a class of diffusers."""
    return CLASS in values and "model_type" not in values


def class_of(values: Values) -> str:
    """The name of the class of diffusers."""
    return Keys(values, "config").need(CLASS, str, "it says which transformer of diffusers this is")


def refuse(function: str, values: Values) -> None:
    """Raise ValueError where a function is about language models, and this is of diffusers."""
    if is_of_diffusers(values):
        raise ValueError(
            f"{function}: got {CLASS}={class_of(values)!r}, a transformer of diffusers, expected a "
            "configuration with a model_type: all layers of this one have the label 'transformer', "
            "and no context. Read it with spec_from_config."
        )


def spec_of(values: Values, ignore: Collection[str] = ()) -> RopeSpec:
    """The rotary embedding of the transformer.

    Raises:
        ValueError: a class that is not described, a value that does not fit, or a key about rotary
            embeddings that nothing reads.
        TypeError: a value of the wrong kind.
    """
    name = class_of(values)
    if name in REFUSED:
        raise ValueError(
            f"{CLASS}: got {name!r}, expected a rotation by one coordinate for each pair, the same "
            f"in every head: {REFUSED[name]}. Use its own class."
        )
    if name not in READERS:
        raise ValueError(
            f"{CLASS}: got {shown(name)}, expected one of {', '.join(READERS)}. Build the "
            "RopeSpec itself, with Pairs.widths."
        )
    keys = Keys(defaults()[name] | dict(values), "config")
    spec = READERS[name](keys)
    _check_unread(keys, ignore)
    return spec


def _check_unread(keys: Keys, ignore: Collection[str]) -> None:
    """Raise ValueError for a rope-like key that nothing read."""
    known = {*keys.used, *BESIDE, *checked_names(ignore)}
    values: Values = keys.values
    left = [key for key in values if key not in known and re.search(ROPE_KEY, str(key))]
    left = [key for key in left if values[key] not in (None, False)]
    if left:
        raise ValueError(
            f"config: got {', '.join(map(repr, left))}, which nothing here reads, expected keys "
            "that are read or known to change nothing. If these change nothing, pass "
            f"ignore=({', '.join(map(repr, left))},)."
        )
