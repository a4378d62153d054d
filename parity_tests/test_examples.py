"""The example models beside transformers, and that a wrong rotary embedding in them is seen."""

from dataclasses import replace

import numpy as np
import pytest

import examples.deepseek
import examples.gemma3
import examples.phi3
import examples.qwen2_vl
import examples.smollm3
from examples import check

# float32 scores of size 6 from sums of 64 and 128 terms: 1e-4 is 140 ULP
TOLERANCE, SEEN = 1e-4, 1e-2


@pytest.mark.parametrize("name", check.MODELS)
def test_scores_tokens_and_compilations(name):
    result = check.measure(name)
    assert result.difference <= TOLERANCE
    assert result.same_tokens == check.NEW or result.gap <= TOLERANCE
    assert (result.prefills, result.decodes) == (1, 1)


def test_keys_that_are_rotated_anew_are_those_of_the_longer_text():
    found = check.switch(layers=1)
    assert found.rotated_anew <= TOLERANCE and found.left_alone > SEEN


def read_as_halves(patch):
    of_config = examples.deepseek.spec_from_config
    wrong = lambda config: replace(of_config(config), read="half", write=None)
    patch.setattr(examples.deepseek, "spec_from_config", wrong)


def without_softmax_factor(patch):
    frequencies = examples.deepseek.inverse_frequencies
    wrong = lambda rope: frequencies(rope)._replace(softmax_scale_factor=1.0)
    patch.setattr(examples.deepseek, "inverse_frequencies", wrong)


def thetas_exchanged(patch):
    of_label = examples.gemma3.spec_from_config
    other = {"full_attention": "sliding_attention", "sliding_attention": "full_attention"}
    wrong = lambda config, label: of_label(config, other[label])
    patch.setattr(examples.gemma3, "spec_from_config", wrong)


def all_layers_rotate(patch):
    labels = examples.smollm3.layer_labels
    patch.setattr(examples.smollm3, "layer_labels", lambda config: ["rope"] * len(labels(config)))


def factors_exchanged(patch):
    of_config = examples.phi3.spec_from_config

    def wrong(config):
        spec = of_config(config)
        short, long = spec.rule.short_factor, spec.rule.long_factor
        return replace(spec, rule=replace(spec.rule, short_factor=long, long_factor=short))

    patch.setattr(examples.phi3, "spec_from_config", wrong)


def token_coordinates_exchanged(patch):
    positions = examples.qwen2_vl.mrope_positions
    wrong = lambda parts, merge: np.ascontiguousarray(positions(parts, merge)[:, [0, 2, 1]])
    patch.setattr(examples.qwen2_vl, "mrope_positions", wrong)


def patch_coordinates_exchanged(patch):
    positions = examples.qwen2_vl.grid_positions
    wrong = lambda grid, merge: np.ascontiguousarray(positions(grid, merge)[:, ::-1])
    patch.setattr(examples.qwen2_vl, "grid_positions", wrong)


FAULTS = [
    ("deepseek", read_as_halves),
    ("deepseek", without_softmax_factor),
    ("gemma3", thetas_exchanged),
    ("smollm3", all_layers_rotate),
    ("phi3", factors_exchanged),
    ("qwen2_vl", token_coordinates_exchanged),
    ("qwen2_vl", patch_coordinates_exchanged),
]


@pytest.mark.parametrize("name, fault", FAULTS, ids=[fault.__name__ for _, fault in FAULTS])
def test_a_planted_fault_is_seen(name, fault, monkeypatch):
    fault(monkeypatch)
    assert check.difference(name, *check.load(name)) > SEEN


def test_weights_that_do_not_fit_are_refused():
    ours, theirs = check.load("phi3")
    tensors = check.reference.tensors(theirs)
    del tensors["norm.weight"]
    with pytest.raises(ValueError, match=r"got other names.*norm\.weight.*Name the modules as"):
        check.copy_weights(ours, tensors)
