"""From a raw `config.json` to the specs of its layers: strict, since a wrong rotation trains happily."""

from ..pairs import Pairs
from ..spec import Arithmetic, RopeSpec
from . import scaling
from .families import Config, Family, read_config as read_config, towers
from .keys import OURS, Keys


def specs_from_config(config: Config) -> dict[str, RopeSpec | None]:
    """The rotary embeddings that a `config.json` describes, by label; None for layers without one.

    The label is `text` where all layers of the text model are alike, else the name of the layer type as in
    `rope_parameters` (`full_attention`, ...) or, for models that name only exceptions, `rope` and `nope`. The vision tower
    of the families that have a rotary embedding there is `vision`.

    Args:
        config: the path of a config.json, what it holds, or a configuration of transformers.

    Raises:
        ValueError: an unknown model_type or rope type, a value that is missing or out of range, or a key about rotary
            embeddings that nothing reads.
        TypeError: a value of the wrong kind.
    """
    return {label: spec for tower in towers(config) for label, spec in _specs(*tower).items()}


def spec_from_config(config: Config, label: str | None = None) -> RopeSpec:
    """The rotary embedding of one kind of layer.

    Args:
        config: the path of a config.json, what it holds, or a configuration of transformers.
        label: a label of `specs_from_config`; None where the text model has only one.

    Raises:
        ValueError: the label is not there, or has no rotary embedding, or is needed; else as `specs_from_config`.
        TypeError: a value of the wrong kind.
    """
    specs = {name: spec for name, spec in specs_from_config(config).items() if spec is not None}
    of_text = [name for name in specs if name != "vision"]
    found = label or (of_text[0] if len(of_text) == 1 else None)
    if found is None or found not in specs:
        raise ValueError(f"spec_from_config: got label={label!r}, expected one of {', '.join(map(repr, specs))}.")
    return specs[found]


def layer_labels(config: Config) -> list[str]:
    """The label of each layer of the text model, for the specs of `specs_from_config`."""
    text, family = towers(config)[0]
    layers, count = family.get("layers"), text.need("num_hidden_layers", int, "it is the number of labels")
    if layers is None:
        return ["text"] * count
    flags, types = text.get(layers.get("flags", ""), list), text.get("layer_types", list)
    if flags is not None:
        types = [layers["others"] if flag else layers["one"] for flag in flags]
    types = _periodic(text, layers, count) if types is None else types
    if len(types) != count or set(types) - set(family["labels"]):
        raise ValueError(
            f"{text.name}: got layers {sorted(set(map(str, types)))}, {len(types)} of them, expected {count} of "
            f"{', '.join(family['labels'])}."
        )
    return types


def reference_arithmetic(config: Config, label: str | None = None) -> Arithmetic:
    """How transformers computes the rotation of this model: float32 angles, and often all in the dtype of x."""
    return Arithmetic(angles="float32", rotate_in=towers(config)[-1 if label == "vision" else 0].family["rotate_in"])


def context_length(config: Config) -> int:
    """`max_position_embeddings` of the text model; ValueError where it is missing."""
    return scaling.context_length(*towers(config)[0])


def _specs(text: Keys, family: Family) -> dict[str, RopeSpec | None]:
    labels = family.get("labels", {"vision" if family["vision"] else "text": {}})
    described = {label: family | changes for label, changes in labels.items()}
    rotates, nopes = _rotates(text, family), _has_nopes(text, family)
    ropes = _rope_objects(text, family, described)
    specs = {
        label: _spec(text, ropes[label], of_label) if rotates and not (of_label["nope"] and nopes) else None
        for label, of_label in described.items()
    }
    for rope in ropes.values():
        rope.finish()
    text.read |= {family.get("layers", {}).get(key) for key in ("flags", "period_key")}
    text.finish(OURS)
    return specs


def _spec(text: Keys, rope: Keys, family: Family) -> RopeSpec:
    head_dim = _head_dim(text, family)
    ways = family.get("partial")
    share = 1.0 if ways is None else _agreed(rope, text, "partial_rotary_factor", ways, family["partial_default"])
    ways, default = ([], None) if family["by_label"] else (family["theta"], family["theta_default"])
    theta = _agreed(rope, text, "rope_theta", ways, default)
    rope.read.update(family["ignores"])
    return RopeSpec(
        head_dim=head_dim,
        theta=theta,
        pairs=_pairs(rope, family, int(head_dim * share)),
        rule=scaling.rule_of(rope, text, family, head_dim),
        read=family["read"] if text.get(family.get("interleave_key", ""), bool, True) else "half",
        write=family.get("write"),
        sign=family["sign"],
    )


