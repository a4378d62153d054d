"""Every model type of transformers that is described: its default object, and the JSON that it saves.

What is expected comes from transformers: its rotary class, its function, its list of layers. Where transformers refuses
its own default, we do.
"""

import copy
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from transformers import CONFIG_MAPPING, AutoConfig
from transformers.utils import logging

from parity_tests.agreement import disagreement
from rope_parity.reference import Reference
from rope_spec import Pairs, RopeSpec, layer_labels, specs_from_config
from rope_spec.config.family import refusals

logging.set_verbosity_error()
NOT_COMPARED = {  # why no reference can be built for a default object
    **dict.fromkeys(
        ("csm", "dia", "evolla", "EvollaModel", "neucodec", "xcodec2"),
        "parts that are no text model",
    ),
    **dict.fromkeys(
        ("pe_audio", "pe_audio_video", "pe_audio_video_encoder", "pe_video"), "a part of timm"
    ),
    **dict.fromkeys(
        ("qwen2_5_omni", "qwen3_omni_moe"), "a talker, which has another class than the thinker"
    ),
    **dict.fromkeys(
        ("muse_glimmer", "muse_glimmer_text", "muse_spark", "muse_spark_text"),
        "flags by another name",
    ),
    **dict.fromkeys(
        ("llama4", "llama4_vision_model"), "a vision tower whose table does not come from positions"
    ),
    **dict.fromkeys(("gptj", "codegen", "roformer"), "a table by position that is no class"),
    **dict.fromkeys(
        ("voxtral_realtime", "voxtral_realtime_text"),
        "a model class that transformers does not export",
    ),
    "nemo_speechlm": "an audio encoder without a number of layers",
    "t5gemma": "kinds of layers that rotate alike",
}
TYPES = sorted(CONFIG_MAPPING)
OTHER_TOWERS = ("vision", "audio", "indexer")
Values = dict[str, Any]


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


def rotating(values: Any) -> dict[str, RopeSpec]:
    """The specs of the labels that rotate, and that some layer has."""
    specs = {label: spec for label, spec in specs_from_config(values).items() if spec is not None}
    if set(specs) <= {"text", *OTHER_TOWERS}:
        return specs
    used = {*layer_labels(values), *OTHER_TOWERS}
    return {label: spec for label, spec in specs.items() if label in used}


def text_of(config: Any) -> Any:
    """The configuration object of the text model, the decoder where there are several."""
    return config.get_text_config(decoder=True)


def layers_of(config: Any, labels: set[str]) -> list[str]:
    """The label of each layer of the text model, from transformers' object."""
    text = text_of(config)
    if labels == {"rope", "nope"}:
        return ["rope" if flag else "nope" for flag in text.no_rope_layers]
    return ["text"] * text.num_hidden_layers if labels == {"text"} else list(text.layer_types)


def expect_agreement(given: Any, values: Values) -> None:
    """Every label of what is given to us as transformers has it for these values, and the label of every layer."""
    found = {label: disagreement(values, label, spec) for label, spec in rotating(given).items()}
    assert not any(found.values()), found
    config, labels = built(values), set(specs_from_config(given)) - set(OTHER_TOWERS)
    if found and labels and getattr(text_of(config), "num_hidden_layers", None):
        assert layer_labels(given) == layers_of(config, labels)


def turned(reference: Reference) -> bytes:
    """A query of ones at the positions 0 to 3, the same on all axes, in transformers' own class and function."""
    axes = reference.spec.pairs.axes
    positions = np.repeat(np.arange(4)[None, :, None], axes, axis=-1)
    x = np.ones((1, 4, 1, reference.spec.head_dim), np.float32)
    return reference.rotate(x, positions if axes > 1 else positions[..., 0]).tobytes()


def rotates(config: Any) -> bool:
    """Whether transformers can rotate a query of its own width with its own tables, for one axis or for three."""
    for sections in (1, 3):
        try:
            width = width_of(text_of(config))
            lengths = (width // 2 - (sections - 1) * (width // 6), *[width // 6] * (sections - 1))
            pairs = Pairs.sections(lengths)
            turned(
                Reference(
                    config.to_dict(), RopeSpec(head_dim=width, theta=1e4, pairs=pairs), "text"
                )
            )
            return True
        except Exception:
            continue
    return False


def width_of(text: Any) -> int:
    return getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads


@pytest.mark.parametrize("model_type", [name for name in TYPES if name not in NOT_COMPARED])
def test_the_default_object(model_type):
    config = default(model_type)
    if config is None:
        assert refused({"model_type": model_type}) or not rotating({"model_type": model_type})
    elif (why := refused(config)) is None:
        expect_agreement(config, config.to_dict())
    elif not {model_type, text_of(config).model_type} & refusals().keys():
        assert not rotates(config), why


DESCRIBED = [name for name in TYPES if is_described(name)]


def test_what_is_not_compared_is_a_small_part():
    assert set(NOT_COMPARED) <= set(DESCRIBED) and len(NOT_COMPARED) < len(DESCRIBED) / 10


@pytest.mark.parametrize("model_type", DESCRIBED)
def test_what_it_saves(model_type, tmp_path):
    """The same specs; compared again where transformers reads another object from its own file."""
    config = default(model_type)
    config.save_pretrained(tmp_path)
    read = AutoConfig.from_pretrained(tmp_path).to_dict()
    assert specs_from_config(tmp_path) == specs_from_config(config)
    if read != config.to_dict() and model_type not in NOT_COMPARED:
        expect_agreement(tmp_path, read)
