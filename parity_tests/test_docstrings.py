"""The examples in docstrings run, and everything public has a docstring."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import rope_jax
import rope_spec
import rope_torch

PACKAGES = (rope_spec, rope_jax, rope_torch)
MODULES = [
    f"{package.__name__}.{found.name}"
    for package in PACKAGES
    for found in pkgutil.iter_modules(package.__path__)
    if found.name != "triton_kernel"  # Triton is optional; it has no examples
]
WITH_EXAMPLES = {"spec", "weights", "functional", "cache"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0 and bool(results.attempted) == (name.split(".")[1] in WITH_EXAMPLES)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_everything_public_is_described(package):
    kinds = lambda value: inspect.isclass(value) or inspect.isroutine(value)
    public = {
        name: value
        for name, value in vars(package).items()
        if not name.startswith("_") and kinds(value)
    }
    described = {
        name
        for name, value in public.items()
        if inspect.getdoc(value) and inspect.getdoc(value) != dict.__doc__
    }
    assert set(public) - described == set()
    for value in public.values():
        methods = (
            [m for name, m in vars(value).items() if not name.startswith("_")]
            if inspect.isclass(value)
            else []
        )
        assert all(inspect.getdoc(method) for method in methods if inspect.isfunction(method))
