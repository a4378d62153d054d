"""Shapes and types in signatures are checked in every test that is not marked `unchecked`."""

import ast
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

import rope_jax.rotation
import rope_parity.identification.number
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
    "rope_parity": lambda: rope_parity.identification.number.rounded([1.0], "bfloat16"),
    "a number": lambda: RopeSpec(head_dim=8.0),
}

ROOT = Path(__file__).parent.parent
PACKAGES = ("rope_spec", "rope_jax", "rope_torch", "rope_parity")
TRITON = "rope_torch/triton_kernel.py"  # its kernels have types of their own


def without_a_type(source):
    """The parameters of a module's functions that have no annotation: `(function, name)`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            rest = [rest for rest in (node.args.vararg, node.args.kwarg) if rest is not None]
            for argument in named + rest:
                if argument.annotation is None and argument.arg not in ("self", "cls"):
                    yield node.name, argument.arg


@pytest.mark.parametrize("package", PACKAGES)
def test_every_parameter_has_a_type(package):
    paths = [path for path in (ROOT / package).rglob("*.py") if not path.match(TRITON)]
    found = {path.name: list(without_a_type(path.read_text("utf-8"))) for path in paths}
    assert {name: names for name, names in found.items() if names} == {}


def test_a_parameter_without_a_type_is_found():
    source = "class A:\n    def f(self, a, /, b: int, *c, d=1, **e: int): ..."
    assert list(without_a_type(source)) == [("f", "a"), ("f", "d"), ("f", "c")]


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_a_wrong_type_is_an_error(call):
    with pytest.raises(TypeCheckError):
        call()


@pytest.mark.unchecked
def test_not_in_a_marked_test():
    with pytest.raises(TypeError, match="RopeSpec.head_dim: got 8.0, expected a whole number"):
        RopeSpec(head_dim=8.0)
