"""Shapes and types in signatures are checked in every test that is not marked `unchecked`."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

import rope_jax.rotation
import rope_spec.phase
import rope_torch.rotation
from rope_spec import RopeSpec
from rope_spec.channels import HALVES

WRONG = {
    "rope_spec": lambda: rope_spec.phase.phase_cos_sin(np.zeros((3, 4), np.int32)),
    "rope_jax": lambda: rope_jax.rotation.join(jnp.ones((3, 4)), jnp.ones((2, 4)), 1),
    "rope_torch": lambda: rope_torch.rotation.rotate_pairs(
        torch.ones(3, 8), torch.ones(2, 4), torch.ones(2, 4), HALVES, "float32"
    ),
    "a number": lambda: RopeSpec(head_dim=8.0),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_a_wrong_type_is_an_error(call):
    with pytest.raises(TypeCheckError):
        call()


@pytest.mark.unchecked
def test_not_in_a_marked_test():
    with pytest.raises(TypeError, match="RopeSpec.head_dim: got 8.0, expected a whole number"):
        RopeSpec(head_dim=8.0)
