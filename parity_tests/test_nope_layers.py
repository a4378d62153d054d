"""Models in which some layers do not rotate: which, from transformers' own attention."""

import importlib
import inspect
import re
from typing import Any

import pytest
import torch

from parity_tests.own_sizes import in_text, text_of
from parity_tests.test_three_inputs import DESCRIBED, built, default, refused
from rope_spec import layer_labels, specs_from_config

ATTENTION = re.compile("attention|^rope$|^nope$")


def has_both(model_type: str) -> bool:
    """Whether some of its attention layers rotate, and some do not."""
    specs = specs_from_config(default(model_type))
    kinds = [spec is None for label, spec in specs.items() if ATTENTION.search(label)]
    return any(kinds) and not all(kinds)


BOTH = [name for name in DESCRIBED if has_both(name)]


def attention_of(text: Any) -> type:
    """The attention of a text model: the class that takes its configuration and a layer's index."""
    module = importlib.import_module(type(text).__module__.replace("configuration_", "modeling_"))
    classes = [
        value
        for name, value in vars(module).items()
        if name.endswith("Attention") and inspect.isclass(value)
    ]
    takes = [inspect.signature(value.__init__).parameters for value in classes]
    named = [
        cls
        for cls, parameters in zip(classes, takes, strict=True)
        if "layer_idx" in parameters
        and getattr(parameters["config"].annotation, "__name__", "") == type(text).__name__
    ]
    assert len(named) == 1, named
    return named[0]


def rotating_layers(text: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The layers whose attention calls the function that rotates."""
    text._attn_implementation = "eager"
    attention, calls = attention_of(text), []
    module = inspect.getmodule(attention)
    for name, function in list(vars(module).items()):
        if name.startswith("apply_") and "rotary" in name:
            monkeypatch.setattr(
                module, name, lambda *a, f=function, **k: calls.append(1) or f(*a, **k)
            )
    return [
        layer for layer in range(text.num_hidden_layers) if calls_of(attention, text, layer, calls)
    ]


def calls_of(attention: type, text: Any, layer: int, calls: list[int]) -> int:
    """How often one layer calls it, for four tokens."""
    calls.clear()
    with torch.device("meta"):
        own = attention(text, layer_idx=layer)
        width = getattr(own, "head_dim", None) or text.hidden_size // text.num_attention_heads
        table = torch.zeros(1, 4, width), torch.zeros(1, 4, width)
        if text.model_type == "llama4_text":
            table = torch.zeros(1, 4, width // 2, dtype=torch.complex64)
        if not gets_a_table(text, layer):
            table = None
        arguments = {
            "hidden_states": torch.zeros(1, 4, text.hidden_size),
            "position_embeddings": table,
        }
        own(**arguments, attention_mask=None)
    return len(calls)


def gets_a_table(text: Any, layer: int) -> bool:
    """Whether the layer gets cos and sin: not where its rope object is null, or its theta 0."""
    kind = text.layer_types[layer] if getattr(text, "layer_types", None) else ""
    has_object = text.rope_parameters.get(kind, "one for all") is not None
    return has_object and bool(
        getattr(text, "layer_rope_theta", None) is None or text.layer_rope_theta[layer]
    )


def without_window(model_type: str) -> dict[str, Any] | None:
    """The default values with no sliding window; None where transformers refuses them."""
    values = default(model_type).to_dict()
    in_text(default(model_type), values)["sliding_window"] = None
    try:
        built(values)
    except Exception:
        return None
    return values


def expect_the_same(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    specs = specs_from_config(values)
    ours = [layer for layer, label in enumerate(layer_labels(values)) if specs[label] is not None]
    assert ours == rotating_layers(text_of(built(values)), monkeypatch)


@pytest.mark.parametrize("model_type", BOTH)
def test_the_layers_that_rotate(model_type, monkeypatch):
    expect_the_same(default(model_type).to_dict(), monkeypatch)


@pytest.mark.parametrize("model_type", BOTH)
def test_the_layers_that_rotate_without_a_window(model_type, monkeypatch):
    """All of them in some models, fewer or none in others: then we refuse."""
    values = without_window(model_type)
    if values is not None and not refused(values):
        expect_the_same(values, monkeypatch)