def _head_dim(text: Keys, family: Family) -> int:
    ways, default = family["head_dim"], family.get("head_dim_default")
    named = {way: value for way in ways if "/" not in way and (value := text.way(way, int))}
    if len(set(named.values())) > 1:
        raise ValueError(f"{text.name}: got {named}, expected one head width. Give the width of the part that is rotated.")
    shares = (value for way in ways if "/" in way and (value := text.way(way, int)))
    found = next((value for values in (named.values(), shares) for value in values), default)
    if found is None or (found == default and any(text.is_null(way) for way in ways)):
        raise ValueError(f"{text.name}: got none of {', '.join(ways)}, expected one of them for the head width.")
    return found


def _agreed(rope: Keys, text: Keys, key: str, ways: list[str], default: float | None) -> float:
    """A number that may stand in the rope object or around it: the same wherever it does, else the default."""
    given = {rope.get(key, float), *(text.way(way, float) for way in ways)} - {None}
    is_null = rope.is_null(key) or any(text.is_null(way) for way in ways)
    if len(given) > 1 or not given and (default is None or is_null):
        got = f"{key} as {' and '.join(map(str, sorted(given)))}" if given else f"null or no {key}"
        raise ValueError(f"{rope.name}: got {got}, expected one number. Give it once, in one place.")
    return next(iter(given), default)  # pyright: ignore[reportReturnType]


def _pairs(rope: Keys, family: Family, rotary_dim: int) -> Pairs:
    kind = family["axes"]
    if kind in ("single", "axial", "axial_shared"):
        return getattr(Pairs, kind)(rotary_dim)
    if (rope.get("mrope_interleaved", bool, kind == "strided")) != (kind == "strided"):
        raise ValueError(f"{rope.name}: got mrope_interleaved other than this model has it, expected {kind == 'strided'}.")
    given = rope.numbers("mrope_section", "it divides the pairs") if "mrope_section" in rope.values else family["sections"]
    sections = tuple(int(length) for length in given)
    if len(sections) != 3 or sum(sections) * 2 != rotary_dim or min(sections) < 1 or sections != tuple(given):
        source = "" if "mrope_section" in rope.values else ", as this model type has by default"
        raise ValueError(
            f"{rope.name}: got mrope_section={list(given)}{source}, expected 3 whole lengths that sum to the "
            f"{rotary_dim // 2} pairs. Give the mrope_section of this head width."
        )
    return getattr(Pairs, kind)(sections)


def _rope_objects(text: Keys, family: Family, described: dict[str, Family]) -> dict[str, Keys]:
    """For each label its rope object: `rope_parameters`, flat or by label, or the older `rope_scaling`, or the family's."""
    new, old = text.get("rope_parameters", dict), None if family["by_label"] else text.get("rope_scaling", dict)
    if new and old and new != old:
        raise ValueError(f"{text.name}: got both rope_parameters and rope_scaling, expected one of them. Remove the stale one.")
    if new == {} and "rope" in family:
        raise ValueError(f"{text.name}: got rope_parameters={{}}, expected what they are, or no such key for the model's own.")
    found, name = new or old or {}, "rope_parameters" if new else "rope_scaling"
    if set(found) & set(described):
        by_label = Keys(found, name)
        objects = {label: by_label.get(label, dict) for label in described}
        by_label.finish()
    elif found and family["by_label"]:
        raise ValueError(
            f"{text.name}: got one rope_parameters for all layers, expected one for each of {', '.join(described)}."
        )
    else:
        objects = {label: found if of_label["scaled"] else None for label, of_label in described.items()}
    return {
        label: Keys(objects[label] or of_label.get("rope", {}), f"{name}.{label}" if len(described) > 1 else name)
        for label, of_label in described.items()
    }


def _rotates(text: Keys, family: Family) -> bool:
    """Whether the model rotates at all, where that is a key of its config."""
    switch = family.get("rotates_if")
    return switch is None or text.get(switch["key"], type(switch["is"]), switch["default"]) == switch["is"]


def _has_nopes(text: Keys, family: Family) -> bool:
    """Whether the labels without a rotation hold: some models rotate everywhere when they have no sliding window."""
    window = family.get("window")
    if window is None or not text.is_null(window):
        return True
    if family.get("without_window") != "rotates":
        raise ValueError(f"{text.name}: got {window}=null, expected a length: without one this model would not rotate at all.")
    return False


def _periodic(text: Keys, layers: Family, count: int) -> list[str]:
    """Labels by index: every period-th layer is `one`, the rest are `others`."""
    period = text.get(layers.get("period_key", ""), int, layers.get("period"))
    if not period:
        raise ValueError(f"{text.name}: got no layer_types, expected the type of each of the {count} layers.")
    offset, last = layers.get("offset", 1), count - 1 if layers.get("last") else None
    return [layers["one" if (i + offset) % period == 0 or i == last else "others"] for i in range(count)]
