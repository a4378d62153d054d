"""The public functions: from a configuration to the spec of each label."""

from collections.abc import Collection
from typing import NamedTuple

from ..spec import Arithmetic, RopeSpec
from ..values import of_kind
from . import diffusers
from .build import spec_of
from .facts import Facts, facts_of
from .layers import labels_of
from .scaling import family_context_length
from .towers import Config, Tower, Towers, read_config, towers
from .unread import check_unread
from .widths import missing_width

ANY_WIDTH = 64  # for a tower without one: its keys are checked, and its facts thrown away
TRANSFORMER = "transformer"  # the label of a transformer of diffusers
OTHERS = ("vision", "audio", "indexer")  # never the default label


class Reading(NamedTuple):
    """What a config says: the facts of each label, and why a tower is left out."""

    text: Tower
    facts: dict[str, Facts | None]
    default_labels: list[str]
    refusals: dict[str, str]


def specs_from_config(
    config: Config, *, model_type: str | None = None, ignore: Collection[str] = ()
) -> dict[str, RopeSpec | None]:
    """The rotary embeddings that a `config.json` describes, by label; None for layers without one.

    The label is `text` where all layers of the text model are alike, else the name of the layer
    type as in `rope_parameters` (`full_attention`, ...) or, for models that name only exceptions,
    `rope` and `nope`. Other towers are `vision` and `audio`, an indexer beside attention is
    `indexer`. Towers that are not supported are left out; `spec_from_config(config, label)` says
    why. A model without a rotary embedding is `{"text": None}`. A transformer of diffusers has the
    label `transformer`.

    Args:
        config: the path of a config.json or of its folder, what it holds, or a configuration of
            transformers.
        model_type: read the config as this type, for a type of your own that has the keys of a
            known one.
        ignore: rope keys that are not supported, if you know that they change nothing.

    Raises:
        ValueError: an unknown model_type or rope type, a value that is missing or out of range, or
            a key about rotary embeddings that nothing reads.
        TypeError: a value of the wrong kind.
        FileNotFoundError: there is no such file.
    """
    config = read_config(config)
    if model_type is None and diffusers.is_of_diffusers(config):
        return {TRANSFORMER: diffusers.spec_of(config, ignore)}
    facts = _read("specs_from_config", config, model_type, ignore).facts
    return {label: spec_of(its, label) if its else None for label, its in facts.items()}


def spec_from_config(
    config: Config,
    label: str | None = None,
    *,
    model_type: str | None = None,
    ignore: Collection[str] = (),
) -> RopeSpec:
    """The rotary embedding of one kind of layer.

    Args:
        config: the path of a config.json or of its folder, what it holds, or a configuration of
            transformers.
        label: a label of `specs_from_config`; None where the text model has only one that rotates.
        model_type: read the config as this type.
        ignore: rope keys that are not supported, if you know that they change nothing.

    Raises:
        ValueError: an unknown label, one without a rotary embedding, or no label where there are
            several; else as `specs_from_config`.
        TypeError: a value of the wrong kind.
        FileNotFoundError: there is no such file.
    """
    of_kind("label", label, str | None, "a label of specs_from_config, or None")
    config = read_config(config)
    if model_type is None and diffusers.is_of_diffusers(config) and label in (None, TRANSFORMER):
        return diffusers.spec_of(config, ignore)
    reading = _read("spec_from_config", config, model_type, ignore)
    label, facts = _chosen("spec_from_config", reading, label)
    return spec_of(facts, label)


def layer_labels(
    config: Config, *, model_type: str | None = None, ignore: Collection[str] = ()
) -> list[str]:
    """The label of each layer of the text model, for the specs of `specs_from_config`.

    Raises:
        ValueError: no `num_hidden_layers`, layers that are unknown or too many; else as
            `specs_from_config`.
    """
    return labels_of(_read("layer_labels", config, model_type, ignore).text)


def reference_arithmetic(
    config: Config,
    label: str | None = None,
    *,
    model_type: str | None = None,
    ignore: Collection[str] = (),
) -> Arithmetic:
    """How transformers computes this rotation: float32 angles, and often a rotation in x's dtype.

    The arguments and the errors are those of `spec_from_config`.
    """
    of_kind("label", label, str | None, "a label of specs_from_config, or None")
    reading = _read("reference_arithmetic", config, model_type, ignore)
    _, facts = _chosen("reference_arithmetic", reading, label)
    return Arithmetic(angles="float32", rotate_in=facts.rotate_in)


def context_length(config: Config, *, model_type: str | None = None) -> int:
    """`max_position_embeddings` of the text model; ValueError if it is missing."""
    text = _towers("context_length", config, model_type).text
    if text.family is None:
        raise ValueError(
            f"context_length: got model_type={text.model_type!r}, which has no rotary embedding, "
            "expected a model that has one. Read the length from the config yourself."
        )
    return family_context_length(text.keys, text.family)


def _read(
    function: str, config: Config, model_type: str | None, ignore: Collection[str]
) -> Reading:
    all_towers = _towers(function, config, model_type)
    text, *others = all_towers.parts
    facts = facts_of(text)
    default_labels = [
        name for name, value in facts.items() if value is not None and name not in OTHERS
    ]
    refusals = {
        tower.name: why for tower in others if (why := tower.refusal or missing_width(tower))
    }
    for tower in others:
        is_supported = tower.name not in refusals
        its_facts = _of_other_tower(tower, is_supported)  # in any case, as it checks the keys
        facts |= its_facts if is_supported else {}
    check_unread(all_towers, ignore)
    return Reading(text, facts, default_labels or [name for name in facts if facts[name]], refusals)


def _towers(function: str, config: Config, model_type: str | None) -> Towers:
    config = read_config(config)
    if model_type is None:
        diffusers.refuse(function, config)
    return towers(config, model_type)


def _chosen(function: str, reading: Reading, label: str | None) -> tuple[str, Facts]:
    """The label, or the only one of the text model that rotates, and its facts."""
    if label in reading.refusals:
        raise ValueError(reading.refusals[label])
    if label is None and len(reading.default_labels) == 1:
        label = reading.default_labels[0]
    facts = reading.facts.get(label) if label else None
    if label and facts:
        return label, facts
    rotating = [repr(name) for name, value in reading.facts.items() if value is not None]
    expected = (
        f"one of {', '.join(rotating)}" if rotating else "a model that has a rotary embedding"
    )
    raise ValueError(
        f"{function}: got label={label!r}, expected {expected}. See specs_from_config."
    )


def _of_other_tower(tower: Tower, has_width: bool) -> dict[str, Facts | None]:
    """The facts of another tower by label, with the name of the tower in front of several.

    Without a width its facts are of no use, but its rope keys are checked.
    """
    if tower.family is None:
        return {}
    facts = facts_of(tower, None if has_width else ANY_WIDTH)
    is_one = len(facts) == 1
    return {label if is_one else f"{tower.name}.{label}": value for label, value in facts.items()}
