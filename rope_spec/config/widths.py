"""How wide a head is, and how many of its channels are rotated, wherever a config says so."""

import re
from collections.abc import Mapping

from .family import Family
from .keys import OBJECT, ROPE_KEY, Keys, is_object, shown
from .layers import labels_of
from .towers import Tower

MAX_HEAD_DIM = 2**16  # a wider head would only fill the memory
KEY_IN_PATH = re.compile(r"[a-z]\w*")


class MissingWidthError(ValueError):
    """A configuration does not say how wide a head is."""


def head_width(keys: Keys, family: Family) -> int:
    """The width of a head, or of its rotated part, from the keys of the model type.

    Keys that are widths have to agree. Without one, the first expression of two keys counts, such
    as a quotient. The default is for configs that have none of these keys.
    """
    paths, default = family.head_dim, family.head_dim_default
    named = {
        path: value for path in paths if path.isidentifier() and (value := keys.computed(path, int))
    }
    if len(set(named.values())) > 1:
        raise ValueError(
            f"{keys.name}: got {named}, expected one head width. Give the width of the part that "
            "is rotated."
        )
    expressions = (
        value for path in paths if not path.isidentifier() and (value := keys.computed(path, int))
    )
    width = next(iter(named.values()), None) or next(expressions, None)
    has_a_key = any(key in keys.values for path in paths for key in KEY_IN_PATH.findall(path))
    width = default if width is None and not has_a_key else width
    if width is None:
        raise MissingWidthError(
            f"{keys.name}: got none of {', '.join(paths)}, expected one of them for the head "
            "width. Add it."
        )
    return width


def missing_width(tower: Tower) -> str:
    """Why a tower that rotates has no head width; empty if its keys say one."""
    family = tower.family
    for kind in () if family is None else (family, *family.labels.values()):
        try:
            head_width(tower.keys, kind)
        except MissingWidthError as error:
            return str(error)
    return ""


def checked_head_width(keys: Keys, width: int) -> int:
    """The width of a head; ValueError if it cannot be one."""
    if not 1 <= width <= MAX_HEAD_DIM:
        raise ValueError(
            f"{keys.name}: got a head width of {shown(width)}, expected 1 to "
            f"{MAX_HEAD_DIM}. Correct the value."
        )
    return width


def per_layer_width(tower: Tower, label: str, family: Family) -> int | None:
    """The head width that `per_layer_config` has for the layers of a label, or None."""
    keys, layers = tower.keys, tower.keys.get("per_layer_config", OBJECT, {})
    entries = {
        index: Keys(values, "per_layer_config")
        for index, values in layers.items()
        if is_object(values)
    }
    _check_per_layer(tower, family, entries)
    if family.per_layer is None or not entries:
        return None
    indices = [str(index) for index, kind in enumerate(labels_of(tower)) if kind == label]
    widths = {
        entries[index].get(family.per_layer, int) if index in entries else None for index in indices
    }
    if len(widths) > 1:
        raise ValueError(
            f"{keys.name}: got {family.per_layer} as {shown(widths)} in per_layer_config, "
            f"expected one for all layers of {label}. Build the RopeSpec of each layer yourself."
        )
    return next(iter(widths), None)


def _check_per_layer(tower: Tower, family: Family, entries: Mapping[str, Keys]) -> None:
    """Raise ValueError for widths and rope keys of single layers, if the model type has none."""
    width_keys = {
        "head_dim",
        *(key for path in family.head_dim for key in KEY_IN_PATH.findall(path)),
    }
    given = {
        key
        for keys in entries.values()
        for key in keys.values
        if key in width_keys or ROPE_KEY.search(str(key))
    }
    kinds = () if tower.family is None else tower.family.labels.values()
    if unknown := given - {kind.per_layer for kind in kinds}:
        raise ValueError(
            f"{tower.keys.name}: got {', '.join(sorted(unknown))} in per_layer_config, expected "
            "one rotation for each kind of layer. Build the RopeSpec of each layer yourself."
        )


def rotated_width(rope: Keys, keys: Keys, family: Family, head_dim: int) -> int:
    """The number of rotated channels: a share of the head, or a number; both have to agree."""
    share = 1.0
    if family.partial is not None:
        share = single_value(
            rope, keys, "partial_rotary_factor", family.partial, family.partial_default
        )
    if not 0 <= share <= 1:
        raise ValueError(
            f"{rope.name}: got {share!r} as the rotated share of a head, expected 0 to 1. Correct "
            "the value."
        )
    _check_share(rope, keys, family, head_dim)
    named = {key: value for key in family.rotary_dim if (value := keys.get(key, int)) is not None}
    number = next(iter(named.values()), family.rotary_dim_default)
    if number is None or number == int(head_dim * share):
        return int(head_dim * share)
    if family.partial is not None:
        raise ValueError(
            f"{keys.name}: got {named}, and {int(head_dim * share)} channels as the share {share} "
            f"of {head_dim}, expected one number of rotated channels. Give it once."
        )
    return checked_head_width(keys, number)


def _check_share(rope: Keys, keys: Keys, family: Family, head_dim: int) -> None:
    """Raise ValueError unless a share of the whole head is `head_dim`, which it is in Mistral 4."""
    share = rope.get("partial_rotary_factor", float) if family.share_of else None
    if share is None:
        return
    whole = next(filter(None, (keys.computed(path, int) for path in family.share_of)), 0)
    if not 0 <= share <= 1 or int(share * whole) != head_dim:
        raise ValueError(
            f"{rope.name}: got partial_rotary_factor={share} of a head of {whole}, expected the "
            f"share that is {head_dim} channels. Correct the value."
        )


def single_value(
    rope: Keys, keys: Keys, key: str, paths: tuple[str, ...], default: float | None
) -> float:
    """A number in the rope object or around it, the same in all places; else the default."""
    found = (rope.get(key, float), *(keys.computed(path, float) for path in paths))
    given = sorted({value for value in found if value is not None})
    is_null = rope.is_null(key) or any(keys.is_null(path) for path in paths)
    values = given or ([] if default is None or is_null else [default])
    if len(values) != 1:
        got = f"{key} as {' and '.join(map(str, given))}" if given else f"null or no {key}"
        raise ValueError(
            f"{rope.name}: got {got}, expected one number. Give it once, in one place."
        )
    return values[0]
