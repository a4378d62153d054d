"""Every model type that is described: its default object, the JSON that it saves, our own sizes.

What is expected comes from transformers: its rotary class, its function, its list of layers. Where
transformers refuses its own default, we do. `FULL=1` takes every rule for every model type; else
one rule for each type that is no composite, since the parts of a composite are types of their own,
and their place is seen in the default object.
"""

import copy
import os
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from transformers import CONFIG_MAPPING, AutoConfig
from transformers.utils import logging

from parity_tests.agreement import disagreement
from parity_tests.own_sizes import DEFAULT, RULES, Values, in_text, text_of, with_own_sizes
from rope_parity.reference import NoReference, Reference
from rope_spec import Pairs, RopeSpec, layer_labels, specs_from_config
from rope_spec.config.families import refusals

logging.set_verbosity_error()
TYPES = sorted(CONFIG_MAPPING)
KIND_OF_LAYER = re.compile(
    "attention|hybrid|conv|^rope$|^nope$"
)  # a label of the text model, if it has several
UNREFERENCED = ("llama4", "llama4_vision_model", "roformer")  # compared in test_own_tables.py
NEW_SPELLING_ALONE = {  # we refuse their old spelling, which transformers takes
    **dict.fromkeys(("dots3_note", "dots3_note_text"), "got one rope_scaling for all layers"),
    "mistral4": "got rope_scaling, expected rope_parameters",
}


@lru_cache
def default(model_type: str) -> Any:
    """transformers' default object; None where its own class refuses it."""
    try:
        return AutoConfig.for_model(model_type)
    except Exception:
        return None


def refused(config: Any) -> str | None:
    """Why we refuse a configuration; None where we read it."""
    try:
        specs_from_config(config)
    except (ValueError, TypeError) as error:
        return str(error)
    return None


@lru_cache
def is_described(model_type: str) -> bool:
    """Whether we read the default object, and something in it rotates."""
    config = default(model_type)
    return config is not None and not refused(config) and any(specs_from_config(config).values())


def built(values: Values) -> Any:
    """transformers' object for the values of a configuration."""
    values = copy.deepcopy(values)
    return AutoConfig.for_model(values.pop("model_type"), **values)


def rotating(config: Any) -> dict[str, RopeSpec]:
    """The specs of the labels that rotate; of several kinds of layers those that occur."""
    specs = {label: spec for label, spec in specs_from_config(config).items() if spec is not None}
    if any(map(KIND_OF_LAYER.search, specs)):
        layers = layer_labels(config)
        specs = {
            label: spec
            for label, spec in specs.items()
            if label in layers or not KIND_OF_LAYER.search(label)
        }
    return specs


def layers_of(config: Any, labels: set[str]) -> list[str]:
    """The label of each layer of the text model, from transformers' object."""
    text = text_of(config)
    if labels <= {"rope", "nope"}:
        flags = getattr(text, "no_rope_layers", None) or text.layer_rope_theta
        return ["rope" if flag else "nope" for flag in flags]
    return (
        list(text.layer_types)
        if any(map(KIND_OF_LAYER.search, labels))
        else [*labels] * text.num_hidden_layers
    )


def expect_agreement(given: Any, values: Values) -> None:
    """Every label of `given` as transformers has it for `values`, and the label of every layer."""
    found = {}
    for label, spec in rotating(given).items():
        try:
            found[label] = disagreement(values, label, spec)
        except NoReference:
            assert spec.real or values["model_type"] in UNREFERENCED, label
    assert not any(found.values()), found
    has_layers = hasattr(text_of(built(values)), "num_hidden_layers")
    if has_layers and any(label == "text" or KIND_OF_LAYER.search(label) for label in found):
        labels = layer_labels(given)
        assert labels == layers_of(built(values), set(labels))


def expect_the_same(old: Values, new: Values) -> None:
    """Where transformers rotates alike, the same specs; else we refuse, or read what it does."""
    specs = rotating(new)
    if takes(old, specs) and same(old, new, specs):
        assert rotating(old) == specs
    elif not refused(old):
        expect_agreement(old, old)


def takes(values: Values, specs: dict[str, RopeSpec]) -> bool:
    """Whether transformers rotates a query with these values, for each label that occurs."""
    try:
        layers = getattr(text_of(built(values)), "layer_types", None) or list(specs)
        for label, spec in specs.items():
            if label in layers or label == "rope" or not KIND_OF_LAYER.search(label):
                turned(values, label, spec)
    except Exception:
        return False
    return True


