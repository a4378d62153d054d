"""transformers' own class of every described type is what its config says; all with FULL=1."""

import os

import numpy as np
import pytest
from transformers import CONFIG_MAPPING, AutoConfig

from rope_parity import check_rope
from rope_parity.reference import NoReference, Reference
from rope_spec import specs_from_config

SOME = ["deepseek_v3", "llama", "pixtral", "qwen2_vl_text"]
TYPES = sorted(CONFIG_MAPPING) if os.environ.get("FULL") else SOME


def specs_of(model_type):
    """transformers' default object, and its specs; nothing where it is refused, here or there."""
    try:
        config = AutoConfig.for_model(model_type)
        return config, {k: spec for k, spec in specs_from_config(config).items() if spec}
    except Exception:
        return None, {}


def their_class(config, label, spec):
    """transformers' own class and function, on NumPy arrays."""
    reference = Reference(config.to_dict(), spec, label)

    def fn(x, positions):
        shared = positions if positions.shape[0] == x.shape[0] else positions[None]
        return reference.rotate(x, np.broadcast_to(shared, (len(x), *shared.shape[1:])))

    return fn, reference.is_vision


@pytest.mark.parametrize("model_type", TYPES)
def test_transformers_own_class_is_right(model_type):
    """Vision towers take one row of positions for the batch; real coordinates are left out."""
    config, specs = specs_of(model_type)
    for label, spec in specs.items():
        try:
            fn, is_vision = their_class(config, label, spec)
        except NoReference:
            continue
        how = {"positions": "shared" if is_vision else "any", "framework": "numpy"}
        if not spec.real:
            longest = min(8192, getattr(config, "max_position_embeddings", None) or 8192)
            verdict = check_rope(fn, spec, context=longest, **how)  # CodeGen's table ends there
            assert verdict.right, verdict.text
