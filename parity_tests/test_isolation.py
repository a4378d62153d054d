"""Each package can be imported where what it does not need is not installed."""

import pytest

from rope_parity.__main__ import EXTRA

FRAMEWORKS = {"flax", "jax", "torch", "transformers", "mpmath"}
NEEDS = {  # jax itself depends on ml_dtypes; torch on mpmath, through sympy
    "rope_spec": set(),
    "rope_jax": {"jax", "ml_dtypes"},
    "rope_torch": {"torch", "mpmath"},
    "rope_parity": set(),
    "rope_parity.__main__": set(),
}
IMPORT = """
try:
    import {package}
except ModuleNotFoundError as error:
    print(error.name)
"""


@pytest.fixture(scope="session")
def needed(run_without):
    """The first of some modules, all of them absent, that importing a package looks for."""

    def first(package, absent):
        done = run_without(absent, IMPORT.format(package=package))
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return first


@pytest.mark.parametrize("package", NEEDS)
def test_a_package_needs_no_other_framework(package, needed):
    assert needed(package, (FRAMEWORKS | EXTRA) - NEEDS[package]) == []


USES = [("rope_jax", "jax"), ("rope_torch", "torch"), ("rope_parity.backends", "torch")]


@pytest.mark.parametrize("package, used", USES)
def test_the_guard_bites(package, used, needed):
    assert needed(package, {used}) == [used]
