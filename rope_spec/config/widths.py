"""How wide a head is, and how many of its channels are rotated, wherever a config says so."""

import re
from collections.abc import Mapping

from .family import Family
from .keys import OBJECT, ROPE_KEY, Keys, is_object, shown
from .layers import labels_of
from .towers import Tower

WIDEST = 2**16  # no head is wider; a wider one would only fill the memory
KEY = re.compile(r"[a-z]\w*")


class NoWidth(ValueError):
    """A configuration does not say how wide a head is."""


def head_width(text: Keys, family: Family) -> int:
    """The width of a head, or of its rotated part, from the keys of the model type."""
    paths, default = family.head_dim, family.head_dim_default
    named = {
        path: value for path in paths if path.isidentifier() and (value := text.amount(path, int))
    }
    if len(set(named.values())) > 1:
        raise ValueError(
            f"{text.name}: got {named}, expected one head width. Give the width of the part that "
            "is rotated."
        )
    shares = (
        value for path in paths if not path.isidentifier() and (value := text.amount(path, int))
    )
    width = next((value for values in (named.values(), shares) for value in values), None)
    is_told = any(key in text.values for path in paths for key in KEY.findall(path))
    width = default if width is None and not is_told else width
    if width is None:
        raise NoWidth(
            f"{text.name}: got none of {', '.join(paths)}, expected one of them for the head "
            "width. Add it."
        )
    return width


def missing_width(tower: Tower) -> str:
    """Why a tower that rotates has no head width, where its keys do not say one; else nothing."""
    family = tower.family
    for own in () if family is None else (family, *family.labels.values()):
        try:
            head_width(tower.keys, own)
        except NoWidth as error:
            return str(error)
    return ""


def checked(text: Keys, width: int) -> int:
    """The width of a head, if it can be one."""
    if not 1 <= width <= WIDEST:
        raise ValueError(
            f"{text.name}: got a head width of {shown(width)}, expected 1 to {WIDEST}. Correct "
            "the value."
        )
    return width


def per_layer_width(tower: Tower, label: str, family: Family) -> int | None:
    """The head width that `per_layer_config` has for the layers of a label, or None."""
    text, layers = tower.keys, tower.keys.get("per_layer_config", OBJECT, {})
    entries = {
        index: Keys(values, "per_layer_config")
        for index, values in layers.items()
        if is_object(values)
    }
    _check_per_layer(tower, family, entries)
    if family.per_layer is None or not entries:
        return None
    mine = [str(index) for index, kind in enumerate(labels_of(tower)) if kind == label]
    widths = {
        entries[index].get(family.per_layer, int) if index in entries else None for index in mine
    }
    if len(widths) > 1:
        raise ValueError(
            f"{text.name}: got {family.per_layer} as {shown(widths)} in per_layer_config, "
            f"expected one for all layers of {label}. Build the RopeSpec of each layer yourself."
        )
    return next(iter(widths), None)


def _check_per_layer(tower: Tower, family: Family, entries: Mapping[str, Keys]) -> None:
    """Refuse widths and rope keys of single layers, if the model type has none."""
    of_width = {"head_dim", *(key for path in family.head_dim for key in KEY.findall(path))}
    given = {
        key
        for keys in entries.values()
        for key in keys.values
        if key in of_width or ROPE_KEY.search(str(key))
    }
    kinds = () if tower.family is None else tower.family.labels.values()
    if unknown := given - {kind.per_layer for kind in kinds}:
        raise ValueError(
            f"{tower.keys.name}: got {', '.join(sorted(unknown))} in per_layer_config, expected "
            "one rotation for each kind of layer. Build the RopeSpec of each layer yourself."
        )


def rotated_width(rope: Keys, text: Keys, family: Family, head_dim: int) -> int:
    """The number of rotated channels: a share of the head, or a number; both have to agree."""
    share = 1.0
    if family.partial is not None:
        share = single_value(
            rope, text, "partial_rotary_factor", family.partial, family.partial_default
        )
    if not 0 <= share <= 1:
        raise ValueError(
            f"{rope.name}: got {share!r} as the rotated share of a head, expected 0 to 1. Correct "
            "the value."
        )
    _check_share(rope, text, family, head_dim)
    named = {key: value for key in family.rotary_dim if (value := text.get(key, int)) is not None}
    number = next(iter(named.values()), family.rotary_dim_default)
    if number is None or number == int(head_dim * share):
        return int(head_dim * share)
    if family.partial is not None:
        raise ValueError(
            f"{text.name}: got {named}, and {int(head_dim * share)} channels as the share {share} "
            f"of {head_dim}, expected one number of rotated channels. Give it once."
        )
    return checked(text, number)


def _check_share(rope: Keys, text: Keys, family: Family, head_dim: int) -> None:
    """Refuse a share of the whole head that is not `head_dim`, where `head_dim` is that share."""
    share = rope.get("partial_rotary_factor", float) if family.share_of else None
    if share is None:
        return
    whole = next(filter(None, (text.amount(path, int) for path in family.share_of)), 0)
    if not 0 <= share <= 1 or int(share * whole) != head_dim:
        raise ValueError(
            f"{rope.name}: got partial_rotary_factor={share} of a head of {whole}, expected the "
            f"share that is {head_dim} channels. Correct the value."
        )


def single_value(
    rope: Keys, text: Keys, key: str, paths: tuple[str, ...], default: float | None
) -> float:
    """A number in the rope object or around it, the same in all places; else the default."""
    found = (rope.get(key, float), *(text.amount(path, float) for path in paths))
    given = sorted({value for value in found if value is not None})
    is_null = rope.is_null(key) or any(text.is_null(path) for path in paths)
    values = given or ([] if default is None or is_null else [default])
    if len(values) != 1:
        got = f"{key} as {' and '.join(map(str, given))}" if given else f"null or no {key}"
        raise ValueError(
            f"{rope.name}: got {got}, expected one number. Give it once, in one place."
        )
    return values[0]
