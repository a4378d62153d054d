"""transformers' own class of every described type is what its config says; all of them with FULL=1."""

import os

import numpy as np
import pytest

from parity_tests.test_three_inputs import DESCRIBED, default, rotating
from rope_parity import check_rope
from rope_parity.reference import NoReference, Reference

FULL = bool(os.environ.get("FULL"))
SOME = ["deepseek_v3", "gpt_oss", "llama", "pixtral", "qwen2_vl_text"]


def their_class(model_type, label, spec):
    """transformers' own class and function, on NumPy arrays."""
    reference = Reference(default(model_type).to_dict(), spec, label)

    def fn(x, positions):
        shared = positions if positions.shape[0] == x.shape[0] else positions[None]
        return reference.rotate(x, np.broadcast_to(shared, (len(x), *shared.shape[1:])))

    return fn, reference.is_vision


@pytest.mark.parametrize("model_type", DESCRIBED if FULL else SOME)
def test_transformers_own_class_is_right(model_type):
    """Vision towers take one row of positions for the whole batch; real coordinates are left out."""
    for label, spec in rotating(default(model_type)).items():
        try:
            fn, is_vision = their_class(model_type, label, spec)
        except NoReference:
            continue
        how = {"positions": "shared" if is_vision else "any", "framework": "numpy"}
        if not spec.real:
            verdict = check_rope(fn, spec, context=8192, **how)
            assert verdict.right, verdict.text
