"""What a config.json leaves out, by model_type: families.toml, checked when it is loaded."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, TypeGuard, get_args, get_origin

from .family import Family, Indexer, Layers, Switch
from .keys import is_list

NESTED = {"layers": Layers, "rotates_if": Switch, "indexer": Indexer}


@dataclass(frozen=True)
class Harmless:
    """A key that looks like one of a rotary embedding and changes nothing with this value."""

    key: str
    value: Any
    source: str
    model_types: tuple[str, ...] | None = None  # None: all

    def covers(self, key: str, value: Any, model_type: str) -> bool:
        """Whether this entry covers a key with this value; true is not 1."""
        is_same = _as_tuple(value) == self.value and isinstance(value, bool) == isinstance(
            self.value, bool
        )
        is_meant = self.model_types is None or model_type in self.model_types
        return key == self.key and is_same and is_meant


@lru_cache
def data() -> dict[str, Any]:
    """What families.toml holds."""
    return tomllib.loads(
        files("rope_spec.config").joinpath("families.toml").read_text(encoding="utf-8")
    )


@lru_cache
def families() -> dict[str, Family]:
    """Every model type that is described."""
    defaults = {
        "head_dim_default": data()["head_dim_default"],
        "theta_default": data()["theta_default"],
    }
    by_type: dict[str, Family] = {}
    for entry in data()["family"]:
        for name in entry["model_types"]:
            added = {key: values[name] for key, values in defaults.items() if name in values}
            added |= {"indexer": data()["indexer"][name]} if name in data()["indexer"] else {}
            added |= {"tower": "audio"} if name in data()["tower"]["audio"] else {}
            added |= {"tower": "vision"} if name in data()["tower"]["vision"] else {}
            if name in by_type:
                raise ValueError(
                    f"families.toml: got {name!r} twice, expected one [[family]] for it."
                )
            by_type[name] = family(entry | added, name)
    return by_type


@lru_cache
def harmless() -> tuple[Harmless, ...]:
    """The keys that change nothing with the values listed."""
    return tuple(
        Harmless(**{k: _as_tuple(v) for k, v in entry.items()}) for entry in data()["harmless"]
    )


@lru_cache
def refusals() -> dict[str, str]:
    """The known model types that are not supported, each with the reason."""
    return {name: entry["why"] for entry in data()["refused"] for name in entry["model_types"]}


def family(entry: Mapping[str, Any], name: str) -> Family:
    """One entry as a Family; ValueError for an unknown field, TypeError for another type."""
    values = {key: value for key, value in entry.items() if key not in ("model_types", "labels")}
    labels = {
        label: family(values | changes, f"{name}.{label}")
        for label, changes in entry.get("labels", {}).items()
    }
    return Family(**_checked(Family, values, name), labels=labels)


def _checked(kind: type, values: Mapping[str, Any], name: str) -> dict[str, Any]:
    known = {item.name: item.type for item in fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise ValueError(
                f"families.toml, {name}: got {key!r}, expected a field of {kind.__name__}."
            )
        if key not in NESTED and not _is(_as_tuple(value), known[key]):
            raise TypeError(f"families.toml, {name}: got {key} = {value!r}, expected {known[key]}.")
    return {
        key: NESTED[key](**_checked(NESTED[key], value, f"{name}.{key}"))
        if key in NESTED
        else _as_tuple(value)
        for key, value in values.items()
    }


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is of the type of a field."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return _is_tuple(value) and all(_is(item, arguments[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if arguments:  # a union
        return any(_is(value, argument) for argument in arguments)
    is_bool = isinstance(value, bool)
    return is_bool == (kind is bool) and isinstance(value, (int, float) if kind is float else kind)


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def _as_tuple(value: Any) -> Any:
    """A list as a tuple."""
    return tuple(value) if is_list(value) else value


def has_no_rotation(model_type: str) -> bool:
    """Whether a model type is known to have no rotary embedding."""
    return model_type in data()["without"]["model_types"]


def family_of(model_type: str) -> Family | None:
    """What a model type means; None where it has no rotary embedding.

    Raises:
        ValueError: it is not described.
    """
    if has_no_rotation(model_type):
        return None
    if why := refusals().get(model_type):
        raise ValueError(
            f"config: got model_type={model_type!r}, which is not described: {why}. Build the "
            "RopeSpec yourself."
        )
    if model_type not in families():
        raise ValueError(_unknown(model_type))
    return families()[model_type]


def _unknown(model_type: str) -> str:
    known = [*families(), *data()["outer"]]
    nearest = difflib.get_close_matches(model_type[:64], known, n=3, cutoff=0.7)
    hint = f" Nearest in name: {', '.join(nearest)}." if nearest else ""
    return (
        f"config: got model_type={model_type[:64]!r}, expected one of the {len(known)} that "
        f"rope_spec/config/families.toml describes.{hint} If it has the keys and the rotation of "
        "one of them, "
        f'name that one: model_type="{nearest[0] if nearest else "llama"}". '
        "Else build the RopeSpec yourself."
    )
