"""Stage one: from a configuration to its towers, the sub-models for text, vision and audio."""

import json
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..values import of_kind
from .families import data, family_of, has_no_rotation
from .family import Family
from .keys import OBJECT, Keys, is_object


@runtime_checkable
class HasToDict(Protocol):
    """A configuration of transformers: only its to_dict() is used, what its config.json holds."""

    def to_dict(self) -> dict[str, Any]: ...


Config = str | PathLike[str] | Mapping[str, Any] | HasToDict


class Tower(NamedTuple):
    """One part of a model: its keys, and what its model type means."""

    name: str  # text, vision, audio, or the key that it stands under
    model_type: str
    keys: Keys
    family: Family | None  # None: it has no rotary embedding
    refusal: str = ""  # why it is not described; only the text model's is raised at once


class Towers(NamedTuple):
    """The towers, the text model first, and the objects around them."""

    parts: tuple[Tower, ...]
    around: tuple[Keys, ...]

    @property
    def text(self) -> Tower:
        """The text model."""
        return self.parts[0]


def read_config(config: Config) -> Mapping[str, Any]:
    """The JSON object itself, from a path of a file or folder, a mapping, or a configuration.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no JSON.
        TypeError: it is not an object.
    """
    values: object = config.to_dict() if isinstance(config, HasToDict) else config
    if isinstance(values, str | PathLike):
        values = _loaded(Path(values))
    if not is_object(values):
        raise TypeError(
            f"config: got {type(values).__name__}, expected a JSON object with a model_type: the "
            "path of a config.json or of its folder, what it holds, or a configuration of "
            "transformers. Give one of these."
        )
    return values


def _loaded(path: Path) -> Any:
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"config: got {file}, which is missing, expected a config.json or a folder that has "
            "one. Check the path."
        )
    # ValueError: no UTF-8, no JSON, a number too long; RecursionError: nested too deep
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"config: got {file}, which holds no JSON: {error}; expected the JSON of a "
            "config.json. Check the file."
        ) from error


def towers(config: Config, model_type: str | None = None) -> Towers:
    """The text model, then the other towers that families.toml names.

    Args:
        config: see `read_config`.
        model_type: read the config as this type, whatever it says itself.
    """
    of_kind("model_type", model_type, str | None, "the name of a model type, or None")
    outer, around = Keys(read_config(config), "config"), list[Keys]()
    own = model_type or outer.need("model_type", str, "it decides how the other keys are read")
    parts: list[Tower] = []
    for keys, kind in _parts(outer, own, around):
        parts.append(_tower(keys, kind, parts))
    return Towers(tuple(parts), tuple(around))


def _parts(keys: Keys, model_type: str, around: list[Keys]) -> Iterator[tuple[Keys, str]]:
    """The object and the model type of each part: of a composite config, of its sub-configs."""
    model_type = data()["alias"].get(model_type, model_type)
    inner = data()["outer"].get(model_type)
    if inner is None:
        yield keys, model_type
        inside = data()["nested"].get(model_type, {})
        for key in [key for key in inside if keys.get(key, OBJECT)]:
            yield from _nested(keys, key, inside[key], model_type, around)
        return
    first = next(iter(inner))
    text = first if _is_flat(keys, first, model_type) else _first_there(keys, inner)
    others = [key for key in inner if key != text]
    is_absent = keys.get(text, OBJECT) is None
    if _is_flat(keys, text, model_type) or (is_absent and has_no_rotation(inner[text])):
        yield keys, inner[text]
    else:
        around.append(keys)
        keys.need(text, OBJECT, "it holds the keys of the text model")
        yield from _nested(keys, text, inner[text], model_type, around)
    for key in others:
        if keys.get(key, OBJECT):
            yield from _nested(keys, key, inner[key], model_type, around)


def _is_flat(keys: Keys, text: str, model_type: str) -> bool:
    """Whether the keys of the text model stand at the top, as in older files of some types."""
    return keys.get(text, OBJECT) is None and model_type in data()["flat"]["model_types"]


def _first_there(keys: Keys, inner: dict[str, str]) -> str:
    """The key of the first part that the config has; where it has none, of the text model."""
    return next((key for key in inner if keys.get(key, OBJECT) is not None), next(iter(inner)))


def _nested(
    outer: Keys, key: str, default: str, outer_type: str, around: list[Keys]
) -> Iterator[tuple[Keys, str]]:
    """The parts under a key; some older files repeat the model_type of the whole there."""
    defaults = data()["nested_defaults"].get(outer_type, {}).get(key, {})
    values = _with_defaults(outer.values[key], defaults)
    keys = Keys(values, key if outer.name == "config" else f"{outer.name}.{key}")
    model_type = keys.get("model_type", str) or default
    is_fixed = default in data()["fixed"]["model_types"] or model_type == outer_type
    yield from _parts(keys, default if is_fixed else model_type, around)


def _with_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a part and defaults for missing keys; a rope object replaces a default one."""
    rope = values.get("rope_parameters") or values.get("rope_scaling")
    has_theta = is_object(rope) and "rope_theta" in rope
    replaced = {"rope_parameters": bool(rope), "rope_theta": has_theta}
    kept = {key: value for key, value in defaults.items() if not replaced.get(key)}
    return kept | {**values}


def _tower(keys: Keys, model_type: str, before: Sequence[Tower]) -> Tower:
    """The Tower of one part, under a name of its own.

    The first part is the text model, whose error is raised. The error of another is its `refusal`.
    """
    key = keys.name.replace("_config", "") if before else "text"
    try:
        family = family_of(model_type)
    except ValueError as error:
        if not before:
            raise
        return Tower(_free_name(key, key, before), model_type, keys, None, str(error))
    is_kind = family is not None and (not before or family.tower != "text")
    name = family.tower if family is not None and is_kind else key
    return Tower(_free_name(name, key, before), model_type, keys, family)


def _free_name(name: str, key: str, before: Sequence[Tower]) -> str:
    """The name, else its key, else the name with a number: no tower hides another."""
    taken = {tower.name for tower in before if tower.family is not None or tower.refusal}
    numbered = (f"{name}.{number}" for number in range(2, len(taken) + 3))
    return next(free for free in (name, key, *numbered) if free not in taken)
