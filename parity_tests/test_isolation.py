"""Who may import whom: `rope_spec` neither framework, each branch only its own, and flax only its two modules."""

import ast
from pathlib import Path

import pytest

from rope_parity.__main__ import EXTRA

ROOT = Path(__file__).parent.parent
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


def imports(path: Path) -> set[str]:
    """The modules that a file imports, with the package in front of relative ones."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = f"{path.parent.name}.{node.module}" if node.level else node.module
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def test_flax_is_imported_in_its_two_modules_alone():
    users = {p.name for p in (ROOT / "rope_jax").glob("*.py") if any(name.startswith("flax") for name in imports(p))}
    assert users <= {"nnx.py", "linen.py"}


def test_the_oracle_knows_only_the_description():
    of_the_trunk = {name for name in imports(ROOT / "rope_parity" / "oracle.py") if name.startswith("rope_")}
    assert of_the_trunk == {"rope_spec.RopeSpec"}