def turned(values: Values, label: str, spec: RopeSpec) -> bytes:
    """A query of ones at the positions 0 to 3 of all axes, rotated by transformers."""
    axes = spec.pairs.axes
    positions = np.repeat(np.arange(4)[None, :, None], axes, axis=-1)
    x = np.ones((1, 4, 1, spec.head_dim), np.float32)
    try:
        return (
            Reference(values, spec, label)
            .rotate(x, positions if axes > 1 else positions[..., 0])
            .tobytes()
        )
    except NoReference:
        return b""


def same(left: Values, right: Values, specs: dict[str, RopeSpec]) -> bool:
    """Whether two configurations rotate alike in transformers."""
    return all(
        turned(left, label, spec) == turned(right, label, spec) for label, spec in specs.items()
    )


def wide(spec: RopeSpec) -> RopeSpec:
    """The same kind of embedding for twice the width."""
    axis = tuple(axis for axis in spec.pairs.axis for _ in range(2))
    pairs = Pairs(axis, tuple(range(len(axis))), 2 * len(axis))
    return replace(spec, head_dim=2 * spec.head_dim, rule=None, pairs=pairs)


def rotates(config: Any) -> bool:
    """Whether transformers can rotate a query of its own width, for one axis or for three."""
    text = text_of(config)
    for axes in (1, 3):
        try:
            width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
            others = (width // 6,) * (axes - 1)
            pairs = Pairs.sections(mrope_section=(width // 2 - sum(others), *others))
            turned(config.to_dict(), "text", RopeSpec(head_dim=width, theta=1e4, pairs=pairs))
            return True
        except Exception:
            continue
    return False


def own_sizes(config: Any, rule: Values) -> tuple[Values, Values]:
    """Sizes of our own, as many as transformers takes and follows, in both spellings."""
    values, specs = config.to_dict(), rotating(config)
    wider = {
        label: wide(spec) if label in layer_names(config) else spec for label, spec in specs.items()
    }
    follows = lambda own: (
        takes(other := with_own_sizes(config, own, resize=False), specs)
        and not same(other, values, specs)
    )
    rules = [own for own in (rule, DEFAULT) if follows(own)]
    for own, resize in [(own, True) for own in (*rules, None)] + [(own, False) for own in rules]:
        new, old = (with_own_sizes(config, own, resize, old) for old in (False, True))
        if takes(new, wider if resize else specs):
            return list_layers(config, new), list_layers(config, old)
    return values, values


def layer_names(config: Any) -> set[str]:
    """The labels of its layers; all of them where it is no text model."""
    try:
        return set(layer_labels(config))
    except (ValueError, TypeError):
        return set(specs_from_config(config))


def list_layers(config: Any, values: Values) -> Values:
    """With transformers' own `layer_types` where the model type has no period that we know."""
    try:
        layer_labels(values)
    except (ValueError, TypeError) as error:
        if "got no layer_types" in str(error):
            in_text(config, values)["layer_types"] = text_of(built(values)).layer_types
    return values


@pytest.mark.parametrize("model_type", TYPES)
def test_the_default_object(model_type):
    config = default(model_type)
    if config is None:
        assert refused({"model_type": model_type}) or not rotating({"model_type": model_type})
    elif why := refused(config):
        assert {model_type, text_of(config).model_type} & refusals().keys() or not rotates(
            config
        ), why
    elif is_described(model_type):
        expect_agreement(config, config.to_dict())


DESCRIBED = [name for name in TYPES if is_described(name)]


@pytest.mark.parametrize("model_type", DESCRIBED)
def test_what_it_saves(model_type, tmp_path):
    """The same specs; compared again where transformers reads another object from its own file."""
    config = default(model_type)
    config.save_pretrained(tmp_path)
    read = AutoConfig.from_pretrained(tmp_path).to_dict()
    assert specs_from_config(tmp_path) == specs_from_config(config)
    if read != config.to_dict():
        expect_agreement(tmp_path, read)


FULL = bool(os.environ.get("FULL"))
SIZED = [name for name in DESCRIBED if FULL or not default(name).sub_configs]


@pytest.mark.parametrize("model_type", SIZED)
def test_sizes_of_our_own(model_type):
    """In both spellings: where they say the same to transformers, they do to us."""
    config, index = default(model_type), TYPES.index(model_type)
    for rule in RULES if FULL else [RULES[index % len(RULES)]]:
        new, old = own_sizes(config, rule)
        expect_agreement(new, new)
        if NEW_SPELLING_ALONE.get(model_type, "nothing") not in (refused(old) or ""):
            expect_the_same(old, new)


@pytest.mark.parametrize("model_type, reason", NEW_SPELLING_ALONE.items())
def test_an_old_spelling_that_we_refuse_is_one_that_transformers_takes(model_type, reason):
    config = default(model_type)
    pairs = [own_sizes(config, rule) for rule in RULES]
    taken = [old for new, old in pairs if takes(old, rotating(new))]
    assert any(reason in (refused(old) or "") for old in taken)
