"""Every model type of transformers is in exactly one place of families.toml."""

from collections import Counter

import pytest
from transformers import CONFIG_MAPPING

from rope_spec import specs_from_config
from rope_spec.config.families import data, families, family, refusals
from rope_spec.config.family import Family

PLACES = {
    "family": set(families()),
    "outer": set(data()["outer"]),
    "alias": set(data()["alias"]),
    "without": set(data()["without"]["model_types"]),
    "refused": set(refusals()),
}


def test_every_model_type_is_in_one_place():
    count = Counter(name for names in PLACES.values() for name in names)
    assert [name for name in CONFIG_MAPPING if count[name] != 1] == []
    assert [name for name, places in count.items() if places > 1] == []


def test_what_transformers_does_not_know_is_an_alias_or_described():
    """An alias of a known type would never be looked at."""
    assert not PLACES["alias"] & set(CONFIG_MAPPING)
    assert set(data()["alias"].values()) <= PLACES["family"] | PLACES["outer"]


def test_refusals_are_a_few_kinds_of_behaviour():
    assert len(data()["refused"]) <= 10
    for name in refusals():
        with pytest.raises(
            ValueError,
            match=f"model_type='{name}', which is not described: .* Build the RopeSpec yourself",
        ):
            specs_from_config({"model_type": name})


@pytest.mark.parametrize("name", sorted(PLACES["without"] & set(CONFIG_MAPPING)))
def test_a_type_without_a_rotary_embedding_takes_any_rope_key(name):
    assert specs_from_config(
        {"model_type": name, "rope_theta": 1e4, "rope_scaling": {"factor": 2}}
    ) == {"text": None}


def test_the_parts_of_outer_types_are_known():
    parts = {
        part for inner in (data()["outer"] | data()["nested"]).values() for part in inner.values()
    }
    assert parts <= set().union(*PLACES.values())


BAD = {
    "field": (
        {"hed_dim": ["head_dim"]},
        ValueError,
        "families.toml, x: got 'hed_dim', expected a field of Family",
    ),
    "type": (
        {"head_dim": "head_dim"},
        TypeError,
        "families.toml, x: got head_dim = 'head_dim', expected tuple",
    ),
    "choice": ({"read": "halves"}, TypeError, "families.toml, x: got read = 'halves', expected"),
    "number": (
        {"theta_default": True},
        TypeError,
        "families.toml, x: got theta_default = True, expected",
    ),
    "false": (
        {"head_dim_default": False},
        TypeError,
        "families.toml, x: got head_dim_default = False, expected",
    ),
    "a number that is a truth": (
        {"sections": [8, True, 8]},
        TypeError,
        r"families.toml, x: got sections = \[8, True, 8\], expected",
    ),
    "nested": (
        {"layers": {"one": "a", "others": "b", "perod": 4}},
        ValueError,
        "x.layers: got 'perod', expected a field of Layers",
    ),
    "label": ({"labels": {"a": {"sign": 1.5}}}, TypeError, "x.a: got sign = 1.5, expected"),
}


@pytest.mark.parametrize("entry, error, message", BAD.values(), ids=BAD)
def test_an_entry_is_checked_when_it_is_loaded(entry, error, message):
    with pytest.raises(error, match=message):
        family(entry, "x")


def test_a_label_is_the_family_with_its_changes():
    found = family(
        {"read": "interleaved", "labels": {"a": {"theta_default": 5.0}, "b": {"nope": True}}}, "x"
    )
    assert found.labels == {
        "a": Family(read="interleaved", theta_default=5.0),
        "b": Family(read="interleaved", nope=True),
    }
