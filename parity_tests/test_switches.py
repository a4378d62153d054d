"""Each rope-like key of every model type, set to false, true, 0, []: as transformers, or refused.

The keys are those of transformers' default object, those within its rope object, and switches that
published files have. `FULL=1` tries the switches on every model type, else each on some. What
transformers' configuration class refuses has no rotation that ours could differ from.
"""

import os
import re
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from parity_tests.agreement import disagreement
from parity_tests.own_sizes import in_text
from parity_tests.test_three_inputs import DESCRIBED, built, default, rotating
from rope_parity.reference import NoReference

ROPE_LIKE = re.compile("rope|rotary|yarn|ntk")
VALUES = (False, True, 0, [])
SWITCHES = [
    *(
        "rope_interleave",
        "rope_interleaved",
        "rope_is_neox_style",
        "use_rope",
        "use_mrope",
        "use_rope_scaling",
    ),
    *(
        "indexer_rope_interleave",
        "partial_rotary_factor",
        "rotary_dim",
        "rotary_pct",
        "rope_theta",
        "rope_scaling",
    ),
    *("use_rotary_pos_emb", "rotary", "no_rope_layers", "rope_mode"),
]


def changes(model_type: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The values of the default object with one key changed, and what was changed."""
    text = in_text(default(model_type), default(model_type).to_dict())
    switches = [
        key
        for key in SWITCHES
        if os.environ.get("FULL") or not zlib.crc32(f"{model_type} {key}".encode()) % 8
    ]
    for path in [*paths(text), *((key,) for key in switches if key not in text)]:
        for value in VALUES:
            values = default(model_type).to_dict()
            target = in_text(default(model_type), values)
            for key in path[:-1]:
                target = target[key]
            target[path[-1]] = value
            yield f"{'.'.join(path)}={value}", values


def paths(text: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Its rope-like keys, and all keys of an object under one of them."""
    for key, value in text.items():
        if ROPE_LIKE.search(key):
            yield (key,)
            yield from ((key, *inner) for inner in inside(value))


def inside(value: Any) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield (key,)
        yield from ((key, *path) for path in inside(inner))


def outcome(values: dict[str, Any]) -> str | None:
    """What is wrong with our reading; None for an error, or for transformers' own rotation."""
    try:
        specs = rotating(values)
    except (ValueError, TypeError):
        return None
    try:
        built(values)
    except Exception:
        return None
    for label, spec in specs.items():
        try:
            wrong = disagreement(values, label, spec)
        except NoReference:
            continue
        except Exception as error:
            return f"{label}: read, where transformers raises {type(error).__name__}: {error}"
        if wrong:
            return f"{label}: another {wrong}"
    return None


@pytest.mark.parametrize("model_type", DESCRIBED)
def test_rope_like_keys(model_type):
    found = {change: wrong for change, values in changes(model_type) if (wrong := outcome(values))}
    assert not found, found
