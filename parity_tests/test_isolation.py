"""Who may import whom: `rope_spec` neither framework, each branch only its own, and flax only its two modules."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FRAMEWORKS = {"jax", "flax", "torch", "transformers", "mpmath"}


def forbidden_imports(package: str, forbidden: set[str]) -> list[str]:
    """Which of the forbidden packages importing `package` loads, in a fresh interpreter where they cannot be found."""
    program = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {forbidden!r}:
            raise ImportError("absent: " + name.split(".")[0])
sys.meta_path.insert(0, Absent())
try:
    import {package}
except ImportError as error:
    print(str(error).removeprefix("absent: "))
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    return out.stdout.split()


@pytest.mark.parametrize("package, allowed", [("rope_spec", set()), ("rope_jax", {"jax"}), ("rope_torch", {"torch", "mpmath"})])
def test_a_package_needs_no_other_framework(package, allowed):
    """mpmath is a dependency of torch itself, through sympy."""
    assert forbidden_imports(package, FRAMEWORKS - allowed) == []


@pytest.mark.parametrize("package, used", [("rope_jax", "jax"), ("rope_torch", "torch"), ("rope_parity.backends", "torch")])
def test_the_guard_bites(package, used):
    assert forbidden_imports(package, {used}) == [used]


def test_the_command_without_its_extra_says_what_to_install():
    with pytest.raises(subprocess.CalledProcessError) as failed:
        forbidden_imports("rope_parity.__main__", {"typer"})
    assert "typer" in failed.value.stderr and "pip install 'rope-parity[parity]'" in failed.value.stderr


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
