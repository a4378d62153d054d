"""What a config.json leaves out, by model_type: families.toml, typed and checked when loaded."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, TypeGuard, get_args, get_origin

from ..spec import Layout, RotateIn
from .keys import is_list

Axes = Literal[
    "single",
    "sections",
    "strided",
    "spatial_first",
    "axial",
    "axial_shared",
    "axial_alternating",
    "alternating",
]
TowerName = Literal["text", "vision", "audio", "indexer"]
ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional")


@dataclass(frozen=True, kw_only=True)
class Layers:
    """How the label of a layer follows from its index, where `layer_types` does not list it.

    Every period-th layer is `one`, the rest are `others`.
    """

    one: str
    others: str
    period: int | None = None
    period_key: str | None = None  # a key of the config that holds the period
    offset: int = 1  # layer i is `one` where (i + offset) % period == 0
    last: bool = False  # the last layer is `one` too
    from_end: bool = False  # the period is counted from the last layer, which is `one`
    names: Mapping[str, str] = field(default_factory=dict[str, str])  # older names of labels
    flags: str | None = None  # a key that lists 0 for `one` and 1 for `others`, layer by layer
    empty_flags: bool = False  # an empty list there is as good as none
    first: int = 0  # so many layers at the beginning are `one` too


@dataclass(frozen=True, kw_only=True)
class Switch:
    """The model rotates only where `key` has the value `equals`."""

    key: str
    equals: bool | str
    default: bool | str


@dataclass(frozen=True, kw_only=True)
class Indexer:
    """The indexer of sparse attention: it rotates heads of its own by the table of the model."""

    head_dim: tuple[str, ...]  # keys of their width; without one there is no indexer
    read: Layout | None = None  # None: as attention does
    last: bool = False  # the rotated channels are the last ones


@dataclass(frozen=True, kw_only=True)
class Family:
    """How model types rotate, beyond what their config says. Keys are listed best first.

    A key may be a quotient `a/b`, `2*a/b`, a sum `a+b`, or a difference `a-b` of two.
    """

    # keys of the rotated width
    head_dim: tuple[str, ...] = ("head_dim", "hidden_size/num_attention_heads")
    head_dim_default: int | None = None
    per_layer: str | None = None  # its key in `per_layer_config`, which wins over all of them
    read: Layout = "half"
    write: Layout | None = None
    interleave_key: str | None = None  # a key of the config whose false makes `read` half
    read_key: str | None = None  # a key of the config that names the layout, by `reads`
    reads: Mapping[str, Layout] = field(default_factory=dict[str, Layout])
    sign: int = 1
    rotate_in: RotateIn = "input"  # what transformers computes the rotation in
    tower: TowerName = "text"
    axes: Axes = "single"
    axis_count: int = 2  # of an axial rotation
    width_first: bool = False  # columns come before rows
    sections: tuple[int, ...] = ()  # pairs for each axis where the config gives none
    partial: tuple[str, ...] | None = None  # keys of the rotated share of head_dim; None: all of it
    partial_default: float = 1.0
    share_of: tuple[str, ...] = ()  # keys of what a share is of, where `head_dim` is that share
    rotary_dim: tuple[str, ...] = ()  # keys of the number of rotated channels
    rotary_dim_default: int | None = None
    theta: tuple[str, ...] = ("rope_theta",)  # keys beside `rope_theta` in the rope object
    theta_default: float = 10000.0
    theta_beside: str | None = None  # a key that has to say the same theta: it is not read
    needs_theta: bool = False  # a rope object by label has to have its theta
    alpha: bool = False  # `alpha` of the rope object multiplies theta by alpha ** (d / (d - 2))
    layer_count: tuple[str, ...] = ("num_hidden_layers",)  # LongCat has two attentions in a layer
    length: tuple[str, ...] = ("max_position_embeddings",)
    original_length: int | None = None
    rope_types: tuple[str, ...] = ROPE_TYPES
    rope_type_aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    rope_object: bool = True  # whether there is a rope object at all
    old_rope: bool = True  # whether `rope_scaling` is read
    flat_rope: bool = True  # whether `rope_parameters` may be one for all labels
    # the rope object where the config has none
    rope: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ignores: tuple[str, ...] = ()  # keys of the rope object that do not change the rotation
    unused: tuple[str, ...] = ()  # keys of the config that this model has and does not use
    scales_softmax: bool = False  # attention multiplies its scale by YaRN's mscale squared
    rotates_if: Switch | None = None
    by_label: bool = False  # the rope object is given by label, or not at all
    # keys of older files that list it layer by layer
    by_layer: Mapping[str, str] = field(default_factory=dict[str, str])
    scaled: bool = True  # this label takes the rope object that all share
    nope: bool = False  # this label does not rotate
    # a key whose null ends `nope`: refused, or with without_window every label rotates
    window: str | None = None
    without_window: Literal["rotates"] | None = None
    layers: Layers | None = None
    # each kind of layer, whole
    labels: Mapping[str, "Family"] = field(default_factory=dict[str, "Family"])
    indexer: "Indexer | None" = None

    @property
    def splits(self) -> bool:
        """Whether each label has a rope object of its own in transformers."""
        return self.by_label or not self.flat_rope


NESTED = {"layers": Layers, "rotates_if": Switch, "indexer": Indexer}


@dataclass(frozen=True)
class Harmless:
    """A rope-like key that changes nothing with this value, for some model types or for all."""

    key: str
    value: Any
    source: str
    model_types: tuple[str, ...] | None = None

    def covers(self, key: str, value: Any, model_type: str) -> bool:
        """Whether it is this key with this value; true is not 1."""
        is_same = _frozen(value) == self.value and isinstance(value, bool) == isinstance(
            self.value, bool
        )
        is_meant = self.model_types is None or model_type in self.model_types
        return key == self.key and is_same and is_meant


@lru_cache
def data() -> dict[str, Any]:
    """families.toml."""
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
    found: dict[str, Family] = {}
    for entry in data()["family"]:
        for name in entry["model_types"]:
            own = {key: values[name] for key, values in defaults.items() if name in values}
            own |= {"indexer": data()["indexer"][name]} if name in data()["indexer"] else {}
            own |= {"tower": "audio"} if name in data()["tower"]["audio"] else {}
            own |= {"tower": "vision"} if name in data()["tower"]["vision"] else {}
            if name in found:
                raise ValueError(
                    f"families.toml: got {name!r} twice, expected one [[family]] for it."
                )
            found[name] = family(entry | own, name)
    return found


@lru_cache
def harmless() -> tuple[Harmless, ...]:
    """The keys that change nothing with the values listed."""
    return tuple(
        Harmless(**{k: _frozen(v) for k, v in entry.items()})
        for entry in data().get("harmless", ())
    )


@lru_cache
def refusals() -> dict[str, str]:
    """Why a model type that is known is not described."""
    entries = [*data().get("refused", ()), *data().get("later", ())]
    return {name: entry["why"] for entry in entries for name in entry["model_types"]}


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
        if key not in NESTED and not _is(_frozen(value), known[key]):
            raise TypeError(f"families.toml, {name}: got {key} = {value!r}, expected {known[key]}.")
    return {
        key: NESTED[key](**_checked(NESTED[key], value, f"{name}.{key}"))
        if key in NESTED
        else _frozen(value)
        for key, value in values.items()
    }


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is of a type as it is written in a dataclass here."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return _is_tuple(value) and all(isinstance(item, arguments[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if arguments:  # a union
        return any(_is(value, argument) for argument in arguments)
    return isinstance(value, (int, float) if kind is float else kind) and (
        kind is bool or value is not True
    )


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def _frozen(value: Any) -> Any:
    """A list as a tuple."""
    return tuple(value) if is_list(value) else value


def family_of(model_type: str) -> Family | None:
    """What a model type means; None where it has no rotary embedding.

    Raises:
        ValueError: it is not described.
    """
    if model_type in data().get("without", {}).get("model_types", ()):
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
