"""How a model type rotates, beyond what its config says: the types of families.toml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..spec import Layout, RotateIn, Unit

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
    """How the label of a layer follows from its index, if `layer_types` does not list it.

    Every period-th layer is `one`, the other layers are `others`.
    """

    one: str
    others: str
    period: int | None = None
    period_key: str | None = None  # a key of the config that holds the period
    offset: int = 1  # layer i is `one` if (i + offset) % period == 0
    last: bool = False  # the last layer is `one` as well
    from_end: bool = False  # the period is counted from the last layer, which is `one`
    names: Mapping[str, str] = field(default_factory=dict[str, str])  # older names of labels
    flags: str | None = None  # a key that lists 0 for `one` and 1 for `others`, layer by layer
    empty_flags: bool = False  # an empty list there is as good as none
    first: int = 0  # this many layers at the beginning are `one` as well


@dataclass(frozen=True, kw_only=True)
class Switch:
    """The model rotates only if `key` has the value `equals`."""

    key: str
    equals: bool | str
    default: bool | str


@dataclass(frozen=True, kw_only=True)
class Indexer:
    """The indexer of sparse attention: it rotates heads of its own by the table of the model."""

    head_dim: tuple[str, ...]  # keys of their width; without one there is no indexer
    read: Layout | None = None  # None: the layout of attention
    last: bool = False  # the rotated channels are the last ones


@dataclass(frozen=True, kw_only=True)
class Family:
    """How model types rotate, beyond what their config says. Keys in a tuple are tried in order.

    A key may be a quotient `a/b`, `2*a/b`, a sum `a+b`, or a difference `a-b` of two.
    """

    # keys of the rotated width
    head_dim: tuple[str, ...] = ("head_dim", "hidden_size/num_attention_heads")
    head_dim_default: int | None = None
    # a key of the head width in `per_layer_config`, which overrides head_dim
    per_layer: str | None = None
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
    sections: tuple[int, ...] = ()  # pairs of each axis, if the config gives none
    real: bool = False  # whether coordinates are real numbers
    unit: Unit = "radian"
    partial: tuple[str, ...] | None = None  # keys of the rotated share of head_dim; None: all of it
    partial_default: float = 1.0
    # keys of the width of the whole head, if head_dim is already the rotated share of it
    share_of: tuple[str, ...] = ()
    rotary_dim: tuple[str, ...] = ()  # keys of the number of rotated channels
    rotary_dim_default: int | None = None
    theta: tuple[str, ...] = ("rope_theta",)  # keys beside `rope_theta` in the rope object
    theta_default: float = 10000.0
    # a key that transformers ignores; here it has to agree with rope_theta
    theta_beside: str | None = None
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
    # the rope object, if the config has none
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
    # the key of the sliding window: if that is null, no layer is without a rotation
    window: str | None = None
    rotates_without_window: bool = False  # else a window that is null is an error
    layers: Layers | None = None
    # each kind of layer, whole
    labels: Mapping[str, "Family"] = field(default_factory=dict[str, "Family"])
    indexer: Indexer | None = None

    @property
    def splits(self) -> bool:
        """Whether each label has a rope object of its own in transformers."""
        return self.by_label or not self.flat_rope
