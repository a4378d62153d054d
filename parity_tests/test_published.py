"""Every configuration of `published.json` is read as its model card and its own code mean it."""

import contextlib
from collections import Counter

import pytest

from parity_tests.agreement import disagreement
from parity_tests.published import expected_specs, published_models
from rope_parity.reference import NoReference
from rope_spec import layer_labels, specs_from_config

MODELS = {model["name"]: model for model in published_models()}
TOWERS = {
    "vision",
    "audio",
    "indexer",
}  # labels beside the text model, of which not every one is in the table


def test_there_are_enough():
    types = {model["config"]["model_type"] for model in MODELS.values()}
    assert len(MODELS) == len(published_models()) >= 60 and len(types) >= 35


@pytest.mark.parametrize("name", MODELS)
def test_a_published_configuration(name):
    expected, specs = expected_specs(MODELS[name]), specs_from_config(MODELS[name]["config"])
    assert set(specs) - TOWERS == set(expected) - TOWERS
    assert {label: specs[label] for label in expected} == expected


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if "layers" in model])
def test_the_layers_of_a_published_configuration(name):
    assert Counter(layer_labels(MODELS[name]["config"])) == MODELS[name]["layers"]


@pytest.mark.parametrize(
    "name, label", [(name, label) for name in MODELS for label in MODELS[name]["specs"]]
)
def test_a_fact_is_what_transformers_does(name, label):
    """With the whole configuration of the table, where transformers has a class for it."""
    spec = expected_specs(MODELS[name])[label]
    with contextlib.suppress(NoReference):
        assert spec is None or disagreement(MODELS[name]["config"], label, spec) is None
